"""The UW-Madison layout: folders caseN_dayM of slice_NNNN_W_H_sx_sy.png, and a CSV of id, class, segmentation."""

from collections import Counter

import pandas as pd

from casefold.readers.uwmgi import COLUMNS, SCAN, SLICE
from casefold.starter.guess import Guess, some
from casefold.starter.survey import Name, Survey, split_test
from casefold.starter.tables import SAMPLE, read_csv

STAND_IN = ("1.00", "1.00")


def recognise_uwmgi(files: Survey) -> Guess | None:
    """The config for a folder in this layout; None where it is another."""
    slices = [name for name in files.ending(".png") if SLICE.fullmatch(name.stem + name.ending) and _base(name)]
    train, test = (Counter(_base(name) for name in part) for part in split_test(slices))
    if not train:
        return None
    heads = {name: read_csv(files, name, rows=0) for name in files.ending(".csv")}
    tables = [name for name, head in heads.items() if head is not None and set(COLUMNS) <= set(head.columns)]
    samples = [name for name in heads if SAMPLE.search(name.stem)]
    labels = next((name for name in tables if name not in samples), None)
    if labels is None:
        return None
    guess = Guess()
    guess.add("reader", "uwmgi", f"UW-Madison layout: {len(slices)} files named slice_NUMBER_WIDTH_HEIGHT_SX_SY.png")
    found = pd.read_csv(files.at(labels), usecols=["class"], dtype=str, keep_default_na=False)["class"]
    guess.add("classes", found.unique().tolist(), f"the column `class` of {labels.path}")
    guess.add("train", train.most_common(1)[0][0])
    guess.add("labels", labels.path)
    if test:
        guess.add("test", test.most_common(1)[0][0], f"{sum(test.values())} slices to predict")
    sizes = Counter(tuple(name.stem.split("_")[2:4]) for name in slices)
    spacings = Counter(tuple(name.stem.split("_")[4:6]) for name in slices)
    seen = f"in-plane spacing in the names: {some([' x '.join(pair) + ' mm' for pair in spacings])}"
    why = f"{seen}; sizes (width x height): {some([' x '.join(pair) for pair in sizes])}"
    check = "nothing says how far apart the slices are; with 3 mm (UW-Madison's) write [3.0, from_name, from_name]"
    if set(spacings) == {STAND_IN}:
        check = "1.00 x 1.00 mm everywhere is likely a stand-in; if it is true, write [MM, from_name, from_name]"
    guess.add("spacing_mm", "unknown", why, check)
    if samples:
        guess.add("sample_submission", samples[0].path, "its rows and order are kept in a submission")
    return guess


def _base(name: Name) -> str | None:
    """The folder that holds the cases, `.` for the root; None where a slice lies in no scan's folder."""
    folders = list(name.folders)
    if folders[-1:] == ["scans"]:
        folders.pop()
    if not folders or not SCAN.fullmatch(folders[-1]):
        return None
    case = folders.pop().partition("_")[0]
    return "/".join(folders[:-1] if folders[-1:] == [case] else folders) or "."
