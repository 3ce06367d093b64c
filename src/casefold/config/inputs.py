"""Schema of what a network reads: normalisation, crop and plane, slices in a window, patches of a scan."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from casefold.config.base import Strict
from casefold.core import Triple

Plane = Literal["axial", "coronal", "sagittal"]
PERCENTILES = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 100.0)


def _stored(percentile: float) -> float:
    if percentile not in PERCENTILES:
        raise ValueError(f"the store keeps the percentiles {', '.join(f'{p:g}' for p in PERCENTILES)}")
    return percentile


Percentile = Annotated[float, AfterValidator(_stored)]


class PercentileNormalize(Strict):
    """Clip a scan to two of its own percentiles and scale to 0..1; the network sees -1..1."""

    name: Literal["percentile"] = "percentile"
    low: Percentile = 0.5
    high: Percentile = 99.5


class ZscoreNormalize(Strict):
    """Mean 0 and standard deviation 1 by scan, applied after augmentation; clipped to the percentiles 0.1 and 99.9."""

    name: Literal["zscore"]


class MinmaxNormalize(Strict):
    """A scan's lowest to its highest intensity; the network sees 0..1."""

    name: Literal["minmax"]


class ForegroundNormalize(Strict):
    """Mean 0 and standard deviation 1 over the foreground, the voxels above the scan's lowest value.

    Clipped at that value and at the foreground's percentile 99.9, so that the share of background does not count.
    """

    name: Literal["foreground"]


class WindowNormalize(Strict):
    """A window in the image's own units (HU for CT), the same for every scan; the network sees -1..1."""

    name: Literal["window"]
    centre: float
    width: float = Field(gt=0)


class NoNormalize(Strict):
    """The network sees the raw numbers."""

    name: Literal["none"]


NormalizeConfig = Annotated[
    PercentileNormalize | ZscoreNormalize | MinmaxNormalize | ForegroundNormalize | WindowNormalize | NoNormalize,
    Field(discriminator="name"),
]


class BodyCrop(Strict):
    """The box along y and x of what is brighter than a level: its largest piece in 3D, in any modality, plus a margin.

    The level lies between two of the scan's own percentiles: 0 is `low`, 1 is `high`. A scan in which nothing is
    brighter stays whole.
    """

    name: Literal["body"]
    low: Percentile = 1.0
    high: Percentile = 99.0
    level: float = Field(0.1, gt=0, lt=1)
    median_px: Literal[1, 3, 5, 7] = Field(5, description="side of the square whose majority decides; against noise")
    margin_px: int = Field(4, ge=0, description="added on every side, as far as the slice goes")

    @model_validator(mode="after")
    def _in_order(self) -> "BodyCrop":
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} should lie below high {self.high:g}")
        return self


class DetectorCrop(Strict):
    """The box along y and x that a `detect` member finds, by its model of the same fold, plus a margin.

    Models of different folds may crop differently: each is brought back to the scan by itself, then their
    probabilities are averaged, whatever `predict.average` says of one model's flips.
    """

    name: Literal["detector"]
    member: str = Field(description="the detector's name")
    margin_px: int = Field(0, ge=0, description="added on every side, as far as the slice goes")


class CentreCrop(Strict):
    """The middle of every slice, so much of its height and width: 0.875 is 256 pixels cut to 224."""

    name: Literal["centre"]
    share: float = Field(gt=0, lt=1)


CropConfig = Annotated[BodyCrop | DetectorCrop | CentreCrop, Field(discriminator="name")]
CROP = Field(
    None, description="null reads whole slices; else all are cut to one box, outside of which nothing is found"
)


class SliceData(Strict):
    """2.5D input: the slices at these offsets from the one in question, at one size; past the ends the end repeats.

    plane: which way the scan is cut: axial as it was read, coronal (slices along y, their height is z) or sagittal
    (along x, their height is z, their width y). fit: `resize` brings every slice to `size`, which alone decides the
    shape of a pixel; `pad` fills up at the far ends; `square` resizes until a pixel is as high as wide in mm and the
    slice just fits into `size`, then pads, and is refused where the spacing is unknown. `train_patch` is a random crop
    of what is at `size`, padding included, after augmentation; what training calls present is what it holds.
    """

    window: tuple[int, ...] = Field((-1, 0, 1), min_length=1)
    crop: CropConfig | None = CROP
    plane: Plane = "axial"
    size: tuple[int, int] = Field((256, 256), description="height, width of the slice as the network sees it")
    train_patch: tuple[int, int] | None = Field(
        None, description="height, width of a random part, all that training sees of a slice; null: the slice"
    )
    fit: Literal["resize", "pad", "square"] = "resize"
    normalize: NormalizeConfig = PercentileNormalize()

    @model_validator(mode="after")
    def _patch_within(self) -> "SliceData":
        patch = self.train_patch
        if patch and not all(1 <= side <= whole for side, whole in zip(patch, self.size, strict=True)):
            raise ValueError(
                f"train_patch {patch[0]} x {patch[1]} is no part of size {self.size[0]} x {self.size[1]}; make it "
                "smaller, or size larger"
            )
        return self


class VolumeData(Strict):
    """3D input: a scan or its crop, resampled by `zoom` (or to `spacing_mm`), in patches of `patch`, or whole."""

    crop: CropConfig | None = CROP
    patch: tuple[int, int, int] | None = Field(None, description="z, y, x; null trains and predicts whole scans")
    zoom: Triple | None = Field(None, description="z, y, x: size after over size before")
    spacing_mm: Triple | None = Field(None, description="z, y, x: resample to this; refused where spacing is unknown")
    overlap: float = Field(0.5, ge=0, lt=1, description="of neighbouring tiles in prediction")
    normalize: NormalizeConfig = PercentileNormalize()

    @model_validator(mode="after")
    def _one_grid(self) -> "VolumeData":
        if self.zoom is not None and self.spacing_mm is not None:
            raise ValueError("zoom and spacing_mm both say how to resample; keep one")
        return self
