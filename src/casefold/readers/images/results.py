"""Predictions of an image data set back as PNGs, where its submission is no CSV, and such PNGs read again.

One class gives masks of 0 and 255, `values` or `colours` of the truth give label images of the same, and several
classes that may overlap give a PNG each. A scan is SCAN.png; with several files it is a folder: SCAN/SLICE.png,
SCAN/CLASS.png, or SCAN/CLASS/SLICE.png.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from casefold.config.datasets import ImagesDataset
from casefold.config.masks import FileMasks
from casefold.core import DataError, Masks
from casefold.files import write_bytes
from casefold.readers import RawScan, refuse
from casefold.readers.images.mask_files import ALL, read_mask_file
from casefold.readers.patterns import natural_key, part_names


def write(config: ImagesDataset, root: Path, raw: RawScan, masks: Masks, folder: Path) -> Path:
    """Write one scan's masks; gives its PNG or folder.

    Raises DataError where a label image is wanted, but masks overlap and come without `labels`.
    """
    for layer in _layers(config):
        planes = _coded(config, masks) if layer == ALL else _white(masks.masks[masks.classes.index(layer)])
        for number, plane in zip(raw.details["numbers"], planes, strict=True):
            done, content = cv2.imencode(".png", plane[..., ::-1] if plane.ndim == 3 else plane)
            if not done:
                raise DataError(f"the masks of {raw.name} can't be written as PNG")
            path = "/".join(part for part in (raw.name, layer, number) if part)
            write_bytes(folder / f"{path}.png", content.tobytes())
    return folder / result_name(config, raw)


def result_name(config: ImagesDataset, raw: RawScan) -> str:
    """The file or folder of one scan that `write` writes."""
    return raw.name if _is_stacked(config) or _layers(config) != [ALL] else f"{raw.name}.png"


def read_masks(config: ImagesDataset, root: Path, path: Path) -> NDArray[np.bool_]:
    """The masks (class, z, y, x) in what `write` wrote, or in a truth laid out like it; slices by their numbers."""
    layers = []
    for layer in _layers(config):
        place = path / layer
        if _is_stacked(config):
            files = sorted(place.glob("*.png"), key=lambda file: natural_key(file.stem))
        else:
            files = [path if layer == ALL else path / f"{layer}.png"]
        if not files:
            raise DataError(f"{place} holds no PNG; wanted one a slice")
        layers.append(np.stack(_alike(place, [_read_plane(config, layer, file) for file in files]), axis=1))
    return np.concatenate(_alike(path, layers))


def _layers(config: ImagesDataset) -> list[str]:
    """ALL where one file holds every class, else the classes."""
    coded = isinstance(config.masks, FileMasks) and bool(config.masks.values or config.masks.colours)
    return [ALL] if coded or len(config.classes) == 1 else list(config.classes)


def _is_stacked(config: ImagesDataset) -> bool:
    return "slice" in part_names(config.image)


def _form(config: ImagesDataset) -> FileMasks:
    return config.masks if isinstance(config.masks, FileMasks) else FileMasks(kind="files", pattern="*.png")


def _read_plane(config: ImagesDataset, layer: str, path: Path) -> NDArray[np.bool_]:
    """Bool (class, y, x) of the layer's classes."""
    classes = config.classes if layer == ALL else (layer,)
    found = dict(read_mask_file(_form(config), classes, layer, path, None, refuse) or ())
    return np.stack([found[label] for label in classes])


def _alike(where: Path, arrays: Sequence[NDArray[np.bool_]]) -> Sequence[NDArray[np.bool_]]:
    shapes = sorted({array.shape[1:] for array in arrays})
    if len(shapes) > 1:
        raise DataError(f"{where}: its PNGs should be of one size and number, but are {shapes}")
    return arrays


def _white(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return mask.astype(np.uint8) * np.uint8(255)


def _coded(config: ImagesDataset, masks: Masks) -> NDArray[Any]:
    """The label images (z, y, x), or (z, y, x, 3) in colour."""
    form, labels = _form(config), masks.labels
    if not form.values and not form.colours:
        return _white(masks.masks[0])
    if labels is None:
        if (masks.masks.sum(axis=0) > 1).any():
            raise DataError(f"masks of {masks.scan} overlap, but a label image holds one class a pixel")
        labels = (masks.masks * np.arange(1, len(masks.classes) + 1).reshape(-1, 1, 1, 1)).sum(axis=0)
    if form.colours:
        return np.array([(0, 0, 0), *(form.colours[name] for name in masks.classes)], np.uint8)[labels]
    values = [*form.background[:1], 0][:1] + [form.values[name] for name in masks.classes]
    lookup: NDArray[Any] = np.array(values, np.uint8 if max(values) < 256 else np.uint16)
    return np.asarray(lookup[labels])
