"""What a named augmentation does to slices of a data set, drawn on one sheet."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from casefold.config.experiments import SliceData, VolumeData
from casefold.core import Scan
from casefold.data.augment import augment_patch, augment_slice, patch_pipeline, slice_pipeline
from casefold.data.patches import cut, network_shape, resample, unit_volume
from casefold.data.slices import fit_planes, slice_window
from casefold.pipeline.project import Project
from casefold.pipeline.steps import prepare_step
from casefold.report.augment_sheet import Drawn, draw_sheet
from casefold.store import Store

ROWS, DRAWS = 4, 7


def augment_sheet_step(
    project: Project, pipeline: str, kind: Literal["seg25d", "seg3d"] = "seg25d", out: Path | None = None
) -> Path:
    """Draw the fullest slices of up to ROWS scans, then each as drawn from the keys (0, epoch, row); gives the PNG.

    kind: slices, or patches, of which the one slice is shown. Sizes and normalisation are those of the ensemble's first
    member with such data, or the schema's defaults. out: beside the ensemble's results unless given.
    """
    store = prepare_step(project)
    draw: Any = _patches(project, pipeline) if kind == "seg3d" else _slices(project, pipeline)
    rows = []
    for index, (name, z) in enumerate(_fullest(store)):
        scan = store.scan(name)
        titles = [scan.slice_names[z], *(f"epoch {epoch}" for epoch in range(DRAWS))]
        rows.append([Drawn(title, *shown) for title, shown in zip(titles, draw(scan, z, index), strict=True)])
    path = out or project.out / f"augment_{pipeline}_{kind}.png"
    draw_sheet(rows, store.classes, path)
    return path


def _fullest(store: Store) -> list[tuple[str, int]]:
    """Scan and z of the slices with most pixels in masks, one a scan."""
    counted = store.slices.assign(pixels=store.slices[list(store.classes)].sum(axis=1))
    best = counted[counted["pixels"] > 0].sort_values("pixels", ascending=False, kind="stable")
    best = best.drop_duplicates("scan").head(ROWS)
    return list(zip(best["scan"], best["z"].tolist(), strict=True))


def _data(project: Project, kind: type[Any]) -> Any:
    found = [config.data for config in project.members.values() if isinstance(config.data, kind)]  # type: ignore[attr-defined]
    return found[0] if found else kind()


def _slices(project: Project, name: str) -> Any:
    data: SliceData = _data(project, SliceData)
    pipeline = slice_pipeline(name, square=data.size[0] == data.size[1])
    plane = data.window.index(min(data.window, key=abs))

    def draw(scan: Scan, z: int, index: int) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        unit = slice_window(scan, z, data)
        masks = torch.from_numpy(scan.class_masks()[:, z].astype(np.float32))
        targets = (fit_planes(masks, data, scan.name).numpy() >= 0.5).astype(np.uint8)
        pairs = [(unit, targets), *(augment_slice(pipeline, unit, targets, (0, e, index)) for e in range(DRAWS))]
        return [(image[plane * len(scan.image)], masks > 0) for image, masks in pairs]

    return draw


def _patches(project: Project, name: str) -> Any:
    data: VolumeData = _data(project, VolumeData)
    steps = patch_pipeline(name)

    def draw(scan: Scan, z: int, index: int) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        shape = network_shape(scan.grid, data)
        masks = (resample(torch.from_numpy(scan.class_masks()).float(), shape) >= 0.5).float()
        middle = int((z + 0.5) * shape[0] / scan.grid.shape[0])
        centre = [middle, *(int(where.float().mean()) for where in torch.nonzero(masks[:, middle].any(0)).T)]
        patch = data.patch or shape
        corner = [min(max(0, c - p // 2), max(0, s - p)) for c, p, s in zip(centre, patch, shape, strict=True)]
        unit, targets = cut(unit_volume(scan, data), corner, patch), cut(masks, corner, patch)
        pairs = [(unit, targets), *(augment_patch(steps, unit, targets, (0, e, index)) for e in range(DRAWS))]
        return [
            (image[0, middle - corner[0]].numpy(), marks[:, middle - corner[0]].numpy() > 0) for image, marks in pairs
        ]

    return draw
