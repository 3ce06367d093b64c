"""One scan of the phantom, drawn, before it is written in any format."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casefold.readers import Part
from casefold.readers.phantom.anatomy import WIDTH_MM, draw

SEED = 7
SCALE = 1200.0  # the brightest tissue's value


@dataclass(frozen=True)
class Drawn:
    """image: uint16 (z, y, x). organs: uint8, 0 where there is none, else its place in `anatomy.CLASSES`, from 1 on."""

    case: str
    part: Part
    image: NDArray[np.uint16]
    organs: NDArray[np.uint8]

    def painted(self, values: list[int], nothing: int = 0) -> NDArray[np.uint8]:
        """A label map: each organ has one of these values, in their order; one for which there is none is nothing."""
        given = [nothing, *values, nothing, nothing, nothing]
        painted: NDArray[np.uint8] = np.array(given, np.uint8)[self.organs]
        return painted


def drawn(number: int, part: Part, depth: int = 12, side: int = 64) -> Drawn:
    """The scan of a case; where organs overlap the later class has the voxel."""
    drawing = draw(SEED, number, 0, (depth, side, side), pixel_mm=WIDTH_MM / side, span=depth, scale=SCALE, cut=False)
    organs = np.zeros(drawing.image.shape, np.uint8)
    for place, mask in enumerate(drawing.labels, start=1):
        organs[mask] = place
    return Drawn(f"phantom{number:02d}", part, drawing.image, organs)
