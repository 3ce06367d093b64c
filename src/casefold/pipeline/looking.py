"""`look`: one scan as its raw files have it, drawn with its masks."""

from pathlib import Path

from casefold.config.base import Dataset
from casefold.config.datasets import ImagesDataset, NiftiDataset
from casefold.config.paths import Paths
from casefold.core import DataError, Scan, nearest_word
from casefold.readers import RawScan
from casefold.readers.table import find, load
from casefold.report.montage import draw_montage


def look_step(paths: Paths, dataset: Dataset, name: str, scan: str | None, out: Path | None) -> Path:
    """Draw a montage of a scan of the training or test part; gives the picture's path.

    name: the data set's. scan: None takes the first scan with something labelled, else the first. out: None writes
    `runs/<name>/look/<scan>.png`. Raises DataError for a scan that is not there.
    """
    root = paths.raw(dataset.root)
    raws = [*find(dataset, root, "train"), *find(dataset, root, "test")]
    if not raws:
        raise DataError(f"no scans below {root}; check `root` in the data set's config and CASEFOLD_DATA")
    shown = _first_with_masks(dataset, raws) if scan is None else load(dataset, _named(raws, scan))
    path = out or paths.runs / name / "look" / f"{shown.name}.png"
    modalities = dataset.modalities if isinstance(dataset, NiftiDataset) else ()
    colour = isinstance(dataset, ImagesDataset) and dataset.colour == "rgb"
    draw_montage(shown, path, modalities=modalities, colour=colour)
    return path


def _named(raws: list[RawScan], name: str) -> RawScan:
    for raw in raws:
        if raw.name == name:
            return raw
    known = [raw.name for raw in raws]
    raise DataError(f"there is no scan {name!r} among {len(raws)}{nearest_word(name, known)}; the first is {known[0]}")


def _first_with_masks(dataset: Dataset, raws: list[RawScan]) -> Scan:
    for raw in raws:
        if raw.labelled:
            scan = load(dataset, raw)
            if scan.masks is not None and scan.masks.any():
                return scan
    return load(dataset, raws[0])
