"""Schema of an experiment (one member) of each kind; defaults stand here and nowhere else."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from casefold.config.base import Strict
from casefold.config.external import External
from casefold.config.inputs import SliceData, VolumeData
from casefold.config.losses import Bce, Dice, LossConfig, check_losses
from casefold.config.networks import ClsModel, Seg3dModel, Seg25dModel
from casefold.config.presence import IS_THERE, CutOff, PresenceTarget
from casefold.config.sampling import PatchSampler, SliceSampler
from casefold.config.training import Train

AugmentName = Literal[
    "none", "light", "medium", "heavy", "flips", "zoom", "distortion", "degraded", "scanner", "nnunet", "resliced",
    "upright", "anatomical",
]  # fmt: skip
Flip = Literal["x", "y", "z", "xy", "xz", "yz", "xyz"]


class Predict(Strict):
    """How a member predicts, in OOF, submission and bundle alike."""

    flips: tuple[Flip, ...] = Field(
        (), description="axes flipped together, one more pass each; x and y of a slice as the network sees it"
    )
    average: Literal["probabilities", "logits"] = "probabilities"
    batch_size: int = Field(16, ge=1)


class Experiment(Strict):
    """What every kind of member has; the file's name is its `name`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    split: int | None = Field(
        None, ge=0, description="seed of a fold table of its own, folds/DATASET.SPLIT.csv; null: the data set's"
    )
    augment: AugmentName = "medium"
    train: Train
    predict: Predict = Predict()


class Cls(Experiment):
    """Slice classifier: for each class, is it on this slice, or does the slice lie beyond labels that were cut off?"""

    kind: Literal["cls"]
    target: PresenceTarget = IS_THERE
    data: SliceData = SliceData()
    sampler: SliceSampler = SliceSampler()
    model: ClsModel
    losses: tuple[LossConfig, ...] = (Bce(on="presence"),)

    @model_validator(mode="after")
    def _losses_fit(self) -> "Cls":
        check_losses(self.losses, "sigmoid", self.train.label_smoothing, presence=True, maps=False)
        if self.data.plane != "axial":
            raise ValueError(f"data.plane: presence is by axial slice, so a classifier reads no {self.data.plane} ones")
        if isinstance(self.target, CutOff) and self.train.mix.cutmix > 0:
            raise ValueError("train.mix.cutmix: no box of a slice tells whether labels are cut off; take mixup")
        if isinstance(self.target, CutOff) and self.data.train_patch is not None:
            raise ValueError("data.train_patch: no part of a slice tells whether labels are cut off; take it out")
        if isinstance(self.target, CutOff) and self.train.pseudo is not None:
            raise ValueError("train.pseudo: where people cut labels off is not to be learnt from an ensemble's labels")
        return self


class Seg25d(Experiment):
    """2.5D segmenter: the masks of one slice from a window of slices."""

    kind: Literal["seg25d"]
    data: SliceData = SliceData()
    sampler: SliceSampler = SliceSampler()
    model: Seg25dModel
    losses: tuple[LossConfig, ...] = (Bce(), Dice())

    @model_validator(mode="after")
    def _losses_fit(self) -> "Seg25d":
        presence = self.model.presence_head != "none"
        check_losses(self.losses, self.model.activation, self.train.label_smoothing, presence, maps=True)
        if any("z" in flip for flip in self.predict.flips):
            raise ValueError("predict.flips: a slice has no z axis; flip along x, y or xy")
        if self.data.plane != "axial" and presence:
            raise ValueError(f"model.presence_head: presence is by axial slice; data.plane {self.data.plane} has none")
        if self.data.plane != "axial" and self.sampler.ignore_edges:
            raise ValueError("sampler.ignore_edges: annotations begin and end at axial slices; take data.plane axial")
        return self


class Seg3d(Experiment):
    """3D segmenter: masks from patches of a scan with a sliding window, or from whole scans."""

    kind: Literal["seg3d"]
    data: VolumeData = VolumeData()
    sampler: PatchSampler = PatchSampler()
    model: Seg3dModel
    losses: tuple[LossConfig, ...] = (Bce(), Dice())

    @model_validator(mode="after")
    def _losses_fit(self) -> "Seg3d":
        check_losses(self.losses, self.model.activation, self.train.label_smoothing, presence=False, maps=True)
        if self.data.patch is None and self.train.batch_size > 1:
            raise ValueError("data.patch: whole scans differ in size; give a patch, or train.batch_size 1")
        return self


ExperimentConfig = Annotated[Cls | Seg25d | Seg3d, Field(discriminator="kind")]
MemberConfig = Annotated[Cls | Seg25d | Seg3d | External, Field(discriminator="kind")]


def as_plain(config: Strict) -> dict[str, Any]:
    """A config with every value spelled out, as plain data."""
    return config.model_dump(mode="json")
