"""Submissions beside one another: how far two agree, and what several vote for, pixel by pixel.

Runs count pixels from an image's first, so neither needs to know how large an image is, unless rows are objects.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.config.masks import RleForm
from casefold.core import ConfigError, DataError
from casefold.metrics import dice_of, overlap_by_slice
from casefold.readers.images.scans import first_few
from casefold.readers.rle_table import Key, cells, decode_rows, encode_rows, read_rows, read_table
from casefold.submission import Row

Sizes = Mapping[str, tuple[int, int]]  # (height, width) by image
LARGEST = 2**31  # pixels; where sizes are not known, a run that ends later is taken for a fault
COUNTS = ["both", "first", "second"]
ADVICE = "give the images' sizes: their folder with --data, or with --sample a CSV that has `height` and `width`"


class Submission(NamedTuple):
    """A CSV's runs by image and class, in the file's order, and the form that they are in."""

    path: Path
    texts: dict[Key, str]
    form: RleForm


def read_submissions(
    paths: Sequence[Path], forms: Sequence[RleForm], names: Collection[str] = (), classes: Sequence[str] = ()
) -> list[Submission]:
    """Read CSVs that must all have the same rows, in any order; names and classes as `read_rows` takes them.

    Under `empty: missing` a row that one file lacks is an empty mask. Raises DataError naming rows that differ.
    """
    read = [Submission(path, *read_rows(path, forms, names, classes)) for path in paths]
    every = list(dict.fromkeys(key for one in read for key in one.texts))
    if not every:
        raise DataError(f"there are no rows in {first_few(paths)}")
    for one in read:
        missing = [key for key in every if key not in one.texts]
        if missing and one.form.empty != "missing":
            has = next(other for other in read if missing[0] in other.texts)
            raise DataError(
                f"{one.path} lacks {len(missing)} rows that {has.path} or others have: {first_few(missing)}; only "
                "submissions of the same rows can be put together"
            )
        one.texts.update(dict.fromkeys(missing, ""))
    return read


def read_sizes(path: Path, submission: Submission) -> dict[str, tuple[int, int]]:
    """The sizes of a submission's images in a CSV such as the sample: `height` and `width`, or `shape` as `310x360`.

    Its rows are found by the submission's own column of ids, which may hold the image alone too. Raises DataError where
    columns or rows are not there, or an entry is no size.
    """
    form, table = submission.form, read_table(path)
    wanted = ["height", "width"] if {"height", "width"} <= set(table) else ["shape"]
    if not {form.id, *wanted} <= set(table):
        raise DataError(
            f"{path} should have the columns {form.id}, and height and width or shape; it has {list(table)}"
        )
    found = {name.strip(): " ".join(row) for name, *row in table[[form.id, *wanted]].to_numpy()}
    sizes: dict[str, tuple[int, int]] = {}
    for name, label in submission.texts:
        text = found.get(name, found.get(cells(form, name, label)[0], ""))
        numbers = [int(number) for number in re.findall("[0-9]+", text)]
        if len(numbers) != 2 or 0 in numbers:
            raise DataError(f"{path} should have the height and the width of {name}, but has {text!r}")
        sizes[name] = numbers[0], numbers[1]
    return sizes


def compare(
    first: Submission, second: Submission, scan_of: Callable[[str], str], sizes: Sizes | None = None
) -> pd.DataFrame:
    """Pixels of two submissions, a row an image and class: scan, id, class, and how many are in both, first, second.

    sizes: with them every run is held to its image. Raises DataError on runs that can't be read.
    """
    _check_sizes((first, second), sizes, need=False)
    rows = []
    for key in first.texts:
        one, other = _masks((first, second), key, sizes)
        counts = (np.count_nonzero(mask) for mask in (one & other, one, other))
        rows.append((scan_of(key[0]), *key, *counts))
    return pd.DataFrame(rows, columns=["scan", "id", "class", *COUNTS])


def compare_masks(
    scan: str, first: NDArray[np.bool_], second: NDArray[np.bool_], classes: Sequence[str]
) -> pd.DataFrame:
    """What `compare` gives, of one scan's masks (class, z, y, x); a slice's id is its number along z, from 1."""
    counts = overlap_by_slice(first, second)
    rows = [
        (scan, f"{scan} {z + 1}", label, *counts[index, z].tolist())
        for z in range(counts.shape[1])
        for index, label in enumerate(classes)
    ]
    return pd.DataFrame(rows, columns=["scan", "id", "class", *COUNTS])


def differing(pixels: pd.DataFrame) -> pd.DataFrame:
    """The rows of `compare` where a pixel differs."""
    return pixels[(pixels["first"] > pixels["both"]) | (pixels["second"] > pixels["both"])]


def flips(pixels: pd.DataFrame) -> pd.DataFrame:
    """The rows of `compare` where one submission has something and the other nothing; `only` says which one has."""
    one, other = pixels["first"] > 0, pixels["second"] > 0
    return pixels.assign(only=np.where(one, "first", "second"))[one != other]


def agreement(pixels: pd.DataFrame) -> pd.DataFrame:
    """Of what `compare` gives: a row a scan and `all`, with 3D Dice of each class and the slices only one has.

    A class that neither has in a scan is NaN, and left out of the mean over scans that `all` shows.
    """
    sums = pixels.groupby(["scan", "class"], sort=False)[COUNTS].sum()
    by_class = pd.Series(dice_of(sums.to_numpy()), sums.index).unstack("class")
    scans, classes = pixels["scan"].unique(), pixels["class"].unique()
    frame = by_class.reindex(index=scans, columns=classes).add_prefix("dice ")
    mean = frame.mean()
    changed = flips(pixels)
    only = {f"only {word}": changed["scan"][changed["only"] == word] for word in ("first", "second")}
    for column, owners in only.items():
        frame[column] = owners.value_counts().reindex(scans, fill_value=0)
    total = pd.DataFrame([{"scan": "all", **mean, **{column: len(owners) for column, owners in only.items()}}])
    return pd.concat([frame.rename_axis("scan").reset_index(), total], ignore_index=True)


def vote(submissions: Sequence[Submission], sizes: Sizes | None = None) -> Iterator[Row]:
    """The pixels that more than half of the submissions have, a row an image and class, in the first one's order.

    Where exactly half have a pixel it is as the first submission says, so the best should stand first. Objects are the
    connected parts of what was voted for. Raises ConfigError for less than two, DataError on runs that can't be read.
    """
    if len(submissions) < 2:
        raise ConfigError(f"a vote wants two submissions or more, not {len(submissions)}")
    form = submissions[0].form
    _check_sizes(submissions, sizes, need=form.instances)
    for key in submissions[0].texts:
        masks = _masks(submissions, key, sizes)
        first = next(masks)
        votes = first.astype(np.uint16)
        for mask in masks:
            votes += mask
        votes *= 2
        chosen = (votes > len(submissions)) | ((votes == len(submissions)) & first)
        yield (*key, encode_rows(chosen, form))


def _check_sizes(submissions: Sequence[Submission], sizes: Sizes | None, need: bool) -> None:
    """Raise DataError where images have no size but need one, or where some have one and others none."""
    where = first_few(one.path for one in submissions)
    if sizes is None:
        if len({one.form.order for one in submissions}) > 1:
            raise DataError(f"{where}: runs go along rows in one and down columns in another; {ADVICE}")
        if need:
            raise DataError(f"{where}: a row is an object, and which pixels touch depends on the width; {ADVICE}")
        return
    unknown = list(dict.fromkeys(name for name, _ in submissions[0].texts if name not in sizes))
    if unknown:
        raise DataError(f"{where}: {len(unknown)} images have no known size: {first_few(unknown)}; {ADVICE}")


def _masks(submissions: Sequence[Submission], key: Key, sizes: Sizes | None) -> Iterator[NDArray[np.bool_]]:
    """The mask of each submission; where sizes are not known as one line of pixels, long enough for all."""
    end = 0 if sizes is not None else max(_end(one.texts[key], one.form) for one in submissions)
    for one in submissions:
        try:
            if end > LARGEST:
                raise DataError(f"a run ends at pixel {end}, where no image should have one; {ADVICE}")
            yield decode_rows(one.texts[key], (1, end) if sizes is None else sizes[key[0]], one.form)
        except DataError as e:
            raise DataError(f"{one.path}: image {key[0]}, class {key[1]}: {e}") from e


def _end(text: str, form: RleForm) -> int:
    """A number of pixels that holds all runs of a text; 0 where that can't be told, which `decode` explains."""
    ends = [0]
    for line in text.splitlines():
        words = line.split() if form.starts == "relative" else line.split()[-2:]
        if all(word.isdecimal() for word in words):
            ends.append(sum(map(int, words)))
    return max(ends)
