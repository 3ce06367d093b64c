"""The wheels of a bundle: casefold's own and those that Kaggle's image lacks, each known to install there."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from casefold import __version__
from casefold.core import ConfigError, DataError
from casefold.files import write_text

# What predicting imports and Kaggle's image (2026-08, Python 3.12, on Colab's) lacks; each in the version that is
# installed here, for with it the members were trained. torch, torchvision, numpy and the like are never brought.
LACKING = {
    "segmentation-models-pytorch": "the nets of `seg25d` members; pure Python",
    "monai": "the nets of `seg3d` members and their sliding window; pure Python",
    "connected-components-3d": "the components of post-processing; compiled, a wheel for each Python",
}
# What the image has, but perhaps too old: brought, and installed only where the image's is out of our range.
PERHAPS_OLD = {"timm": "every encoder; pure Python"}
# What detectors want besides, where an ensemble has some (AGPL-3.0).
FOR_DETECTORS = {"ultralytics": "the detectors that members are cropped by; pure Python"}
OWN_SOURCES = ("src", "pyproject.toml", "requirements.txt", "README.md", "LICENSE")
MANYLINUX = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 29)))  # Kaggle's is newer
LIST = "requirements.txt"


def checkout() -> Path:
    """The folder of casefold's sources; raises ConfigError where it is installed without them."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "pyproject.toml").is_file():
        raise ConfigError(f"{root} holds no pyproject.toml: casefold's wheel is built from a checkout; bundle from one")
    return root


def gather_wheels(folder: Path, python: str, detectors: bool = False) -> list[Path]:
    """Build and fetch every wheel into `folder`, with the list of what the notebook installs beside them.

    python: the notebook's, as `3.12`. detectors: with what these want. Raises DataError where
    one can't be had or would not install there.
    """
    tags = set(tags_of(python))
    folder.mkdir(parents=True, exist_ok=True)
    build_wheel(checkout(), folder)
    fetch(pinned(detectors), folder, python)
    wheels = sorted(folder.glob("*.whl"))
    check_tags(wheels, tags, python)
    write_text(folder / LIST, "".join(f"{line}\n" for line in wanted(checkout(), detectors)))
    return wheels


def pinned(detectors: bool = False) -> list[str]:
    """What is fetched: each package in the version installed here."""
    return [f"{name}=={version(name)}" for name in (*_lacking(detectors), *PERHAPS_OLD)]


def wanted(source: Path, detectors: bool = False) -> list[str]:
    """What the notebook asks pip for: ours, what the image lacks, and the ranges of what it may have."""
    lines = (line.partition("#")[0].strip() for line in (source / "requirements.txt").read_text().splitlines())
    ranges = {wish.name: str(wish) for wish in map(Requirement, filter(None, lines))}
    lacking = [f"{name}=={version(name)}" for name in _lacking(detectors)]
    return [f"casefold=={__version__}", *lacking, *(ranges[name] for name in PERHAPS_OLD)]


def _lacking(detectors: bool) -> list[str]:
    return [*LACKING, *(FOR_DETECTORS if detectors else ())]


def build_wheel(source: Path, folder: Path) -> None:
    """Build the wheel of the sources in `source`, from a copy, so that no earlier build's files get into it."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in OWN_SOURCES:
            if (source / name).is_dir():
                left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(source / name, Path(scratch) / name, ignore=left_out)
            else:
                shutil.copy(source / name, scratch)
        _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), scratch)


def fetch(pins: Sequence[str], folder: Path, python: str) -> None:
    """Download the wheels, never what they depend on, for a Linux like Kaggle's."""
    platforms = [word for name in reversed(MANYLINUX) for word in ("--platform", name)]
    target = ["--implementation", "cp", "--python-version", python, *platforms]
    _pip("download", "--no-deps", "--only-binary=:all:", *target, "--dest", str(folder), *pins)


def check_tags(wheels: Sequence[Path], tags: set[Tag], python: str) -> None:
    """Raise DataError naming every wheel whose own tags are all foreign to the notebook's Python."""
    foreign = []
    for path in wheels:
        try:
            own = parse_wheel_filename(path.name)[3]
        except InvalidWheelFilename as e:
            raise DataError(f"{path} is not named as a wheel: {e}") from e
        if not own & tags:
            foreign.append(path.name)
    if foreign:
        raise DataError(
            f"these wheels do not install on Kaggle's Python {python}: {foreign}; bundle again without them"
        )


def tags_of(python: str) -> Iterator[Tag]:
    """Every tag that a wheel may have for CPython of a version such as `3.12`, on a Linux like Kaggle's."""
    if not re.fullmatch(r"3\.\d+", python):
        raise ConfigError(f"--python takes the notebook's version as 3.12, not {python!r}")
    number = 3, int(python.removeprefix("3."))
    yield from cpython_tags(number, platforms=MANYLINUX)
    yield from compatible_tags(number, f"cp3{number[1]}", MANYLINUX)


def _pip(*words: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([sys.executable, "-m", "pip", *words, *quiet], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
        raise DataError(
            f"pip {words[0]} failed: {' '.join(lines)[-600:]}. Fetching wheels wants a network, building ours wants "
            "setuptools; --no-wheels bundles without any, which runs only where casefold is installed"
        )
