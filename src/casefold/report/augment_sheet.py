"""A sheet of what an augmentation does: a row a slice, as it is and as drawn, masks outlined."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from casefold.core import DataError
from casefold.files import write_bytes
from casefold.report.figures import COLOURS


@dataclass(frozen=True)
class Drawn:
    """One picture of the sheet: image float 0..1 (y, x), masks bool (class, y, x)."""

    title: str
    image: NDArray[np.float32]
    masks: NDArray[np.bool_]


def draw_sheet(rows: Sequence[Sequence[Drawn]], classes: Sequence[str], path: Path) -> None:
    """The pictures as PNG, all from black at 0 to white at 1; raises DataError where there is none."""
    if not rows:
        raise DataError("there is no slice with a mask to draw")
    figure = Figure(figsize=(2 * len(rows[0]), 2.2 * len(rows) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for axes, drawn in zip(grid.flat, [drawn for row in rows for drawn in row], strict=True):
        axes.imshow(drawn.image, cmap="gray", vmin=0, vmax=1)
        for index, mask in enumerate(drawn.masks):
            if mask.any() and not mask.all():
                axes.contour(mask, levels=[0.5], colors=COLOURS[index % len(COLOURS)], linewidths=1)
        axes.set_title(drawn.title, fontsize=8)
        axes.set_axis_off()
    patches = [Patch(color=COLOURS[index % len(COLOURS)], label=name) for index, name in enumerate(classes)]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    write_bytes(path, stream.getvalue())
