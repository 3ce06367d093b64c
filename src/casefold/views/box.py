"""A box of voxels in a scan."""

from dataclasses import dataclass

from casefold.core import DataError

Range = tuple[int, int]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """A box on a scan's own grid: of each axis the first voxel inside and the first one behind."""

    z: Range
    y: Range
    x: Range

    def __post_init__(self) -> None:
        for axis, (start, stop) in zip("zyx", (self.z, self.y, self.x), strict=True):
            if not 0 <= start < stop:
                raise DataError(f"a box goes from a voxel of 0 or more to a later one; along {axis}: {start} to {stop}")

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """What cuts the box out of an array (..., z, y, x)."""
        return slice(*self.z), slice(*self.y), slice(*self.x)

    @property
    def shape(self) -> Shape:
        """Voxels along z, y and x."""
        return self.z[1] - self.z[0], self.y[1] - self.y[0], self.x[1] - self.x[0]


def whole_box(shape: Shape) -> Box:
    """The box that is all of a grid."""
    depth, height, width = shape
    return Box((0, depth), (0, height), (0, width))


def centre_box(shape: Shape, share: float) -> Box:
    """The middle of every slice of a grid: this share of its height and width, a pixel at least."""
    depth, *sides = shape
    kept = [max(1, round(share * side)) for side in sides]
    y, x = ((side - own) // 2 for side, own in zip(sides, kept, strict=True))
    return Box((0, depth), (y, y + kept[0]), (x, x + kept[1]))


def slice_box(box: Box, margin_px: int, shape: Shape) -> Box:
    """A box along y and x alone, for every slice of a grid: wider by a margin, as far as the grid goes."""
    _, height, width = shape
    return Box((0, shape[0]), _wider(box.y, margin_px, height), _wider(box.x, margin_px, width))


def _wider(part: Range, margin_px: int, size: int) -> Range:
    return max(0, part[0] - margin_px), min(size, part[1] + margin_px)
