"""Schema of post-processing: steps by `name`, applied in the order given to the masks of one scan, class by class."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from casefold.config.base import Strict
from casefold.config.presence import Foot
from casefold.core import HALF


class Step(Strict):
    """What every step has: the classes it treats."""

    name: str
    classes: tuple[str, ...] | None = Field(None, min_length=1, description="null: every class")

    @model_validator(mode="after")
    def _classes_named_once(self) -> "Step":
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes: a class is named twice in {list(self.classes)}")
        return self


class Sized(Step):
    """A step with a size: of a thing in the scan (voxels, mm3), or of one in a single slice (pixels, mm2).

    Things of the scan hang together in 3D, things of a slice within it alone.
    """

    SIZES: ClassVar[dict[str, tuple[str, str]]]

    by: Literal["scan", "slice"] = "scan"

    @property
    def size(self) -> tuple[str, float] | None:
        """The field that gives the size, and its value."""
        given = {field: value for pair in self.SIZES.values() for field in pair if (value := getattr(self, field))}
        return next(iter(given.items()), None)

    @model_validator(mode="after")
    def _one_size(self) -> "Sized":
        given = [field for pair in self.SIZES.values() for field in pair if getattr(self, field) is not None]
        wrong = [field for field in given if field not in self.SIZES[self.by]]
        if wrong or len(given) > 1:
            raise ValueError(f"{self.name} by {self.by} takes one of {', '.join(self.SIZES[self.by])}, not {given}")
        return self


class SmallComponents(Sized):
    """Components smaller than a size are dropped; one of just that size stays."""

    SIZES: ClassVar = {"scan": ("min_voxels", "min_mm3"), "slice": ("min_pixels", "min_mm2")}

    name: Literal["small_components"] = "small_components"
    connectivity: Literal[6, 18, 26] = Field(26, description="by slice 6 stands for 4 neighbours, 18 and 26 for 8")
    min_voxels: int | None = Field(None, ge=2)
    min_mm3: float | None = Field(None, gt=0)
    min_pixels: int | None = Field(None, ge=2)
    min_mm2: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _has_a_size(self) -> "SmallComponents":
        if self.size is None:
            raise ValueError(f"small_components by {self.by} wants one of {', '.join(self.SIZES[self.by])}")
        return self


class LargestComponents(Step):
    """Only the k largest components stay, of the scan or of each slice; of equal ones the first in the scan."""

    name: Literal["largest_components"] = "largest_components"
    k: int = Field(1, ge=1)
    by: Literal["scan", "slice"] = "scan"
    connectivity: Literal[6, 18, 26] = Field(26, description="by slice 6 stands for 4 neighbours, 18 and 26 for 8")


class FillHoles(Sized):
    """Background that no path over faces (by slice: over sides of pixels) leads out of is filled, up to a size.

    A path that reaches the scan's border is out.
    """

    SIZES: ClassVar = {"scan": ("max_voxels", "max_mm3"), "slice": ("max_pixels", "max_mm2")}

    name: Literal["fill_holes"] = "fill_holes"
    max_voxels: int | None = Field(None, ge=1, description="no size given: every hole")
    max_mm3: float | None = Field(None, gt=0)
    max_pixels: int | None = Field(None, ge=1)
    max_mm2: float | None = Field(None, gt=0)


class FillGaps(Step):
    """Up to so many slices without the class between two with it are filled with shapes between those two.

    The shape is where the signed distance to the outline, blended linearly along z, is inside (Raya and Udupa 1990). A
    gap in which a slice would stay empty is left as it is: its ends lie too far apart in the plane.
    """

    name: Literal["fill_gaps"] = "fill_gaps"
    max_slices: int = Field(ge=1)


class DropRuns(Step):
    """A class's runs of neighbouring slices along z are dropped where shorter than so many; 2 drops lone slices."""

    name: Literal["drop_runs"] = "drop_runs"
    min_slices: int = Field(ge=2)


class DropEnds(Step):
    """The scan's first and last slices are emptied, and the first and last pixel rows (along y) of each slice."""

    name: Literal["drop_ends"] = "drop_ends"
    first_slices: int = Field(0, ge=0)
    last_slices: int = Field(0, ge=0)
    edge_px: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _drops_something(self) -> "DropEnds":
        if not (self.first_slices or self.last_slices or self.edge_px):
            raise ValueError("drop_ends wants first_slices, last_slices or edge_px above 0")
        return self


class Truncate(Step):
    """Slices before the first and after the last one on which a member's presence reaches a level are emptied.

    The member says on which slices a label can be; presence of one class counts for all. Where no slice reaches the
    level, all are emptied.
    foot: the member says instead which slices lie footward of labels that were cut off (a `cls` of target `cut_off`).
    Its slices from the foot on are emptied, up to where the presence above the level, summed, is largest: no slice
    alone decides, and where none reaches the level, none is emptied.
    """

    name: Literal["truncate"] = "truncate"
    member: str
    level: int = Field(HALF, ge=1, le=255)
    foot: Foot | None = None


class Overlap(Step):
    """A voxel of several of the classes stays with one of them; without this step, with all.

    priority: the class named first (null: in the data set's order). largest: that of the largest q - level, of equal
    ones the class named first.
    """

    name: Literal["overlap"] = "overlap"
    rule: Literal["priority", "largest"]


StepConfig = Annotated[
    SmallComponents | LargestComponents | FillHoles | FillGaps | DropRuns | DropEnds | Truncate | Overlap,
    Field(discriminator="name"),
]
