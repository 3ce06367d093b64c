"""A detector that needs no training: what is brighter than a level on a picture is in a box."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casefold.config.detectors import Detect
from casefold.detect import find
from casefold.train import detector
from toy_members import merged


def detect(**changes: Any) -> Detect:
    """A detector of single slices."""
    content = {
        "kind": "detect",
        "name": "yolo",
        "data": {"window": (0,), "size": 64, "normalize": {"name": "minmax"}},
        "find": {"margin": 0.0},
        "train": {"epochs": 2, "batch_size": 8},
    }
    return Detect.model_validate(merged(content, changes))


class Level(nn.Module):
    """The level, learnt as it were."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor([level]))


def found_on(
    net: Level, pictures: Iterable[NDArray[np.uint8]], size: int, confidence: float, *rest: Any
) -> list[NDArray[np.float32]]:
    """A box round all that is brighter, sure, and the whole picture, by a doubtful one of 0.1."""
    found = []
    for picture in pictures:
        y, x = np.nonzero(picture[..., 0] > net.level.item())
        height, width = picture.shape[:2]
        boxes = [[x.min(), y.min(), x.max() + 1, y.max() + 1, 0.9, 0]] if len(y) else []
        found.append(np.array([*boxes, [0, 0, width, height, 0.1, 0]], np.float32))
    return [boxes[boxes[:, 4] > confidence] for boxes in found]


def stand_in(monkeypatch: pytest.MonkeyPatch, level: float = 40.0) -> list[Path]:
    """Put it in ultralytics' place; gives a list that the listing of each training is added to."""
    trained: list[Path] = []

    def train(config: Detect, listing: Path, work: Path, *rest: Any) -> dict[str, Tensor]:
        trained.append(listing)
        for epoch in range(config.train.epochs):
            rest[-1]({"epoch": epoch + 1, "box_loss": 1.0 / (epoch + 1)})
        return {"level": torch.tensor([level])}

    monkeypatch.setattr(find, "build_yolo", lambda model, kinds: Level(0.0))
    monkeypatch.setattr(find, "found_on", found_on)
    monkeypatch.setattr(detector, "train_yolo", train)
    monkeypatch.setattr(detector, "version", lambda: "none")
    return trained
