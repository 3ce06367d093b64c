"""The environment that `run.sh` leaves: one OpenCV, a known torch, one requirements file that names what it should."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[1]
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
NOT_OURS = {"data", "store", "runs", "dist", "build"}


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def requirements() -> dict[str, Requirement]:
    lines = (line.partition("#")[0].strip() for line in (REPOSITORY / "requirements.txt").read_text().splitlines())
    return {wish.name: wish for wish in map(Requirement, filter(None, lines))}


def test_one_opencv() -> None:
    there = [name for name in OPENCV if installed(name)]
    assert len(there) == 1, f"{there} are installed; delete share/casefold.stamp in the environment and call run.sh"


def test_opencv_works() -> None:
    image = np.array([[0, 40000]], np.uint16)
    assert cv2.resize(image, (4, 1), interpolation=cv2.INTER_NEAREST).tolist() == [[0, 0, 40000, 40000]]


@pytest.mark.parametrize("name", ["torch", "torchvision"])
def test_torch_is_within_range(name: str) -> None:
    assert requirements()[name].specifier.contains(installed(name) or "0", prereleases=True)


def test_one_requirements_file() -> None:
    found = []
    for folder, below, files in os.walk(REPOSITORY):
        below[:] = [name for name in below if not name.startswith(".") and name not in NOT_OURS]
        found += [Path(folder, name) for name in files if name.startswith("requirements") and name.endswith(".txt")]
    assert found == [REPOSITORY / "requirements.txt"]


@pytest.mark.parametrize(
    "name",
    [
        "torch",
        "segmentation-models-pytorch",
        "timm",
        "albumentations",
        "monai",
        "pandas",
        "scikit-learn",
        "opencv-python",
        "ultralytics",
    ],
)
def test_requirements_name(name: str) -> None:
    assert name in requirements()
