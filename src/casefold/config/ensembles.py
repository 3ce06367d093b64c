"""Schema of an ensemble: a data set, its members, and what tune searches."""

from typing import Literal

from pydantic import Field, model_validator

from casefold.config.base import Strict


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
