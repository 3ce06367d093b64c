"""Schema of an experiment (one member) of each kind; defaults stand here and nowhere else."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from casefold.config.base import Strict
from casefold.config.losses import Bce, Dice, LossConfig, check_losses
from casefold.config.training import Train
from casefold.core import Triple

AugmentName = Literal[
    "none", "light", "medium", "heavy", "flips", "zoom", "distortion", "degraded", "scanner", "nnunet", "resliced",
    "upright", "anatomical",
]  # fmt: skip
ArchName = Literal["unet", "unetplusplus", "upernet", "fpn", "manet", "linknet", "pspnet", "deeplabv3plus", "segformer"]
NormName = Literal["instance", "batch"]
Flip = Literal["x", "y", "z", "xy", "xz", "yz", "xyz"]


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


class SliceData(Strict):
    """2.5D input: the slices at these offsets from the one in question, at one size; past the ends the end repeats."""

    window: tuple[int, ...] = Field((-1, 0, 1), min_length=1)
    plane: Literal["axial"] = "axial"
    size: tuple[int, int] = Field((256, 256), description="height, width")
    fit: Literal["resize", "pad"] = "resize"
    normalize: NormalizeConfig = PercentileNormalize()


class VolumeData(Strict):
    """3D input: the scan resampled by `zoom` (or to `spacing_mm`), cut in patches of `patch` voxels, or whole."""

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


class SliceSampler(Strict):
    """Every non-empty slice once an epoch, and a share of the empty ones, drawn anew each epoch."""

    name: Literal["slices"] = "slices"
    empty_share: float = Field(1.0, ge=0, le=1)


class PatchSampler(Strict):
    """Patches from every scan each epoch; a share of them centred on a voxel of a class drawn first."""

    name: Literal["patches"] = "patches"
    per_scan: int = Field(1, ge=1)
    positive_share: float = Field(0.5, ge=0, le=1)


class ClsModel(Strict):
    """A timm encoder with one output a class."""

    encoder: str
    pretrained: bool | str = Field(
        True, description="true: ImageNet weights; false: none; text: a file below CASEFOLD_DATA"
    )
    dropout: float = Field(0.1, ge=0, lt=1)


class Seg2dModel(Strict):
    """An smp architecture over any of its encoders, timm's (`tu-`) included."""

    arch: ArchName
    encoder: str
    pretrained: bool | str = True
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    presence_head: Literal["none", "any", "classes"] = Field(
        "none", description="a classification head beside the maps"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="before the presence head")


class Seg3dModel(Strict):
    """MONAI's residual U-Net."""

    arch: Literal["unet"] = "unet"
    channels: tuple[int, ...] = Field((32, 64, 128, 256), min_length=2)
    strides: tuple[int | tuple[int, int, int], ...] = (2, 2, 2)
    res_units: int = Field(2, ge=0)
    norm: NormName = "instance"
    dropout: float = Field(0.0, ge=0, lt=1)
    activation: Literal["sigmoid", "softmax"] = "sigmoid"

    @model_validator(mode="after")
    def _strides_fit(self) -> "Seg3dModel":
        if len(self.strides) != len(self.channels) - 1:
            raise ValueError(
                f"{len(self.channels)} channels want {len(self.channels) - 1} strides, not {len(self.strides)}"
            )
        return self


class Predict(Strict):
    """How a member predicts, in OOF, submission and bundle alike."""

    flips: tuple[Flip, ...] = Field((), description="axes flipped together, one more pass each")
    average: Literal["probabilities", "logits"] = "probabilities"
    batch_size: int = Field(16, ge=1)


class Experiment(Strict):
    """What every kind of member has; the file's name is its `name`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    augment: AugmentName = "medium"
    train: Train
    predict: Predict = Predict()


class Cls(Experiment):
    """Slice classifier: for each class, is it on this slice?"""

    kind: Literal["cls"]
    data: SliceData = SliceData()
    sampler: SliceSampler = SliceSampler()
    model: ClsModel
    losses: tuple[LossConfig, ...] = (Bce(on="presence"),)

    @model_validator(mode="after")
    def _losses_fit(self) -> "Cls":
        check_losses(self.losses, "sigmoid", self.train.label_smoothing, presence=True, maps=False)
        return self


class Seg25d(Experiment):
    """2.5D segmenter: the masks of one slice from a window of slices."""

    kind: Literal["seg25d"]
    data: SliceData = SliceData()
    sampler: SliceSampler = SliceSampler()
    model: Seg2dModel
    losses: tuple[LossConfig, ...] = (Bce(), Dice())

    @model_validator(mode="after")
    def _losses_fit(self) -> "Seg25d":
        presence = self.model.presence_head != "none"
        check_losses(self.losses, self.model.activation, self.train.label_smoothing, presence, maps=True)
        if any("z" in flip for flip in self.predict.flips):
            raise ValueError("predict.flips: a slice has no z axis; flip along x, y or xy")
        return self


class Seg3d(Experiment):
    """3D segmenter: masks from patches of a scan with a sliding window, or from whole scans."""

    kind: Literal["seg3d"]
    data: VolumeData = VolumeData()
    sampler: PatchSampler = PatchSampler()
    model: Seg3dModel = Seg3dModel()
    losses: tuple[LossConfig, ...] = (Bce(), Dice())

    @model_validator(mode="after")
    def _losses_fit(self) -> "Seg3d":
        check_losses(self.losses, self.model.activation, self.train.label_smoothing, presence=False, maps=True)
        if self.data.patch is None and self.train.batch_size > 1:
            raise ValueError("data.patch: whole scans differ in size; give a patch, or train.batch_size 1")
        return self


ExperimentConfig = Annotated[Cls | Seg25d | Seg3d, Field(discriminator="kind")]


class Gate(Strict):
    """Stage one: a class is kept on a slice only where this member's presence reaches a level."""

    member: str
    levels: tuple[int, ...] = Field(
        (0, 13, 26, 51, 77, 102, 128, 153, 179, 204), description="tried by tune; 0 is no gate"
    )


class Tune(Strict):
    """What tune searches on OOF, and for what."""

    objective: Literal["dice_case", "dice_scan", "dice_slice"] = "dice_case"
    weight_steps: int = Field(
        5, ge=1, description="member weights are multiples of 1 / steps; 1 means equal weights only"
    )
    levels: tuple[int, ...] = Field(tuple(range(13, 250, 12)), description="mask levels tried, 1..255")
    partition_folds: int = Field(5, ge=2, description="parts of the cross-fitting partition")
    partition_seed: int = 77


class Ensemble(Strict):
    """A data set, the members on it, and what to search."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    dataset: str
    members: tuple[str, ...] = Field(min_length=1, description="config files below configs/, without `.yaml`")
    gate: Gate | None = None
    tune: Tune = Tune()
    min_voxels: int = Field(0, ge=0, description="3D components smaller than this are dropped, class by class")
    models: Literal["folds", "full"] = Field(
        "folds", description="what submits: the mean of the folds, or the full twin"
    )

    @model_validator(mode="after")
    def _members_named_once(self) -> "Ensemble":
        stems = [member.rsplit("/", 1)[-1] for member in self.members]
        if len(set(stems)) != len(stems):
            raise ValueError(f"members: a name stands twice in {stems}")
        if self.gate is not None and self.gate.member not in stems:
            raise ValueError(f"gate.member: {self.gate.member!r} is not among the members {stems}")
        return self


def as_plain(config: Strict) -> dict[str, Any]:
    """A config with every value spelled out, as plain data."""
    return config.model_dump(mode="json")
