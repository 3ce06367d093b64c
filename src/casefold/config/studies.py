"""Schema of a study: networks held side by side on one data set, trained on more and on fewer cases."""

from typing import Annotated

from pydantic import Field, model_validator

from casefold.config.base import Strict
from casefold.config.experiments import Flip

Share = Annotated[float, Field(gt=0, le=1)]


class Budget(Strict):
    """How long each run trains: by the clock, or by steps, whatever its network and however few its cases.

    Minutes are of the steps, with the loading of their batches, as a short measurement foretells them: on a CPU its own
    time, on a GPU by the clock. The validation at the end comes on top.
    """

    minutes: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one(self) -> "Budget":
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("a budget is either `minutes` or `steps`; give one of the two")
        return self


class Unlike(Strict):
    """How the held-out scans are changed into some that are unlike those that train; each is a test of its own."""

    rotated_deg: tuple[float, ...] = Field((30.0,), description="turns of the axial slices, clockwise as drawn")
    flipped: tuple[Flip, ...] = Field(("x", "y", "z"), description="axes, turned round together where several stand")

    @property
    def names(self) -> list[str]:
        """What the tests are called, in order."""
        return [f"rotated {degrees:g}" for degrees in self.rotated_deg] + [f"flipped {axes}" for axes in self.flipped]

    @model_validator(mode="after")
    def _named_once(self) -> "Unlike":
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice} stand more than once")
        return self


class Study(Strict):
    """Members that are each trained on every share of a data set's training cases and tested on the cases held out.

    The cases of a smaller share are among those of a larger one. How many steps a member trains follows from the
    budget, and it is validated at the end alone, whatever its own config says.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    dataset: str
    members: tuple[str, ...] = Field(min_length=1, description="config files below configs/, without `.yaml`")
    fold: int = Field(0, ge=0, description="of the data set's fold table: its cases are held out of every run")
    shares: tuple[Share, ...] = Field((1.0, 0.3, 0.1), min_length=1, description="of the cases that may train")
    seed: int = Field(0, description="which cases a smaller share has")
    budget: Budget
    unlike: Unlike = Unlike()

    @model_validator(mode="after")
    def _named_once(self) -> "Study":
        for field, given in (("members", [path.rsplit("/", 1)[-1] for path in self.members]), ("shares", self.shares)):
            if len(set(given)) != len(given):
                raise ValueError(f"{field}: one stands twice in {list(given)}")
        return self
