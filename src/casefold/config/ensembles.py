"""Schema of an ensemble: a data set, its members, and what tune searches."""

from typing import Literal

from pydantic import Field, model_validator

from casefold.config.base import Strict
from casefold.config.gates import GateStep
from casefold.config.postprocess import DropRuns, LargestComponents, SmallComponents, StepConfig

PRESENCE_LEVELS = (0, 13, 26, 51, 77, 102, 128, 153, 179, 204)
PIXEL_COUNTS = (0, 1, 5, 10, 20, 50, 100, 200, 400)
Objective = Literal["dice_case", "dice_scan", "dice_slice", "uw_score"]


class Gate(Strict):
    """Stage one: a class is kept on a slice only where the gate's signal for it reaches a level.

    The signal is the mean presence of the members, or the pixels of their mean map at level 128 on that slice (as
    UW-Madison's 1st place counted them).
    """

    members: tuple[str, ...] = Field(min_length=1)
    source: Literal["presence", "pixels"] = "presence"
    levels: tuple[int, ...] | None = Field(
        None, description="tried by tune, 0 is no gate; null: a ladder of its source"
    )
    along_z: tuple[GateStep, ...] = Field((), description="what neighbouring slices do to a slice's signal")

    @property
    def ladder(self) -> tuple[int, ...]:
        """The levels that tune tries, 0 first, ascending."""
        own = self.levels if self.levels is not None else _LADDERS[self.source]
        return tuple(sorted({0, *own}))


_LADDERS = {"presence": PRESENCE_LEVELS, "pixels": PIXEL_COUNTS}


class Tune(Strict):
    """What tune searches on OOF, and for what."""

    objective: Objective = "dice_case"
    weight_steps: int = Field(4, ge=1, description="a member's weight is a whole number up to this; 1: in or out")
    weights_by: Literal["class", "all"] = Field("all", description="weights of their own for each class, or one set")
    levels: tuple[int, ...] = Field(tuple(range(13, 250, 12)), description="mask levels tried, 1..255")
    peaks: tuple[int, ...] = Field(
        (24, 48, 96), description="tried above the level: a component is kept only where it reaches that (hysteresis)"
    )
    averages: tuple[Literal["probabilities", "logits"], ...] = ("probabilities", "logits")
    post: tuple[tuple[StepConfig, ...], ...] = Field(
        (
            tuple(SmallComponents(min_voxels=size) for size in (20, 100, 500)),
            tuple(LargestComponents(k=count) for count in (1, 2)),
            tuple(DropRuns(min_slices=length) for length in (2, 3)),
        ),
        description="post-processing in this order: of each group one step or none, by class",
    )
    seconds_a_scan: float | None = Field(None, gt=0, description="budget: members are added only up to this")
    rungs: int = Field(3, ge=1, description="complete recipes to write, each cheaper than the one before")
    trusted: tuple[str, ...] = Field((), description="members that the sanity checks may not refuse")
    partition_folds: int = Field(5, ge=2, description="parts of the cross-fitting partition")
    partition_seed: int = 77

    @model_validator(mode="after")
    def _levels_fit(self) -> "Tune":
        if not self.levels or min(self.levels) < 1 or max(self.levels) > 255:
            raise ValueError(f"levels should lie in 1..255: {self.levels}")
        if any(peak < 1 for peak in self.peaks):
            raise ValueError(f"peaks are steps above the level, 1 or more: {self.peaks}")
        if not self.averages:
            raise ValueError("averages: name probabilities, logits, or both")
        return self


class Ensemble(Strict):
    """A data set, the members on it, and what to search. post: steps that are always taken, after those tuned."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    dataset: str
    members: tuple[str, ...] = Field(min_length=1, description="config files below configs/, without `.yaml`")
    gate: Gate | None = None
    tune: Tune = Tune()
    post: tuple[StepConfig, ...] = ()
    models: Literal["folds", "full"] = Field(
        "folds", description="what submits: the mean of the folds, or the full twin"
    )

    @model_validator(mode="after")
    def _members_named_once(self) -> "Ensemble":
        stems = [member.rsplit("/", 1)[-1] for member in self.members]
        if len(set(stems)) != len(stems):
            raise ValueError(f"members: a name stands twice in {stems}")
        for name in self.gate.members if self.gate is not None else ():
            if name not in stems:
                raise ValueError(f"gate.members: {name!r} is not among the members {stems}")
        return self
