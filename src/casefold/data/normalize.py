"""Intensities in two steps: to 0..1 before augmentation (which clips there), to the network's scale after it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casefold.config.experiments import NormalizeConfig, PercentileNormalize
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
        scaled = (image.astype(np.float32) - low) / np.where(width > 0, width, np.float32(1))
        return scaled.clip(0, 1)

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

    def percentile(p: float) -> Floats:
        return np.array([modality["percentiles"][f"{p:g}"] for modality in scan.statistics], np.float32)

    if isinstance(config, PercentileNormalize):
        low, high = percentile(config.low), percentile(config.high)
        half = np.full(len(low), 0.5, np.float32)
        return Normalizer(low, high, half, half)
    low, high = percentile(0.1), percentile(99.9)
    width = np.where(high > low, high - low, np.float32(1)).astype(np.float32)
    mean = np.array([modality["mean"] for modality in scan.statistics], np.float32)
    std = np.array([modality["std"] for modality in scan.statistics], np.float32)
    return Normalizer(low, high, (mean - low) / width, np.maximum(std / width, np.float32(1e-6)))
