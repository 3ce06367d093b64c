"""Schema of what is done along z to a gate's signal before its levels: steps by `name`, in the order given."""

from typing import Annotated, Literal

from pydantic import Field

from casefold.config.postprocess import Step


class Majority(Step):
    """A slice that so many slices on each side all contradict says what they say (UW-Madison 2022, 3rd: two).

    The outermost slices, which have fewer on a side, stay as they are.
    """

    name: Literal["majority"] = "majority"
    slices: int = Field(2, ge=1, description="on each side")


class Runs(Step):
    """A class begins with so many slices in a row that have it, and ends before as many that do not.

    Three for stomach and small bowel in UW-Madison's 3rd place of 2022. Beyond the last slice nothing has it.
    """

    name: Literal["runs"] = "runs"
    slices: int = Field(3, ge=2)


GateStep = Annotated[Majority | Runs, Field(discriminator="name")]
