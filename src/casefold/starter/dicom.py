"""Folders of DICOM series: which images they are, what names a case, and where their masks lie."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread

from casefold.readers.dicom.files import SEGMENTATION, Image, read_headers
from casefold.readers.dicom.series import safe_name
from casefold.readers.images.files import read_labels
from casefold.starter.guess import Guess, some
from casefold.starter.nifti import label_values
from casefold.starter.survey import Name, Survey, split_test, spread

ENDINGS = (".dcm", ".dicom", ".ima")
OTHER_ENDINGS = frozenset(
    ".png .jpg .jpeg .tif .tiff .bmp .gif .csv .json .txt .xml .nii .nii.gz .npy .npz .pdf .zip".split()
)
PREAMBLE, MARK = 128, b"DICM"
MOST_FILES = 2000
OPENED = 8


def recognise_dicom(files: Survey) -> Guess | None:
    """The config for DICOM series; None where there are none."""
    train, test = split_test(_dicom_files(files))
    if not train:
        return None
    read = spread(train, MOST_FILES)
    found, _ = read_headers([files.at(name) for name in read], "PatientID", lambda kind, where, message: None)
    objects = [image for image in found if image.kind == SEGMENTATION]
    images = [image for image in found if image.kind != SEGMENTATION]
    if not images:
        return None
    guess = Guess()
    series = {image.series: image for image in images}
    kinds = Counter(image.kind for image in series.values())
    guess.add("reader", "dicom", f"DICOM: {len(series)} series in {len(read)} of {len(train)} files, by their headers")
    guess.add("classes", ["foreground"], "", "no masks were found; give `masks`, and the classes' names")
    guess.add("train", _shared_folder(train) if test else ".")
    if test:
        guess.add("test", _shared_folder(test), f"{len(test)} files to predict")
    several = f"also there: {dict(kinds.most_common()[1:])}; are these modalities of one scan, or not wanted?"
    guess.add("kinds", [kinds.most_common(1)[0][0]], "DICOM Modality", several if len(kinds) > 1 else "")
    told = Counter(image.description for image in series.values())
    if len(told) > 1:
        check = f"a regular expression picks series by SeriesDescription, for instance {told.most_common(1)[0][0]!r}"
        guess.add("description", None, f"descriptions seen: {some([repr(text) for text in told])}", check)
    by_case = _add_case(guess, files, list(series.values()))
    guess.add("spacing_mm", "from_file", "from the slices' positions and PixelSpacing")
    if objects:
        _add_segmentation(guess, objects)
    else:
        _add_files(guess, files, series, by_case)
    return guess


def _dicom_files(files: Survey) -> list[Name]:
    """Files with a DICOM ending; where there are none, files of no known ending that say so at their start."""
    named = files.ending(*ENDINGS)
    if named:
        return named
    unknown = [name for name in files.names if name.ending.lower() not in OTHER_ENDINGS]
    return unknown if any(_is_dicom(files.at(name)) for name in spread(unknown, OPENED)) else []


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(PREAMBLE + len(MARK))[PREAMBLE:] == MARK


def _shared_folder(names: Sequence[Name]) -> str:
    """The deepest folder that holds all."""
    shared = []
    for column in zip(*(name.folders for name in names), strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return "/".join(shared) or "."


def _add_case(guess: Guess, files: Survey, series: list[Image]) -> dict[str, str]:
    """What names a case; gives the case of each series."""
    cases = {image.series: image.case for image in series}
    if len(set(cases.values())) == len(series) or (all(cases.values()) and len(set(cases.values())) > 1):
        guess.add("case", "PatientID", f"{len(set(cases.values()))} different ones for {len(series)} series")
        return cases
    named = repr(some(sorted(set(cases.values()))))
    base = files.folder / str(guess.fields["train"].value)
    folders = {image.series: image.path.relative_to(base).parts for image in series}
    for place in range(min(map(len, folders.values())) - 1):
        column = {uid: parts[place] for uid, parts in folders.items()}
        if len(set(column.values())) > 1:
            pattern = "/".join(["*"] * place + ["{case}", "**", "*"])
            why = f"PatientID is {named} for all {len(series)} series, so the folder names the case"
            guess.add("case", pattern, why, "is each of these folders one case? Series of one case must stay together")
            return column
    guess.add("case", "PatientID", "", f"it is {named} for all, and nothing else names cases")
    return cases


def _add_segmentation(guess: Guess, objects: list[Image]) -> None:
    labels = Counter[str]()
    for image in objects[:: -(-len(objects) // OPENED)]:
        header = dcmread(image.path, stop_before_pixels=True, specific_tags=["SegmentSequence"])
        labels.update(str(segment.SegmentLabel) for segment in header.get("SegmentSequence") or ())
    why = f"SegmentLabel in {len(objects)} DICOM segmentation objects"
    if labels:
        guess.add("classes", list(labels), why, "a rare one may be missing")
    guess.add("masks", {"kind": "segmentation"}, "each is found by the series it refers to")


def _add_files(guess: Guess, files: Survey, series: dict[str, Image], by_case: dict[str, str]) -> None:
    """Label NIfTIs, or folders of PNGs, whose path has a series' UID or its case in it."""
    niftis, pictures = split_test(files.ending(".nii", ".nii.gz"))[0], split_test(files.ending(".png"))[0]
    names = spread(niftis or pictures, MOST_FILES)
    keys = dict.fromkeys(series, "{series}") | {safe_name(case): "{case}" for case in by_case.values() if case}
    words = sorted(keys, key=len, reverse=True)
    found = defaultdict[str, list[Name]](list)
    for name in names:
        parts = [*name.folders, name.stem] if niftis else list(name.folders)
        word = next((word for word in words if any(word in part for part in parts)), None)
        if word is not None:
            places = [part.replace(word, keys[word]) for part in parts] + ([] if niftis else ["*"])
            found["/".join(places) + name.ending].append(name)
    if names and not found:
        check = f"none of the {names[0].ending} files could be paired with a series; give `masks`"
        guess.add("classes", ["foreground"], "", f"{check}, and the classes' names")
    if not found:
        return
    pattern, fitting = max(found.items(), key=lambda item: len(item[1]))
    opened = spread(fitting, OPENED)
    values = sorted(set[int]().union(*(_values(files.at(name)) for name in opened)) - {0})
    classes = {f"label_{value}": value for value in values} if len(values) > 1 else {"foreground": max([1, *values])}
    check = "the names are made up, put the true ones, here and in `masks`; a rare value may be missing"
    guess.add("classes", list(classes), f"values seen in {len(opened)} label files: {some(values)}", check)
    form: dict[str, Any] = {"kind": "nifti" if niftis else "pngs", "pattern": pattern}
    if niftis or len(values) > 1:
        form["values"] = classes
    guess.add("masks", form, f"{len(fitting)} of {len(names)} {names[0].ending} files are named so")


def _values(path: Path) -> set[int]:
    if path.suffix.lower() == ".png":
        return set(np.unique(read_labels(path)).tolist())
    return {int(value) for value in label_values(path)}
