"""What `data.crop` cuts a scan to, by the scan alone or by what a detector has found in it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from casefold.config.experiments import Cls, Experiment, Seg3d, Seg25d
from casefold.config.inputs import BodyCrop, CentreCrop, CropConfig, DetectorCrop
from casefold.core import ConfigError, DataError, Scan
from casefold.files import read_record, write_json
from casefold.views.body import body_box
from casefold.views.box import Box, centre_box, slice_box, whole_box

BOXES = "boxes.json"
FindBox = Callable[[Scan], Box]
Detect = Callable[[Path, Scan, torch.device], Box]  # a detector's run, a scan, where to compute


def crop_of(config: Experiment) -> CropConfig | None:
    """The crop of a member of any kind."""
    return config.data.crop if isinstance(config, Cls | Seg25d | Seg3d) else None


def find_box(crop: CropConfig | None, scan: Scan, detector: FindBox | None = None) -> Box:
    """What a crop leaves of a scan: along z all of it. detector: finds the box, where the crop is by a detector."""
    if crop is None:
        return whole_box(scan.grid.shape)
    if isinstance(crop, CentreCrop):
        return centre_box(scan.grid.shape, crop.share)
    if isinstance(crop, BodyCrop):
        found = body_box(scan, crop)
    elif detector is not None:
        found = detector(scan)
    else:
        raise ConfigError(f"data.crop: scan {scan.name} can't be cut by the detector {crop.member}, which is not given")
    return slice_box(found, crop.margin_px, scan.grid.shape)


def refuse_without_boxes(crop: CropConfig | None, scans: Sequence[str], boxes: Mapping[str, Box]) -> None:
    """Raise DataError where a crop is wanted and a scan has no box, so that none is read whole by mistake."""
    missing = [name for name in scans if name not in boxes]
    if crop is not None and missing:
        raise DataError(f"data.crop {crop.name} cuts every scan to its box, but none is given for {missing[:5]}")


def detector_run(crop: DetectorCrop, run: Path) -> Path:
    """Where the detector of a run lies: beside the member, under the same fold."""
    return run.parents[1] / crop.member / run.name


def stored_box(run: Path, scan: Scan, device: torch.device) -> Box:
    """The box that a detector's run has noted of a scan of its data set; `device` is not needed for that.

    Raises DataError for any other scan.
    """
    boxes = read_boxes(run)
    if scan.name not in boxes:
        raise DataError(f"{run / BOXES} has no box of scan {scan.name}; train the detector again with --redo")
    return boxes[scan.name]


def read_boxes(run: Path) -> dict[str, Box]:
    """A detector's boxes by scan."""
    path = run / BOXES
    content = read_record(path)
    try:
        return {name: Box(*((int(start), int(stop)) for start, stop in box)) for name, box in content.items()}
    except (AttributeError, TypeError, ValueError) as e:
        raise DataError(f"{path} should hold [[z0, z1], [y0, y1], [x0, x1]] by scan ({e}); train it again") from e


def write_boxes(run: Path, boxes: Mapping[str, Box]) -> None:
    """Write a detector's boxes of every scan of a data set, {scan: [[z0, z1], [y0, y1], [x0, x1]]}."""
    write_json(run / BOXES, {name: [list(box.z), list(box.y), list(box.x)] for name, box in boxes.items()})
