"""A scan at a glance: slices with mask contours, spacing and statistics, as one picture."""

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from casefold.core import Scan
from casefold.files import write_bytes
from casefold.report.figures import COLOURS

Line = Literal["solid", "dashed", "dotted", "dashdot"]
LINES: tuple[Line, ...] = get_args(Line)  # the colours come round again with another line
SHOWN = (0.5, 50.0, 99.5)  # percentiles in the header; the outer two are drawn black and white
LONGEST_PX = 1024  # of a drawn slice; a larger one is thinned
PAGE_INCHES, TITLE_INCHES, LINE_INCHES = 11.4, 0.24, 0.17


def draw_montage(
    scan: Scan, path: Path, columns: int = 6, slices: int = 24, modalities: Sequence[str] = (), colour: bool = False
) -> None:
    """Draw evenly spaced slices of a scan, each class's largest always among them, with its masks as contours; PNG.

    Several modalities (named by `modalities`) are rows of the same slices; with `colour` three of them are one RGB
    image. A scan of one slice is drawn twice, without and with its contours.
    """
    masks = None if scan.masks is None else scan.class_masks()
    layers = 1 if colour else len(scan.image)
    depth = scan.grid.shape[0]
    columns = min(columns, max(depth, 2))
    wanted = max(1, slices // layers // columns) * columns
    picked = pick_slices(masks, depth, wanted) if depth > 1 else [0, 0]
    blocks = [picked[start : start + columns] for start in range(0, len(picked), columns)]
    aspect = 1.0 if scan.grid.spacing_mm is None else scan.grid.spacing_mm[1] / scan.grid.spacing_mm[2]
    tile_inches = PAGE_INCHES / columns * aspect * scan.grid.shape[1] / scan.grid.shape[2]
    page = _page(
        layers * len(blocks), columns, tile_inches, list(_header(scan, modalities, colour)), _legend(scan, masks)
    )
    windows = [np.percentile(volume, (SHOWN[0], SHOWN[-1])) for volume in scan.image]
    for row, block in enumerate(blocks):
        for layer in range(layers):
            for column, z in enumerate(block):
                axes = page.axes[(row * layers + layer) * columns + column]
                planes, window = (scan.image[:, z], windows) if colour else (scan.image[layer, z], windows[layer])
                _show(axes, planes, window, colour, aspect)
                if depth > 1 or column:
                    _outline(axes, None if masks is None else masks[:, z])
                words = [_modality(modalities, layer)] * (layers > 1) + [f"z {z}"] * (depth > 1)
                axes.set_title("  ".join(words), fontsize=8, pad=3)
    stream = io.BytesIO()
    page.savefig(stream, format="png", dpi=110)
    write_bytes(path, stream.getvalue())


def pick_slices(masks: NDArray[np.bool_] | None, depth: int, count: int) -> list[int]:
    """`count` slices (all, where there are no more), each the middle of an equal share of the scan, in order.

    masks (class, z, y, x) or None: each class's largest slice takes the place of the nearest that is not such itself.
    """
    count = min(count, depth)
    picked = [(2 * index + 1) * depth // (2 * count) for index in range(count)]
    largest = {int(areas.argmax()) for areas in ([] if masks is None else masks.sum(axis=(2, 3))) if areas.any()}
    for z in sorted(largest - set(picked)):
        free = [other for other in picked if other not in largest]
        if free:
            picked.remove(min(free, key=lambda other: abs(other - z)))
        picked.append(z)
    return sorted(picked)


def _header(scan: Scan, modalities: Sequence[str], colour: bool) -> Iterator[str]:
    z, y, x = scan.grid.shape
    spacing = scan.grid.spacing_mm
    where = "spacing unknown" if spacing is None else " x ".join(f"{length:.4g}" for length in spacing) + " mm"
    yield f"case {scan.case}   scan {scan.name}"
    yield f"{z} x {y} x {x} voxels (z, y, x)   {where}   {scan.image.dtype}"
    names = list("RGB") if colour else [_modality(modalities, index) for index in range(len(scan.image))]
    names = names if len(names) > 1 else ["intensity"]
    words = ("min", *(f"{p:g} %" for p in SHOWN), "max")
    for name, volume in zip(names, scan.image, strict=True):
        values = np.percentile(volume, (0, *SHOWN, 100))
        cells = (f"{word} {value:.6g}".ljust(18) for word, value in zip(words, values, strict=True))
        yield name.ljust(max(map(len, names)) + 3) + "".join(cells).rstrip()
    if scan.masks is None:
        yield "no labels"


def _legend(scan: Scan, masks: NDArray[np.bool_] | None) -> list[Line2D]:
    """A line a class, with its voxels, slices and, where the spacing is known, volume."""
    if masks is None:
        return []
    voxel_mm3 = None if scan.grid.spacing_mm is None else math.prod(scan.grid.spacing_mm)
    handles = []
    for index, (name, mask) in enumerate(zip(scan.classes, masks, strict=True)):
        count = int(mask.sum())
        volume = "" if voxel_mm3 is None else f", {_plain(count * voxel_mm3)} mm³"
        where = f", on {int(mask.any(axis=(1, 2)).sum())} of {len(mask)} slices" if len(mask) > 1 else ""
        text = f"{name}: {count:,} voxels{volume}{where}"
        handles.append(Line2D([], [], color=_colour(index), linestyle=_line(index), linewidth=2, label=text))
    return handles


def _page(rows: int, columns: int, tile_inches: float, header: list[str], legend: list[Line2D]) -> Figure:
    """An empty page: the header's lines, rows x columns of axes with room for a title above each, the legend."""
    top, bottom = LINE_INCHES * (len(header) + 1), 0.22 * math.ceil(len(legend) / 2) + 0.1
    height = rows * (tile_inches + TITLE_INCHES) + top + bottom
    figure = Figure(figsize=(PAGE_INCHES, height))
    FigureCanvasAgg(figure)
    figure.text(0.01, 1 - 0.1 / height, "\n".join(header), va="top", family="monospace", fontsize=8.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    gap = TITLE_INCHES / tile_inches
    figure.subplots_adjust(0.005, bottom / height, 0.995, 1 - (top + TITLE_INCHES) / height, wspace=0.03, hspace=gap)
    for axes in grid.flat:
        axes.set_axis_off()
    if legend:
        figure.legend(handles=legend, loc="lower left", ncols=2, frameon=False, fontsize=9)
    return figure


def _show(axes: Axes, planes: NDArray[Any], window: Any, colour: bool, aspect: float) -> None:
    step = math.ceil(max(planes.shape[-2:]) / LONGEST_PX)
    height, width = planes.shape[-2:]
    planes = planes[..., ::step, ::step].astype(np.float32)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    if colour:
        top = max(high for _, high in window)  # one scale for the three, so that colours stay as they are
        axes.imshow(np.moveaxis(planes / (top or 1), 0, -1).clip(0, 1), extent=extent, aspect=aspect)
    else:
        axes.imshow(planes, cmap="gray", vmin=window[0], vmax=window[1], extent=extent, aspect=aspect)


def _outline(axes: Axes, masks: NDArray[np.bool_] | None) -> None:
    for index, mask in enumerate([] if masks is None else masks):
        if mask.any():
            step = math.ceil(max(mask.shape) / LONGEST_PX)
            closed = np.pad(mask[::step, ::step], 1)  # so that a mask at the border has a contour all round
            y, x = (np.arange(-1, size - 1) * step for size in closed.shape)
            axes.contour(x, y, closed, levels=[0.5], colors=_colour(index), linestyles=_line(index), linewidths=1.2)
            axes.set(xlim=(-0.5, mask.shape[1] - 0.5), ylim=(mask.shape[0] - 0.5, -0.5))


def _plain(number: float) -> str:
    """A volume with three digits at least, and never as a power of ten."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _modality(names: Sequence[str], index: int) -> str:
    return names[index] if index < len(names) else f"modality {index}"


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _line(index: int) -> Line:
    return LINES[index // len(COLOURS) % len(LINES)]
