"""A competition small enough for any test: a bundle of untrained nets, hidden scans in the layout, sound or odd."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import toy
from casefold.config.datasets import UwmgiDataset
from casefold.config.experiments import Experiment
from casefold.config.load import save
from casefold.models.build import build
from casefold.models.weights import WeightsInfo, save_weights
from casefold.recipe import GateRule, Recipe, Rung, save_recipe
from toy_members import cls, seg3d, seg25d

MEMBERS: dict[str, Experiment] = {
    "toy_2d": seg25d(data={"window": (-1, 0, 1)}),
    "toy_3d": seg3d(),
    "toy_cls": cls(data={"window": (-1, 0, 1)}),
}
FOLDS = 2


@dataclass(frozen=True)
class Competition:
    """A bundle's folder and the competition's, as Kaggle would attach them."""

    bundle: Path
    data: Path


def rung(members: tuple[str, ...], seconds: float, gate: GateRule | None = None) -> Rung:
    """Equal weights at the level 120, which untrained nets reach here and there."""
    return Rung(
        weights={member: dict.fromkeys(toy.CLASSES, 1) for member in members},
        levels=dict.fromkeys(toy.CLASSES, 120),
        peaks=dict.fromkeys(toy.CLASSES, 0),
        average="probabilities",
        score=0.5,
        cross_fitted=0.5,
        seconds_a_scan=seconds,
        gate=gate,
    )


def recipe() -> Recipe:
    """Both segmenters behind a gate, then the 2.5D one alone at a quarter of the time."""
    gate = GateRule(("toy_cls",), "presence", dict.fromkeys(toy.CLASSES, 1))
    rungs = (rung(("toy_2d", "toy_3d"), 4.0, gate), rung(("toy_2d",), 1.0))
    return Recipe("mix", "toy", toy.CLASSES, rungs, folds=tuple(range(FOLDS)))


def write_bundle(folder: Path) -> Path:
    """The bundle's folder, with weights drawn from a seed."""
    for member, config in MEMBERS.items():
        for fold in range(FOLDS):
            run = folder / "models" / member / f"fold{fold}"
            run.mkdir(parents=True)
            save(config, run / "config.yaml")
            torch.manual_seed(fold)
            info = WeightsInfo(member, str(fold), "", 1, toy.CLASSES, ())
            save_weights(build(config, 1, len(toy.CLASSES)).state_dict(), info, run / "weights.safetensors")
    save_recipe(recipe(), folder / "recipe.yaml")
    save(UwmgiDataset(**toy.content(sample_submission="sample_submission.csv")), folder / "dataset.yaml")
    return write_sums(folder)


def write_sums(folder: Path) -> Path:
    """List every file of a bundle with its sum."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "checksums.txt")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}" for path in files
    ]
    (folder / "checksums.txt").write_text("\n".join(lines) + "\n")
    return folder


def ids(name: str, slices: int) -> list[str]:
    """The ids of a scan's slices, numbered from 1."""
    return [f"{name}_slice_{z:04d}" for z in range(1, slices + 1)]


def write_sample(data: Path, slices: list[str]) -> list[tuple[str, str]]:
    """A sample of these slices with every class, its columns as in no other file; gives its rows."""
    wanted = [(name, label) for name in slices for label in toy.CLASSES]
    lines = ["id,predicted,class", *(f"{name},,{label}" for name, label in wanted)]
    (data / "sample_submission.csv").write_text("\n".join(lines) + "\n")
    return wanted


def write_planes(data: Path, name: str, image: NDArray[np.generic], numbers: list[int] | None = None) -> list[Path]:
    """A hidden scan (z, y, x) of any type and size; numbers: of its slices, else 1, 2, 3, ..."""
    depth, height, width = image.shape
    folder = data / "test" / name.partition("_")[0] / name / "scans"
    folder.mkdir(parents=True)
    paths = [folder / f"slice_{z:04d}_{width}_{height}_1.50_1.25.png" for z in numbers or range(1, depth + 1)]
    for path, plane in zip(paths, image, strict=True):
        cv2.imwrite(str(path), plane)
    return paths


def noise(shape: tuple[int, int, int], kind: str = "uint16") -> NDArray[np.generic]:
    """An image of bright discs in noise, the same for the same shape."""
    depth, height, width = shape
    scan = replace(toy.SCANS[0], slices=max(depth, 5), height=height, width=width)
    return (toy.draw(scan)[0][:depth] // (4 if kind == "uint8" else 1)).astype(kind)
