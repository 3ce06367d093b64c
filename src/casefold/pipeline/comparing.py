"""diff and vote: submissions against one another, and several made one."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from casefold.config.base import Dataset
from casefold.config.datasets import UwmgiDataset
from casefold.config.masks import UWMGI_FORM, UWMGI_TRUTH, RleForm
from casefold.config.paths import Paths
from casefold.core import ConfigError, DataError
from casefold.leaderboard import write_vote_record
from casefold.pipeline.project import open_dataset
from casefold.readers import RawScan
from casefold.readers.table import csv_form, find, load, read_masks, truth_form
from casefold.readers.uwmgi import SLICE, slice_names
from casefold.submission import Slice, Written, write_csv
from casefold.voting import Sizes, Submission, compare, compare_masks, read_sizes, read_submissions, vote

log = logging.getLogger(__name__)
SLICE_OF = "_slice_"  # stands between scan and number in UW-Madison's ids


@dataclass(frozen=True)
class Origin:
    """What is known of the scans that submissions are of.

    name: an ensemble or a data set; None: UW-Madison's form. folder: the scans, in its layout. sample: a CSV with the
    images' sizes.
    """

    name: str | None = None
    folder: Path | None = None
    sample: Path | None = None


def diff_step(paths: Paths, first: Path, second: Path, origin: Origin) -> pd.DataFrame:
    """The pixels that two CSVs, or two folders of label maps, have in common and alone, as `voting.compare` gives."""
    if first.is_dir() or second.is_dir():
        return _compare_folders(paths, first, second, origin)
    (one, other), slices, sizes = _read(paths, (first, second), origin)
    scans = {name: place.scan for name, place in slices.items()}
    if not scans and any(SLICE_OF not in name for name, _ in one.texts):
        log.info("ids without %s are scans of one slice each; --data tells which slice is of which scan", SLICE_OF)
    return compare(one, other, lambda name: scans.get(name) or name.partition(SLICE_OF)[0], sizes)


def vote_step(paths: Paths, files: Sequence[Path], out: Path, origin: Origin) -> Written:
    """Write what CSVs vote for, pixel by pixel, with the first one's rows and order, and a record of who voted."""
    if out.resolve() in {path.resolve() for path in files}:
        raise ConfigError(f"{out} is among the files that vote; give --out another name, or leave it out of them")
    if folders := [str(path) for path in files if path.is_dir()]:
        raise ConfigError(f"a vote is on CSV files, and these are folders: {', '.join(folders)}")
    submissions, _, sizes = _read(paths, files, origin)
    form = submissions[0].form
    sample = None if form.empty == "missing" else files[0]
    written = write_csv(out, vote(submissions, sizes), sample, form)
    write_vote_record(out, files)
    return written


def _read(
    paths: Paths, files: Sequence[Path], origin: Origin
) -> tuple[list[Submission], dict[str, Slice], Sizes | None]:
    """The submissions, the slices that are known, and the images' sizes, None where nothing tells them."""
    forms: list[RleForm] = [UWMGI_FORM, UWMGI_TRUTH]
    dataset, slices = None, dict[str, Slice]()
    if origin.name is not None:
        _, dataset = open_dataset(paths, origin.name)
        truth = truth_form(dataset)
        forms = [csv_form(dataset), *([] if truth is None else [truth])]
    if origin.folder is not None:
        if dataset is None:
            raise ConfigError("which layout the scans of --data have is not known; name the data set with --of")
        raws = find(dataset, paths.raw(dataset.root), "test", origin.folder)
        slices = {name: place for raw in raws for name, place in _slices(dataset, raw)}
    if dataset is None:
        log.info("read in UW-Madison's form; --of NAME takes a data set's own")
    submissions = read_submissions(files, forms, list(slices), () if dataset is None else dataset.classes)
    if origin.sample is not None:
        return submissions, slices, read_sizes(origin.sample, submissions[0])
    if origin.folder is not None:
        return submissions, slices, {name: (place.height, place.width) for name, place in slices.items()}
    log.info("the images' sizes are not known, so a run past an image's end is not found; --data or --sample has them")
    return submissions, slices, None


def _slices(dataset: Dataset, raw: RawScan) -> list[tuple[str, Slice]]:
    """The slices of a scan by id: in UW-Madison's layout the files' names have the sizes, others are read."""
    if isinstance(dataset, UwmgiDataset):
        names = slice_names(raw)
        sizes = [(int(match[4]), int(match[3])) for path in raw.sources if (match := SLICE.fullmatch(path.name))]
    else:
        scan = load(dataset, raw)
        names, sizes = scan.slice_names, [(scan.grid.shape[1], scan.grid.shape[2])] * len(scan.slice_names)
    return [(name, Slice(raw.name, z, *size)) for z, (name, size) in enumerate(zip(names, sizes, strict=True))]


def _compare_folders(paths: Paths, first: Path, second: Path, origin: Origin) -> pd.DataFrame:
    if origin.name is None:
        raise ConfigError(f"{first} and {second}: to read label maps the data set is wanted; name it with --of")
    if not (first.is_dir() and second.is_dir()):
        raise ConfigError(f"{first} and {second}: two CSV files can be compared, or two folders of label maps")
    _, dataset = open_dataset(paths, origin.name)
    one, other = ({path.name for path in folder.iterdir() if path.name[0] != "."} for folder in (first, second))
    if one != other or not one:
        raise DataError(f"{first} and {second} should hold the same label maps; only one has {sorted(one ^ other)[:5]}")
    frames = []
    for name in sorted(one):
        masks, others = (read_masks(dataset, paths.raw(dataset.root), folder / name) for folder in (first, second))
        if masks.shape != others.shape:
            raise DataError(
                f"{name} has the shape {masks.shape[1:]} (z, y, x) in {first}, {others.shape[1:]} elsewhere"
            )
        frames.append(compare_masks(name, masks, others, dataset.classes))
    return pd.concat(frames, ignore_index=True)
