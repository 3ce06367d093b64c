"""Schema of how a member is trained: optimisers, schedules, averages of weights, mixing, and the loop's own numbers."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from casefold.config.base import Strict


class AdamW(Strict):
    """Adam with decoupled weight decay (Loshchilov 2019)."""

    name: Literal["adamw"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)


class Adam(Strict):
    """Adam (Kingma 2015); weight decay is an L2 term of the gradient."""

    name: Literal["adam"]
    betas: tuple[float, float] = (0.9, 0.999)


class Sgd(Strict):
    """Stochastic gradient descent with momentum; weight decay is an L2 term of the gradient."""

    name: Literal["sgd"]
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = True


class Adadelta(Strict):
    """Adadelta (Zeiler 2012)."""

    name: Literal["adadelta"]
    rho: float = Field(0.9, gt=0, lt=1)


OptimizerConfig = Annotated[AdamW | Adam | Sgd | Adadelta, Field(discriminator="name")]


class _Warm(Strict):
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps over which the rate climbs to its full")


class Cosine(_Warm):
    """Half a cosine from the full rate down to `final` of it."""

    name: Literal["cosine"] = "cosine"
    final: float = Field(0.0, ge=0, le=1)


class Poly(_Warm):
    """(1 - progress) ** power, as nnU-Net's 0.9."""

    name: Literal["poly"]
    power: float = Field(0.9, gt=0)


class Linear(_Warm):
    """A straight line from the full rate down to `final` of it."""

    name: Literal["linear"]
    final: float = Field(0.0, ge=0, le=1)


class OneCycle(Strict):
    """Up by half a cosine from 1/25 of the rate, then down by half a cosine to 1/10,000 of that (Smith 2018)."""

    name: Literal["one_cycle"]
    rise: float = Field(0.3, gt=0, lt=1, description="share of the steps on the way up")


class Steps(_Warm):
    """The rate is multiplied by `factor` at each share of the steps."""

    name: Literal["steps"]
    at: tuple[float, ...] = Field((0.5, 0.75), min_length=1)
    factor: float = Field(0.1, gt=0, lt=1)


class Restarts(_Warm):
    """Cosines one after the other (SGDR, Loshchilov 2017), each `longer` times the one before."""

    name: Literal["restarts"]
    count: int = Field(3, ge=1)
    longer: float = Field(1.0, ge=1)


class Constant(_Warm):
    """The full rate throughout."""

    name: Literal["constant"]


ScheduleConfig = Annotated[Cosine | Poly | Linear | OneCycle | Steps | Restarts | Constant, Field(discriminator="name")]


class Ema(Strict):
    """Exponential moving average of the weights, with warm-up min(decay, (1 + n) / (10 + n))."""

    name: Literal["ema"] = "ema"
    decay: float = Field(0.999, gt=0, lt=1)


class Swa(Strict):
    """Mean of the weights at the end of each of the last epochs; batch statistics are computed anew at the end."""

    name: Literal["swa"]
    start: float = Field(0.75, ge=0, lt=1, description="share of the epochs after which snapshots are taken")


class NoAverage(Strict):
    """The last raw weights are used."""

    name: Literal["none"]


class Mix(Strict):
    """Shares of the batches that are mixed: mixup (Zhang 2018) or cutmix (Yun 2019), the rest left as it is."""

    mixup: float = Field(0.0, ge=0, le=1)
    cutmix: float = Field(0.0, ge=0, le=1)
    alpha: float = Field(1.0, gt=0, description="of the Beta distribution that the mixing weight is drawn from")
    cutmix_alpha: float | None = Field(None, gt=0, description="the same, of cutmix alone; null: alpha")

    @model_validator(mode="after")
    def _shares(self) -> "Mix":
        if self.mixup + self.cutmix > 1:
            raise ValueError(
                f"mixup {self.mixup} and cutmix {self.cutmix} are shares of the batches: at most 1 together"
            )
        return self


class InitFrom(Strict):
    """Weights to begin with: another member's run on this data set (the same fold, or another), or a file.

    What does not match in name and shape stays as it was built and is named in the log. A run's seen cases are
    carried on; a file below CASEFOLD_DATA (a MONAI bundle's `model.pt`, say) must say whose cases it saw, in `seen`.
    """

    member: str | None = None
    fold: Literal["same", "full"] | int = "same"
    file: str | None = None
    seen: tuple[str, ...] = Field((), description="cases of this data set that the file's weights learnt from")

    @model_validator(mode="after")
    def _one_source(self) -> "InitFrom":
        if (self.member is None) == (self.file is None):
            raise ValueError("give a `member` or a `file`, and only one of the two")
        return self


class PseudoLabels(Strict):
    """Scans that `casefold pseudo` had labelled by an ensemble of this data set: they train, and are never scored.

    Each fold takes those that the same fold's models labelled; what these have seen counts as seen.
    """

    ensemble: str
    share: float = Field(0.5, gt=0, lt=1, description="of the scans that train, at most; the most confident ones")


class Train(Strict):
    """How a member is trained."""

    epochs: int = Field(ge=1)
    steps: int | None = Field(None, ge=1, description="in all: cuts the last epoch short; null: whole epochs")
    batch_size: int = Field(16, ge=1, description="of each process")
    accumulate: int = Field(1, ge=1, description="batches whose gradients make one step")
    lr: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    l1: float = Field(0.0, ge=0, description="weight of the mean absolute value of all weights in the loss")
    optimizer: OptimizerConfig = AdamW()
    schedule: ScheduleConfig = Cosine()
    clip_norm: float | None = Field(12.0, gt=0)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    average: Annotated[Ema | Swa | NoAverage, Field(discriminator="name")] = Ema()
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="targets t become t (1 - s) + s / 2")
    mix: Mix = Mix()
    init_from: InitFrom | None = None
    pseudo: PseudoLabels | None = None
    compile: bool = Field(False, description="torch.compile")
    gradient_checkpointing: bool = Field(
        False,
        description="compute activations again going back instead of keeping them: less memory, more time, the same "
        "gradients; batch norms within count each batch twice in their running statistics",
    )
    validate_every: int = Field(5, ge=1, description="epochs between validations on whole scans; the last always is")
    patience: int | None = Field(
        None, ge=1, description="stop after so many validations without a better one and keep the best: early stopping"
    )
    seed: int = 0
