"""What a named augmentation does to slices of a data set, drawn on one sheet."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from casefold.config.inputs import SliceData, VolumeData
from casefold.core import Scan
from casefold.data.augment import augment_patch, augment_slice, patch_pipeline, slice_pipeline
from casefold.data.normalize import Floats
from casefold.data.patches import network_shape, resample, unit_volume
from casefold.data.slices import cut_patch, fit_planes, slice_window
from casefold.pipeline.project import Project
from casefold.pipeline.steps import prepare_step
from casefold.report.augment_sheet import Drawn, draw_sheet
from casefold.store import Store

ROWS, DRAWS = 4, 7
Row = Callable[[Scan, int, int], list[Drawn]]


def augment_sheet_step(
    project: Project, pipeline: str, kind: Literal["seg25d", "seg3d"] = "seg25d", out: Path | None = None
) -> Path:
    """Draw the fullest slices of up to ROWS scans, then each as drawn from the keys (0, epoch, row); gives the PNG.

    kind: slices, or patches round them, of which the middle slice is shown. Sizes and normalisation are those of the
    ensemble's first member with such data, or the schema's defaults; slices are axial and whole, whatever its view,
    and where it trains on random parts (`train_patch`), the draws show these.
    out: beside the ensemble's results unless given.
    """
    store = prepare_step(project)
    row = _patches(project, pipeline) if kind == "seg3d" else _slices(project, pipeline)
    kept = project.table(store).kept_for_test(store) if project.table_path.is_file() else []
    rows = [row(store.scan(name), z, index) for index, (name, z) in enumerate(_fullest(store, kept))]
    path = out or project.out / f"augment_{pipeline}_{kind}.png"
    draw_sheet(rows, store.classes, path)
    return path


def _fullest(store: Store, kept: Sequence[str]) -> list[tuple[str, int]]:
    """Scan and z of the slices with most pixels in masks, one a scan; none of the scans that are kept for the test."""
    slices = store.slices[~store.slices["scan"].isin(kept)]
    counted = slices.assign(pixels=slices[list(store.classes)].sum(axis=1))
    best = counted[counted["pixels"] > 0].sort_values("pixels", ascending=False, kind="stable")
    best = best.drop_duplicates("scan").head(ROWS)
    return list(zip(best["scan"], best["z"].tolist(), strict=True))


def _data(project: Project, kind: type[Any]) -> Any:
    found = [config.data for config in project.trained.values() if isinstance(config.data, kind)]  # type: ignore[attr-defined]
    return found[0] if found else kind()


def _slices(project: Project, name: str) -> Row:
    data: SliceData = _data(project, SliceData)
    pipeline = slice_pipeline(name, square=data.size[0] == data.size[1])
    nearest = data.window.index(min(data.window, key=abs))

    def draw(unit: Floats, targets: NDArray[np.uint8], key: tuple[int, ...]) -> tuple[Floats, NDArray[np.uint8]]:
        return cut_patch(*augment_slice(pipeline, unit, targets, key), data.train_patch, key)

    def row(scan: Scan, z: int, index: int) -> list[Drawn]:
        unit = slice_window(scan, z, data)
        masks = torch.from_numpy(scan.class_masks()[:, z].astype(np.float32))
        targets = (fit_planes(masks, data, scan.name, scan.grid.spacing_mm).numpy() >= 0.5).astype(np.uint8)
        pairs = [(unit, targets), *(draw(unit, targets, (0, e, index)) for e in range(DRAWS))]
        titles = _titles(scan, z)
        plane = nearest * len(scan.image)
        return [Drawn(title, image[plane], marks > 0) for title, (image, marks) in zip(titles, pairs, strict=True)]

    return row


def _patches(project: Project, name: str) -> Row:
    data: VolumeData = _data(project, VolumeData)
    steps = patch_pipeline(name)

    def row(scan: Scan, z: int, index: int) -> list[Drawn]:
        shape, classes = network_shape(scan.grid, data), scan.class_masks()
        masks = (resample(torch.from_numpy(classes).float(), shape) >= 0.5).float()
        where = np.array([z, *np.argwhere(classes[:, z].any(0)).mean(0)]) + 0.5
        centre = [int(place) for place in where * shape / scan.grid.shape]
        size = data.patch or shape
        depth = 2 * min(centre[0], shape[0] - 1 - centre[0], (size[0] - 1) // 2) + 1
        patch = [depth, min(size[1], shape[1]), min(size[2], shape[2])]
        corner = [min(max(c - p // 2, 0), s - p) for c, p, s in zip(centre, patch, shape, strict=True)]
        here = (slice(None), *(slice(c, c + p) for c, p in zip(corner, patch, strict=True)))
        unit, targets = unit_volume(scan, data)[here], masks[here]
        pairs = [(unit, targets), *(augment_patch(steps, unit, targets, (0, e, index)) for e in range(DRAWS))]
        titles, middle = _titles(scan, z), patch[0] // 2
        return [
            Drawn(title, image[0, middle].numpy(), marks[:, middle].numpy() > 0)
            for title, (image, marks) in zip(titles, pairs, strict=True)
        ]

    return row


def _titles(scan: Scan, z: int) -> list[str]:
    return [f"{scan.name}, z {z}", *(f"epoch {epoch}" for epoch in range(DRAWS))]
