"""The one table of readers, and the calls every reader answers."""

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.base import Dataset
from casefold.config.datasets import ImagesDataset, NiftiDataset, UwmgiDataset
from casefold.config.masks import UWMGI_FORM, UWMGI_TRUTH, FileMasks, RleForm, RleMasks
from casefold.core import ConfigError, Masks, Scan
from casefold.filters import apply_filters
from casefold.readers import Part, RawScan, Report, refuse

log = logging.getLogger(__name__)
READERS = ("uwmgi", "phantom", "nifti", "dicom", "images")  # each a module of this package


def find(config: Dataset, root: Path, part: Part, folder: Path | None = None, report: Report = refuse) -> list[RawScan]:
    """The scans of a part, or those in `folder` (never labelled); an absent or empty test folder gives none.

    Training scans come from all roots of the data set, `root` being its first: a name that an earlier root has is not
    taken again. Test scans come from the first alone.
    """
    found: list[RawScan] = _reader(config).find(config, root, part, folder, report)
    if part == "test" or folder is not None:
        return found
    for other in config.joined:
        known = {raw.name for raw in found}
        more: list[RawScan] = _reader(config).find(config, _beside(config, root, other), part, None, report)
        log.info("%s adds %d scans; %d have the name of an earlier one", other,
                 sum(raw.name not in known for raw in more), sum(raw.name in known for raw in more))  # fmt: skip
        found += [raw for raw in more if raw.name not in known]
    return found


def cases_of_first_root(config: Dataset, root: Path) -> set[str]:
    """The cases that have a training scan in `root` itself, whatever the joined roots have of them."""
    found: list[RawScan] = _reader(config).find(config, root, "train", None, refuse)
    return {raw.case for raw in found}


def _beside(config: Dataset, root: Path, other: str) -> Path:
    """Another root of a data set: both lie below the same folder, CASEFOLD_DATA."""
    steps = len(Path(config.root).parts)
    return Path(*root.parts[: len(root.parts) - steps]) / other


def load(config: Dataset, raw: RawScan, report: Report = refuse) -> Scan:
    """Read one scan, whole, with the config's filters applied."""
    scan: Scan = _reader(config).load(config, raw, report)
    return apply_filters(scan, config.filters)


def dropped(config: Dataset, root: Path) -> dict[str, int]:
    """The scans that the config drops, each with its number of slices."""
    counts: dict[str, int] = _reader(config).dropped(config, root)
    return counts


def stored_bytes(config: Dataset, raw: RawScan) -> int:
    """What a scan will take on disk, from headers alone."""
    size: int = _reader(config).stored_bytes(config, raw)
    return size


def filled(config: Dataset, raw: RawScan) -> tuple[int, ...]:
    """The modalities, by number, that a scan has no file of and that `load` fills in as the config says."""
    return tuple(_reader(config).filled(config, raw)) if isinstance(config, NiftiDataset) else ()


def submission_form(config: Dataset) -> RleForm | None:
    """How a submission is written: rows of a CSV, or None where predictions go back as files."""
    if isinstance(config, UwmgiDataset):
        return UWMGI_FORM
    if isinstance(config, ImagesDataset):
        return config.submission or (config.masks if isinstance(config.masks, RleMasks) else None)
    return None


def csv_form(config: Dataset) -> RleForm:
    """The form of a data set whose submissions are CSV files; raises ConfigError where predictions go back as files."""
    form = submission_form(config)
    if form is None:
        raise ConfigError("this data set's predictions are files, so there is no CSV of them; hand over their folder")
    return form


def truth_form(config: Dataset) -> RleForm | None:
    """How a CSV of the truth is written, or None where the truth is no CSV."""
    if isinstance(config, UwmgiDataset):
        return UWMGI_TRUTH
    return config.masks if isinstance(config, ImagesDataset) and isinstance(config.masks, RleMasks) else None


def write_result(config: Dataset, root: Path, raw: RawScan, masks: Masks, folder: Path) -> Path:
    """Write one scan's masks as files in the input's own form; gives what was written."""
    path: Path = _reader(config).write(config, root, raw, masks, folder)
    return path


def result_path(config: Dataset, raw: RawScan, folder: Path) -> Path:
    """Where `write_result` writes."""
    return folder / str(_reader(config).result_name(config, raw))


def read_masks(config: Dataset, root: Path, path: Path) -> NDArray[np.bool_]:
    """The masks (class, z, y, x) in a file that `write_result` wrote, or in a truth of the same form."""
    masks: NDArray[np.bool_] = _reader(config).read_masks(config, root, path)
    return masks


def exclusive(config: Dataset, root: Path) -> bool:
    """Whether predictions are written as label maps of which no voxel may have two classes."""
    if submission_form(config) is not None:
        return False
    if isinstance(config, ImagesDataset):
        return isinstance(config.masks, FileMasks) and bool(config.masks.values or config.masks.colours)
    return bool(_reader(config).exclusive_labels(config, root))


def _reader(config: Dataset) -> Any:
    return import_module(f"casefold.readers.{config.reader}")  # type: ignore[attr-defined]
