"""What an unknown folder holds: its files, their endings, and which folders are the test part."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from casefold.core import DataError

Item = TypeVar("Item")
LISTED = 8  # endings that a message names
SKIPPED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
TEST_FOLDER = re.compile(r"(?:^|[^a-z])(?:tests?|testing|imagests|labelsts)(?:$|[^a-z])")
LABEL_WORDS = frozenset(
    "seg segs segm segmentation segmentations label labels labelstr mask masks gt truth groundtruth manual annotation "
    "annotations annot contour contours roi rois".split()
)
LABEL_ENDS = ("mask", "masks", "labels", "segmentation")


class Name(NamedTuple):
    """A file's path below the folder: its folders, its name without the ending, the ending as it is written."""

    folders: tuple[str, ...]
    stem: str
    ending: str

    @property
    def path(self) -> str:
        """The whole, parted by `/`."""
        return "/".join((*self.folders, self.stem + self.ending))


@dataclass(frozen=True)
class Survey:
    """Every file below a folder, hidden ones passed over, in the order of their paths."""

    folder: Path
    names: tuple[Name, ...]

    def ending(self, *endings: str) -> list[Name]:
        """The files with one of these endings, upper or lower case."""
        return [name for name in self.names if name.ending.lower() in endings]

    def at(self, name: Name) -> Path:
        """Where a file lies."""
        return self.folder / name.path

    def counts(self) -> str:
        """How many files of each ending there are, as a phrase."""
        counted = Counter(name.ending.lower() or "without an ending" for name in self.names).most_common()
        more = [f"{sum(number for _, number in counted[LISTED:])} others"] if len(counted) > LISTED else []
        return ", ".join([*(f"{number} {ending}" for ending, number in counted[:LISTED]), *more]) or "no files"


def survey(folder: Path) -> Survey:
    """List a folder, whole, links followed; raises DataError on a folder that is not there or can't be read."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; give the folder that holds the raw data")
    names = []
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        folders[:] = sorted(name for name in folders if _is_shown(name) and not _leads_back(Path(place, name)))
        shown = [file for file in files if _is_shown(file)]
        lost = [file for file in shown if not Path(place, file).exists()]
        if lost:
            raise DataError(
                f"{Path(place, lost[0])} is a link to a file that is not there; fetch it, or remove the link"
            )
        names += [_name(Path(place).relative_to(folder).parts, file) for file in shown]
    return Survey(folder, tuple(sorted(names)))


def split_test(names: Iterable[Name]) -> tuple[list[Name], list[Name]]:
    """The files of the training part and those in a folder called test, testing, imagesTs, ..."""
    parts: tuple[list[Name], list[Name]] = [], []
    for name in names:
        parts[any(TEST_FOLDER.search(folder.lower()) for folder in name.folders)].append(name)
    return parts if parts[0] else (parts[1], [])


def split_labels(names: list[Name]) -> tuple[list[Name], list[Name]]:
    """Images and label files, told apart by words such as `mask` or `seg` in what differs between their paths."""
    shared = set(names[0].folders).intersection(*(name.folders for name in names)) if names else set()
    parts: tuple[list[Name], list[Name]] = [], []
    for name in names:
        texts = [folder for folder in name.folders if folder not in shared] + [name.stem]
        parts[any(is_label_word(word) for text in texts for word in re.findall("[A-Za-z]+", text))].append(name)
    return (parts[1], []) if parts[1] and not parts[0] else parts


def is_label_word(word: str) -> bool:
    """Whether a word of a path says that the file is a label."""
    return word.lower() in LABEL_WORDS or word.lower().endswith(LABEL_ENDS)


def main_depth(names: list[Name]) -> list[Name]:
    """The files that lie as deep as most of them do."""
    depths = Counter(len(name.folders) for name in names).most_common(1)
    return [name for name in names if [len(name.folders)] == [depth for depth, _ in depths]]


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of a list, evenly spaced."""
    count = min(most, len(items))
    return [items[(2 * index + 1) * len(items) // (2 * count)] for index in range(count)]


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} can't be read: {error.strerror}; mend its rights, or move it away") from error


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name not in SKIPPED


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _name(folders: tuple[str, ...], file: str) -> Name:
    stem, dot, ending = file.rpartition(".")
    if ending.lower() == "gz" and "." in stem:
        stem, _, inner = stem.rpartition(".")
        return Name(folders, stem, f".{inner}.{ending}")
    return Name(folders, stem, f".{ending}") if dot and stem else Name(folders, file, "")
