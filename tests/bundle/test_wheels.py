"""Wheels: what is asked for, what would install on the notebook's Python, and what predicting imports at all."""

import ast
import re
import sys
import zipfile
from pathlib import Path

import pytest

import casefold
from casefold.bundle.wheels import (
    FOR_DETECTORS,
    LACKING,
    PERHAPS_OLD,
    build_wheel,
    check_tags,
    checkout,
    pinned,
    tags_of,
    wanted,
)
from casefold.core import ConfigError, DataError
from test_layout import NOTEBOOK, PACKAGE, run_python

# In Kaggle's image, by the names they are imported by.
IMAGE = {
    "albumentations", "cv2", "einops", "matplotlib", "nibabel", "numpy", "pandas", "PIL", "pydantic", "pydantic_core",
    "pydicom", "safetensors", "scipy", "SimpleITK", "sklearn", "torch", "torchvision", "tqdm", "yaml",
}  # fmt: skip
BROUGHT = {
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "monai": "monai",
    "cc3d": "connected-components-3d",
    "timm": "timm",
    "ultralytics": "ultralytics",
}
NEVER_ON_KAGGLE = {
    "highdicom",  # writes segmentation objects, and a bundle's results are a CSV
    "markupsafe",  # for the report's page
    "onnxruntime", "openvino",  # engines to choose on another machine
}  # fmt: skip


def third_parties(room: str) -> set[str]:
    """What the modules of a room import from outside, those inside functions too."""
    paths = [*PACKAGE.glob(f"{room}.py"), *PACKAGE.glob(f"{room}/**/*.py")]
    names: set[str] = set()
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module))
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"casefold"}


@pytest.mark.parametrize("room", [*NOTEBOOK, "files", "filters", "folds", "oof", "prepare", "report"])
def test_what_predicting_imports_is_in_the_image_or_brought(room: str) -> None:
    assert third_parties(room) - IMAGE - NEVER_ON_KAGGLE <= set(BROUGHT)


def test_predicting_imports_no_augmentation() -> None:
    run_python("import sys, casefold.rerun.notebook\nassert not {'albumentations', 'matplotlib'} & sys.modules.keys()")


def test_no_wheel_is_brought_for_nothing() -> None:
    assert set(BROUGHT.values()) == {*LACKING, *PERHAPS_OLD, *FOR_DETECTORS}
    assert set(BROUGHT) <= {name for room in NOTEBOOK for name in third_parties(room)}


@pytest.mark.parametrize(
    "name",
    [
        "monai-1.6.1-py3-none-any.whl",
        "cc3d-4.1.1-cp312-cp312-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        "cc3d-4.1.1-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    ],
)
def test_a_wheel_for_python_3_12_passes(name: str) -> None:
    check_tags([Path(name)], set(tags_of("3.12")), "3.12")


@pytest.mark.parametrize(
    "tag", ["cp311-cp311-manylinux_2_28_x86_64", "cp312-cp312-musllinux_1_2_x86_64", "cp312-cp312-win_amd64",
            "cp312-cp312-manylinux_2_28_aarch64", "cp312-cp312-manylinux_2_39_x86_64"]
)  # fmt: skip
def test_a_wheel_that_would_not_install_is_named(tag: str) -> None:
    wheels = [Path("monai-1.6.1-py3-none-any.whl"), Path(f"cc3d-4.1.1-{tag}.whl")]
    with pytest.raises(DataError, match=rf"do not install on Kaggle's Python 3\.12: \['cc3d-4\.1\.1-{tag}\.whl'\]"):
        check_tags(wheels, set(tags_of("3.12")), "3.12")


def test_a_file_that_is_no_wheel_is_named() -> None:
    with pytest.raises(DataError, match=r"cc3d\.whl is not named as a wheel"):
        check_tags([Path("cc3d.whl")], set(tags_of("3.12")), "3.12")


@pytest.mark.parametrize("python", ["3", "py312", "3.12.1", ""])
def test_a_python_is_named_by_two_numbers(python: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"--python takes the notebook's version as 3.12, not {python!r}")):
        set(tags_of(python))


def test_pip_is_asked_for_the_versions_that_trained_and_for_ranges_of_what_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch>=2.6\ntimm>=1.0.15,<1.1  # encoders\n\n# nothing\nmonai>=1.5\n")
    lines = wanted(tmp_path)
    assert lines[0] == f"casefold=={casefold.__version__}"
    assert lines[-1] == "timm<1.1,>=1.0.15"
    assert lines[1:-1] == pinned()[:-1]
    assert [line.partition("==")[0] for line in lines[1:-1]] == list(LACKING)


@pytest.mark.long
def test_our_own_wheel_holds_the_package_and_nothing_of_an_earlier_build(tmp_path: Path) -> None:
    build_wheel(checkout(), tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name == f"casefold-{casefold.__version__}-py3-none-any.whl"
    names = {name for name in zipfile.ZipFile(path).namelist() if ".dist-info/" not in name}
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.glob("report/assets/*")]
    there = {f"casefold/{file.relative_to(PACKAGE).as_posix()}" for file in files}
    assert names == there | {"casefold/py.typed"}
    assert not (checkout() / "build").exists()
