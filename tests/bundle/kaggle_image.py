"""An environment of only what Kaggle's image has, in the versions installed here; a notebook is executed in it."""

import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

# COMPETITION: Kaggle's image of 2026-08, on Colab's; torch and all that it brings included.
IMAGE = (
    "torch torchvision timm albumentations opencv-python-headless numpy pandas scipy scikit-learn nibabel pydicom "
    "SimpleITK Pillow pydantic PyYAML typer tqdm safetensors einops matplotlib"
).split()

# Runs the code cells of a notebook one after the other in one process, as Jupyter would, and checks that it is alone.
EXECUTOR = """
import json, sys
from pathlib import Path

if __name__ == "__main__":
    devices = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    if devices != ["lo"]:
        sys.exit(f"there is a network: {devices}")
    space = {"__name__": "__main__"}
    for number, cell in enumerate(json.loads(Path(sys.argv[1]).read_text())["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), space)
"""


def make_environment(folder: Path, image: Path | None) -> Path:
    """A fresh environment that sees the image's packages and no other; gives its Python.

    They are links in a folder of their own, outside what pip manages, so that pip can neither remove nor replace them.
    image: the Python of an environment that holds them and nothing else; None: the packages of this Python.
    """
    subprocess.run([image or sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    links = folder / "image"
    links.mkdir()
    for path in _installed() if image is None else _site(image).iterdir():
        link = links / path.name
        if not link.exists() and path.name != "__pycache__" and not path.name.startswith("pip"):
            link.symlink_to(path)
    (_site(python) / "image.pth").write_text(f"{links}\n")
    return python


def run_alone(python: Path, notebook: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Execute a notebook in `folder`, in a namespace without a network and with no other variables than these."""
    (folder / "execute.py").write_text(EXECUTOR)
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["unshare", "-rn", python, "execute.py", notebook],
        cwd=folder, env=variables | environment, capture_output=True, text=True,
    )  # fmt: skip


def _site(python: Path) -> Path:
    """Where an environment's packages lie, by its Python."""
    (site,) = (python.parent.parent / "lib").glob("python*/site-packages")
    return site


def _installed() -> list[Path]:
    """The image's packages and what they depend on, file by file or folder by folder, as they are installed here."""
    return [
        Path(str(found.locate_file(top)))
        for found in _closure(IMAGE)
        for top in sorted({file.parts[0] for file in found.files or () if file.parts[0] != ".."})
    ]


def _closure(names: list[str]) -> list[Distribution]:
    """The distributions of these names and all that they depend on here."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        key = name.lower().replace("_", "-")
        if key in found:
            continue
        try:
            found[key] = distribution(name)
        except PackageNotFoundError:
            continue  # what another system needs
        wishes = map(Requirement, found[key].requires or ())
        waiting += [wish.name for wish in wishes if wish.marker is None or wish.marker.evaluate({"extra": ""})]
    return list(found.values())
