"""Intensities in two steps: to 0..1 before augmentation (which clips there), to the network's scale after it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.inputs import NormalizeConfig
from casefold.core import DataError, Scan

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Normalizer:
    """One scan's numbers by modality: `low..high` goes to 0..1, then `mean` and `std` of that scale to 0 and 1."""

    low: Floats
    high: Floats
    mean: Floats
    std: Floats

    def to_unit(self, image: NDArray[np.generic], axis: int = 0) -> Floats:
        """Raw intensities, modalities along `axis`, to float32 in 0..1; a constant modality gives zeros."""
        low, width = self._along(self.low, image, axis), self._along(self.high - self.low, image, axis)
        unit = image.astype(np.float32)  # a copy, worked on in place: scans can be large
        unit -= low
        unit /= np.where(width > 0, width, np.float32(1))
        return unit.clip(0, 1, out=unit)

    def finish(self, unit: Floats, axis: int = 0) -> Floats:
        """From 0..1 to what the network sees; channels are whole repeats of the modalities."""
        repeats = unit.shape[axis] // len(self.mean)
        mean, std = np.tile(self.mean, repeats), np.tile(self.std, repeats)
        return (unit - self._along(mean, unit, axis)) / self._along(std, unit, axis)

    @staticmethod
    def _along(values: Floats, image: NDArray[np.generic], axis: int) -> Floats:
        return values.reshape([-1 if index == axis else 1 for index in range(image.ndim)])


def normalizer(config: NormalizeConfig, scan: Scan) -> Normalizer:
    """The numbers for one scan from its statistics; raises DataError where the scan has none."""
    if len(scan.statistics) != len(scan.image):
        raise DataError(f"scan {scan.name} has statistics of {len(scan.statistics)} modalities, but {len(scan.image)}")
    numbers = [SCALES[config.name](config, modality) for modality in scan.statistics]
    low, high, mean, std = np.array(numbers, np.float32).T
    return Normalizer(low, high, mean, std)


# What follows gives, for one modality, low, high, and the mean and std of the scale on which these are 0 and 1.
Numbers = tuple[float, float, float, float]


def _percentile(config: Any, modality: Mapping[str, Any]) -> Numbers:
    low, high = (modality["percentiles"][f"{p:g}"] for p in (config.low, config.high))
    return low, high, 0.5, 0.5


def _zscore(config: Any, modality: Mapping[str, Any]) -> Numbers:
    low, high = modality["percentiles"]["0.1"], modality["percentiles"]["99.9"]
    return _standardised(low, high, modality["mean"], modality["std"])


def _minmax(config: Any, modality: Mapping[str, Any]) -> Numbers:
    return modality["percentiles"]["0"], modality["percentiles"]["100"], 0.0, 1.0


def _foreground(config: Any, modality: Mapping[str, Any]) -> Numbers:
    inside = modality["foreground"]
    return _standardised(modality["percentiles"]["0"], inside["top"], inside["mean"], inside["std"])


def _window(config: Any, modality: Mapping[str, Any]) -> Numbers:
    return config.centre - config.width / 2, config.centre + config.width / 2, 0.5, 0.5


def _none(config: Any, modality: Mapping[str, Any]) -> Numbers:
    low, high = modality["percentiles"]["0"], modality["percentiles"]["100"]
    width = high - low or 1.0
    return low, high, -low / width, 1 / width


def _standardised(low: float, high: float, mean: float, std: float) -> Numbers:
    """In float32 throughout, as the image is brought to 0..1."""
    start, middle, spread = np.float32(low), np.float32(mean), np.float32(std)
    width = np.float32(high) - start or np.float32(1)
    return low, high, float((middle - start) / width), float(max(spread / width, np.float32(1e-6)))


SCALES: dict[str, Callable[[Any, Mapping[str, Any]], Numbers]] = {
    "percentile": _percentile,
    "zscore": _zscore,
    "minmax": _minmax,
    "foreground": _foreground,
    "window": _window,
    "none": _none,
}
