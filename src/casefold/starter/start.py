"""From an unknown folder to a config that its reader was seen to read, and an ensemble to train."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from casefold.config.base import Dataset
from casefold.config.datasets import DatasetConfig
from casefold.config.load import load_dataset, load_ensemble
from casefold.config.paths import Paths
from casefold.core import CasefoldError, ConfigError, DataError, Scan
from casefold.files import write_text
from casefold.readers import RawScan
from casefold.readers.table import find, load
from casefold.starter.dicom import recognise_dicom
from casefold.starter.grouping import add_folds
from casefold.starter.guess import Finding, Guess, some, write_yaml
from casefold.starter.images import recognise_images, recognise_table
from casefold.starter.members import Looked, look, starter_ensemble
from casefold.starter.nifti import recognise_decathlon, recognise_patterns
from casefold.starter.survey import Survey, spread, survey
from casefold.starter.uwmgi import recognise_uwmgi

# The first that recognises a folder takes it, so the more particular layouts come first
LAYOUTS: dict[str, Callable[[Survey], Guess | None]] = {
    "UW-Madison (caseN/caseN_dayM/scans/slice_*.png with a CSV of RLE)": recognise_uwmgi,
    "Medical Segmentation Decathlon (dataset.json, imagesTr, labelsTr)": recognise_decathlon,
    "images with masks as RLE in a CSV of any columns": recognise_table,
    "DICOM series": recognise_dicom,
    "NIfTI images with label maps beside them or in a folder of their own": recognise_patterns,
    "images (png, jpg, tif, bmp, gif) with label images, or with COCO or GeoJSON polygons": recognise_images,
}
READ = 3  # scans that are read whole to see that it works
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Started:
    """What was written, and what a person should check, as lines to print."""

    name: str
    dataset: Path
    ensemble: Path
    lines: tuple[str, ...]


def start(folder: Path, paths: Paths, name: str | None = None) -> Started:
    """Write `configs/datasets/NAME.yaml` and `configs/ensembles/NAME.yaml` for a folder of raw data.

    A folder outside `paths.data` is linked into it. name: None takes the folder's. Raises ConfigError where one of the
    files is there already, DataError for a folder of no known layout, and, with both files written, where the reader
    can't read it with what was guessed.
    """
    files = survey(folder)
    name = _name(folder, name)
    dataset, ensemble = (paths.configs / kind / f"{name}.yaml" for kind in ("datasets", "ensembles"))
    for path in (dataset, ensemble):
        if path.exists():
            raise ConfigError(f"{path} is there already and is never overwritten; remove it, or give another --name")
    guess = next((guess for recognise in LAYOUTS.values() if (guess := recognise(files))), None)
    if guess is None:
        known = "".join(f"\n  {layout}" for layout in LAYOUTS)
        raise DataError(f"{folder} has no layout that is known; it holds {files.counts()}. Known are{known}")
    root, linked = _root(folder, paths, name)
    below = (PurePosixPath(root) / guess.base).as_posix()
    guess.fields = {"reader": guess.fields["reader"], "root": Finding(below, "below CASEFOLD_DATA"), **guess.fields}
    looked: Looked | None = None
    summary, fault = list[str](), None
    try:
        looked, summary = _read(guess, paths, files)
    except CasefoldError as e:
        fault = e
    shown = f"Guessed by `casefold init` from {folder.resolve().name}. See whether it is right: casefold look {name}"
    write_text(dataset, write_yaml([shown], guess.fields))
    flat = guess.fields["reader"].value == "images" and "{slice}" not in guess.fields["image"].value
    members = starter_ensemble(name, looked, flat)
    write_text(ensemble, write_yaml([f"A start for {name}; copy the experiments and change them."], members))
    lines = [*linked, f"{folder} holds {files.counts()}", f"wrote {dataset}"]
    lines += [f"wrote {ensemble}: {', '.join(members['members'].value)}", *summary]
    if guess.checks():
        lines += [f"check in {dataset}:", *(f"  {line}" for line in guess.checks())]
    absent = [member for member in members["members"].value if not (paths.configs / f"{member}.yaml").is_file()]
    if absent:
        lines.append(f"copy {', '.join(absent)} from casefold's own configs: {paths.configs} has none of that name")
    if fault is not None:
        told = (
            f"{dataset} is written, but its reader can't read the data so: {fault}\nMend the field that this names.\n"
        )
        raise DataError(told + "\n".join(lines)) from fault
    load_ensemble(paths.configs, name)
    load_dataset(paths.configs, name)
    return Started(name, dataset, ensemble, (*lines, f"next: ./run.sh look {name}, then ./run.sh fold0 {name}"))


def _name(folder: Path, name: str | None) -> str:
    if name is None:
        name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_") or "dataset"
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} can't name a data set: letters, digits, `_`, `-` and `.`; give another --name")
    return name


def _root(folder: Path, paths: Paths, name: str) -> tuple[str, list[str]]:
    """The root as a config has it, and a line where a link had to be made."""
    folder, data = folder.absolute(), paths.data.absolute()
    for there, base in ((folder, data), (folder.resolve(), data.resolve())):
        if there.is_relative_to(base):
            return there.relative_to(base).as_posix(), []
    link = data / name
    if link.is_symlink() and link.resolve() == folder.resolve():
        return name, []
    if link.exists() or link.is_symlink():
        raise ConfigError(f"{link} is there already and is not {folder}; give another --name, or move it away")
    data.mkdir(parents=True, exist_ok=True)
    link.symlink_to(folder.resolve(), target_is_directory=True)
    return name, [f"linked {link} to {folder.resolve()}, for configs hold no absolute path"]


def _read(guess: Guess, paths: Paths, files: Survey) -> tuple[Looked, list[str]]:
    """Find every scan, read a few whole, put the folds in; gives lines that say what there is."""
    try:
        config: Dataset = TypeAdapter(DatasetConfig).validate_python(guess.content())
    except ValidationError as e:
        raise ConfigError("; ".join(fault["msg"].removeprefix("Value error, ") for fault in e.errors())) from e
    root = paths.raw(config.root)
    train, test = (find(config, root, part) for part in ("train", "test"))
    labelled = [raw for raw in train if raw.labelled]
    if not labelled:
        raise DataError(f"none of the {len(train)} scans found is labelled, so nothing can train")
    add_folds(guess, [raw.case for raw in labelled], files)
    scans = [load(config, raw) for raw in spread(labelled, READ)]
    looked = look(scans)
    return looked, _summary(train, labelled, test, scans, looked)


def _summary(
    train: list[RawScan], labelled: list[RawScan], test: list[RawScan], scans: list[Scan], looked: Looked
) -> list[str]:
    cases = len({raw.case for raw in train})
    counts = f"{len(train)} scans of {cases} cases, {len(labelled)} of them labelled; {len(test)} scans to predict"
    sizes = some(sorted({" x ".join(map(str, scan.grid.shape)) for scan in scans}))
    spacings = {scan.grid.spacing_mm for scan in scans}
    lengths = some([" x ".join(f"{mm:.4g}" for mm in own) if own else "unknown" for own in spacings])
    filled = f"{looked.empty_share:.0%} of their slices without a class" if looked.shape[0] > 1 else "one slice each"
    seen = f"{len(scans)} were read: {sizes} voxels (z, y, x), {looked.type_name}, modalities: {looked.modalities}"
    return [counts, f"{seen}, spacing in mm: {lengths}; {filled}"]
