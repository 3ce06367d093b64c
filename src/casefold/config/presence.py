"""Schema of what a classifier says of a slice, class by class."""

from typing import Annotated, Literal

from pydantic import Field

from casefold.config.base import Strict

Foot = Literal["first", "last"]


class Presence(Strict):
    """The class is on the slice."""

    name: Literal["presence"] = "presence"


class CutOff(Strict):
    """The slice lies footward of where the class's labels were cut off, though the organ may go on.

    Labels are cut off where the class's run of slices nearest to the foot has an end too large for an organ's tip: at
    least `share` of the run's largest area. A run that reaches the scan's last slice there leaves no slice beyond it.
    """

    name: Literal["cut_off"]
    foot: Foot = Field("first", description="which of a scan's slices lies at the feet; UW-Madison's first")
    share: float = Field(0.5, gt=0, le=1, description="of the run's largest area, on one slice")
    min_slices: int = Field(3, ge=1, description="a shorter run says nothing of its ends")


PresenceTarget = Annotated[Presence | CutOff, Field(discriminator="name")]
IS_THERE = Presence()
