"""Predictions drawn beside truth."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from casefold.core import DataError
from casefold.files import write_bytes

# Okabe and Ito's colours, which the colour-blind can tell apart
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


@dataclass(frozen=True)
class Panel:
    """One slice: image (y, x) of any type, truth and predicted bool (class, y, x)."""

    title: str
    image: NDArray[Any]
    truth: NDArray[np.bool_]
    predicted: NDArray[np.bool_]


def draw_overlays(panels: Sequence[Panel], classes: Sequence[str], path: Path) -> None:
    """A row a slice: the image, the truth, the prediction, as PNG; raises DataError for no panels."""
    if not panels:
        raise DataError("there is no slice to draw")
    figure = Figure(figsize=(9, 3 * len(panels) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(panels), 3, squeeze=False)
    for row, panel in zip(grid, panels, strict=True):
        empty = np.zeros_like(panel.truth)
        columns = (("", empty), ("truth", panel.truth), ("prediction", panel.predicted))
        for axes, (title, masks) in zip(row, columns, strict=True):
            axes.imshow(
                panel.image, cmap="gray", vmin=np.percentile(panel.image, 1), vmax=np.percentile(panel.image, 99)
            )
            for index, mask in enumerate(masks):
                if mask.any():
                    axes.contour(mask, levels=[0.5], colors=COLOURS[index % len(COLOURS)], linewidths=1.6)
            axes.set_title(title or panel.title, fontsize=10)
            axes.set_axis_off()
    patches = [Patch(color=COLOURS[index % len(COLOURS)], label=name) for index, name in enumerate(classes)]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    write_bytes(path, stream.getvalue())
