"""Schema of the losses: each a term by `name`, with its weight, the output it reads and its own numbers."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from casefold.config.base import Strict

ON_PRESENCE = ("bce", "focal", "mse")
SMOOTHED = ("bce", "ce", "focal", "border_ce")


class Term(Strict):
    """What every term has; `on` says which output it reads."""

    name: str
    weight: float = Field(1.0, gt=0)
    on: Literal["maps", "presence"] = "maps"


class Region(Term):
    """A term over a whole region: pooled over the batch's voxels, or sample by sample; a mean over the classes."""

    pool: Literal["batch", "sample"] = "batch"
    present_only: bool = Field(
        False, description="only classes that the truth of the batch (or sample) holds count; 0 where there is none"
    )


class Bce(Term):
    """Binary cross-entropy by class."""

    name: Literal["bce"] = "bce"
    pos_weight: float = Field(1.0, gt=0, description="of what is to be found against what is not")


class Ce(Term):
    """Cross-entropy over the classes and background; where masks overlap the first class counts."""

    name: Literal["ce"] = "ce"


class Mse(Term):
    """Squared error of the probabilities (the Brier score)."""

    name: Literal["mse"] = "mse"


class Focal(Term):
    """Focal loss (Lin 2017): cross-entropy times (1 - p) ** gamma, p the probability of the truth."""

    name: Literal["focal"] = "focal"
    gamma: float = Field(2.0, ge=1)
    alpha: float | None = Field(
        None, gt=0, lt=1, description="weight of what is to be found; 1 - alpha of the rest; null: 1 for both"
    )


class BorderCe(Term):
    """Cross-entropy weighted up between close objects (Ronneberger 2015), slice by slice: `bce` or `ce` by activation.

    A voxel weighs 1 + w0 exp(-(d1 + d2)^2 / (2 sigma_px^2)), d1 and d2 the distances to the nearest two objects.
    Slow: a distance map for each object at every step.
    """

    name: Literal["border_ce"] = "border_ce"
    w0: float = Field(10.0, ge=0)
    sigma_px: float = Field(5.0, gt=0)


class Dice(Region):
    """Soft Dice, 1 - 2 I / (P + L)."""

    name: Literal["dice"] = "dice"
    squared: bool = Field(False, description="squares in the denominator (Milletari 2016)")


class Iou(Region):
    """Soft intersection over union (Jaccard), 1 - I / (P + L - I)."""

    name: Literal["iou"] = "iou"


class DiceFp(Region):
    """Dice with a penalty p on false positives: I the common sum, L that of the truth, P that of the prediction.

    bounded: 1 - (1 + p) I / (L + p P), in 0..1, 0 where all is right. literal, as a report of BraTS 2024 has it:
    1 - 2 p I / (L + p P), which is not bound to 0..1: where all is right, or no class counts, it is (1 - p) / (1 + p),
    below 0 for p > 1. With p = 1 both are soft Dice.
    """

    name: Literal["dice_fp"] = "dice_fp"
    p: float = Field(2.0, gt=0)
    form: Literal["bounded", "literal"] = "bounded"


class Tversky(Region):
    """Tversky loss (Salehi 2017): false positives weigh alpha, false negatives beta; 0.5 and 0.5 are Dice."""

    name: Literal["tversky"] = "tversky"
    alpha: float = Field(0.3, ge=0)
    beta: float = Field(0.7, ge=0)


class FocalTversky(Region):
    """Focal Tversky (Abraham 2019): the Tversky loss of each class to the power of 1 / gamma."""

    name: Literal["focal_tversky"] = "focal_tversky"
    alpha: float = Field(0.3, ge=0)
    beta: float = Field(0.7, ge=0)
    gamma: float = Field(4 / 3, ge=1, le=3)


class Lovasz(Region):
    """Lovász extension of the IoU (Berman 2018): of the hinge under sigmoid, of the probabilities under softmax."""

    name: Literal["lovasz"] = "lovasz"
    symmetric: bool = Field(False, description="the mean of this and of the same for what lies outside each class")


class GeneralizedDice(Region):
    """Generalised Dice (Sudre 2017): one Dice over all classes, each weighted by 1 / volume^2 of its truth.

    An absent class takes the largest weight there is; where every class is absent the term is 0.
    """

    name: Literal["generalized_dice"] = "generalized_dice"


class HausdorffDt(Term):
    """Squared error times distance to both surfaces ** alpha (Karimi 2019), in voxels. Slow: tens of times Dice.

    It is 0 where neither truth nor prediction (above one half) holds anything: put a region term beside it.
    """

    name: Literal["hausdorff_dt"] = "hausdorff_dt"
    alpha: float = Field(2.0, gt=0)


LossConfig = Annotated[
    Bce
    | Ce
    | Mse
    | Focal
    | BorderCe
    | Dice
    | Iou
    | DiceFp
    | Tversky
    | FocalTversky
    | Lovasz
    | GeneralizedDice
    | HausdorffDt,
    Field(discriminator="name"),
]


def check_losses(losses: Sequence[Term], activation: str, smoothing: float, presence: bool, maps: bool) -> None:
    """Raise ValueError for a term that the member's outputs, activation or label smoothing give no sense to."""
    for index, loss in enumerate(losses):
        if loss.on == "maps" and not maps:
            raise ValueError(f"losses[{index}]: this kind has no maps; write `on: presence`")
        if loss.on == "presence" and not presence:
            raise ValueError(f"losses[{index}]: there is no presence output; set model.presence_head")
        if loss.on == "presence" and loss.name not in ON_PRESENCE:
            raise ValueError(f"losses[{index}]: {loss.name!r} is for maps; presence takes {', '.join(ON_PRESENCE)}")
        if loss.name == "ce" and activation != "softmax":
            raise ValueError(f"losses[{index}]: `ce` wants model.activation softmax; sigmoid goes with `bce`")
        if loss.on == "maps" and loss.name == "bce" and activation == "softmax":
            raise ValueError(f"losses[{index}]: `bce` wants model.activation sigmoid; softmax goes with `ce`")
        if isinstance(loss, Tversky | FocalTversky) and loss.alpha == loss.beta == 0:
            raise ValueError(f"losses[{index}]: alpha and beta are both 0, so no error would count")
    wanted = "maps" if maps else "presence"
    if not any(loss.on == wanted for loss in losses):
        raise ValueError(f"losses: none is on {wanted}, so the {wanted} would never be trained")
    if smoothing > 0 and not any(loss.name in SMOOTHED for loss in losses):
        raise ValueError(f"train.label_smoothing: no loss heeds it; those that do are {', '.join(SMOOTHED)}")
