"""Which values of a label map are which class, by the config or by dataset.json; label maps to masks and back."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.datasets import NiftiDataset
from casefold.config.labels import written_values
from casefold.core import ConfigError, DataError, Masks, nearest_word
from casefold.readers.nifti.layout import description


def label_values(config: NiftiDataset, root: Path) -> dict[str, tuple[int, ...]]:
    """The label values of each class, in the order of the config; raises DataError on a class `dataset.json` lacks."""
    if config.labels:
        return {name: config.labels[name] for name in config.classes}
    values = {name: value for value, name in _listed_values(root).items() if value != 0}
    for name in config.classes:
        if name not in values:
            hint = nearest_word(name, list(values))
            raise DataError(f"class {name!r} is not in {root / 'dataset.json'}{hint}; it has {sorted(values)}")
    return {name: (values[name],) for name in config.classes}


def known_values(config: NiftiDataset, root: Path) -> list[int] | None:
    """Every value that a label map may hold, sorted, 0 for background among them; None: any."""
    if config.other_values == "background":
        return None
    known = {0, *(value for own in label_values(config, root).values() for value in own)}
    return sorted(known | (set(_listed_values(root)) if config.image is None else set()))


def painted_values(config: NiftiDataset, root: Path) -> dict[str, int]:
    """The value that each class gets in a predicted label map, in the order of painting; raises ConfigError."""
    try:
        return written_values(label_values(config, root), config.written)
    except ValueError as e:
        raise ConfigError(f"the data set's config: {e}") from e


def readable_values(config: NiftiDataset, root: Path) -> dict[str, tuple[int, ...]]:
    """The values of each class in a truth and in a predicted label map alike.

    A value of `written` that no truth has is that class, and every class that holds all of its values.
    """
    values = label_values(config, root)
    every = {value for own in values.values() for value in own}
    new = {value: set(values[name]) for name, value in painted_values(config, root).items() if value not in every}
    return {name: (*own, *(value for value in new if new[value] <= set(own))) for name, own in values.items()}


def strange_values(labels: NDArray[Any], known: Iterable[int] | None) -> list[float]:
    """The values of a label map that are not among the known ones, sorted; none where any may be."""
    return [] if known is None else np.unique(labels[~np.isin(labels, list(known))]).tolist()


def to_masks(labels: NDArray[Any], values: Mapping[str, Iterable[int]]) -> NDArray[np.bool_]:
    """A label map (z, y, x) to bool (class, z, y, x)."""
    return np.stack([np.isin(labels, list(own)) for own in values.values()])


def to_label_map(masks: Masks, painted: Mapping[str, int]) -> NDArray[Any]:
    """Masks to a label map (z, y, x): their exclusive one, or class after class in the order of `painted`.

    A voxel of several classes gets the value of the last. painted: the value of each class. The type is uint8, or
    uint16 where a value needs it.
    """
    if set(masks.classes) != set(painted):
        raise DataError(f"scan {masks.scan} has masks of {list(masks.classes)}, the config of {list(painted)}")
    kind = np.min_scalar_type(max(painted.values()))
    if masks.labels is not None:
        return np.array([0, *(painted[name] for name in masks.classes)], kind)[masks.labels]
    by_name = dict(zip(masks.classes, masks.masks, strict=True))
    labels = np.zeros(masks.masks.shape[1:], kind)
    for name, value in painted.items():
        labels[by_name[name]] = value
    return labels


def _listed_values(root: Path) -> dict[int, str]:
    labels = description(root).get("labels")
    if not isinstance(labels, dict) or not all(key.isdecimal() and isinstance(labels[key], str) for key in labels):
        raise DataError(
            f'{root / "dataset.json"}: labels should map values to names, as {{"0": "background", "1": "liver"}}, '
            f"not {labels}"
        )
    return {int(value): name for value, name in labels.items()}
