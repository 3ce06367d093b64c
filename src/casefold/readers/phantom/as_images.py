"""The phantom as RGB or grey images of one slice each, with label images, and the split that came with them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.config.base import GivenFolds
from casefold.config.datasets import ImagesDataset
from casefold.config.masks import FileMasks
from casefold.core import ConfigError
from casefold.files import write_text
from casefold.readers.patterns import fill
from casefold.readers.phantom.drawn import Drawn

PARTS = ("train", "train", "val", "train", "test")  # the split, over and over
EDGE = 2  # rows at the bottom that are to be ignored, where the config has a label for that


def write_images(config: ImagesDataset, root: Path, scans: Sequence[Drawn]) -> None:
    """Write the fullest slice of each scan; under a given split, also the CSV that says which is in which part.

    What is no organ is background, and where the config has none of that, the first class.
    """
    masks = config.masks
    if not isinstance(masks, FileMasks) or not masks.values:
        raise ConfigError("the phantom's masks for images are label images; give `masks: {kind: files, values: ...}`")
    values = list(masks.values.values())
    nothing, organs = (masks.background[0], values) if masks.background else (values[0], values[1:])
    rows = []
    for place, scan in enumerate(scans):
        word = PARTS[place % len(PARTS)]
        parts = {"case": scan.case, "scan": scan.case, "slice": "1", "part": word}
        z = int((scan.organs > 0).sum(axis=(1, 2)).argmax())
        pattern = config.image if scan.part == "train" else config.test
        if pattern is None:
            continue
        _save(root / fill(pattern, parts), _shown(scan.image[z], config.colour))
        if scan.part == "train":
            labels = scan.painted(organs, nothing)[z]
            if masks.ignore:
                labels[-EDGE:] = masks.ignore[0]
            _save(root / fill(masks.pattern, parts), labels)
            rows.append((scan.case, word))
    if isinstance(config.folds, GivenFolds):
        frame = pd.DataFrame(rows, columns=[config.folds.case, config.folds.column])
        write_text(root / config.folds.file, frame.to_csv(index=False))


def _shown(image: NDArray[np.uint16], colour: str) -> NDArray[np.uint8]:
    """8 bits; three colours are brightness by three powers, in OpenCV's order."""
    unit = image / max(1, image.max())
    powers = (0.5, 1.0, 2.0) if colour == "rgb" else (1.0,)
    return np.stack([255 * unit**power for power in powers], axis=-1).astype(np.uint8).squeeze()


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)
