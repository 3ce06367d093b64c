"""Files by a pattern with named parts: `{case}/{scan}_{modality}.nii.gz` finds the files and what their names say."""

import os
import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from casefold.core import ConfigError, DataError

PART = re.compile(r"\{(\w+)(?::((?:[^{}]|\{\d+(?:,\d*)?\})+))?\}")
FOLDER = re.compile(rf"(?:{PART.pattern}|[^/])+")  # a part's own expression may hold a `/`
WILD = {"*": "[^/]*", "?": "[^/]"}
DEEP = "**"
NUMBERS = {
    **dict.fromkeys(("slice", "width", "height"), "[0-9]+"),
    **dict.fromkeys(("spacing_z", "spacing_y", "spacing_x"), "[0-9]+(?:[.][0-9]+)?"),
}


class Found(NamedTuple):
    """A file and the named parts of its path."""

    path: Path
    parts: dict[str, str]


def compile_pattern(pattern: str, known: Mapping[str, str] | None = None) -> re.Pattern[str]:
    """The regular expression of a pattern over a path below the root, parted by `/`.

    `{name}` is some text without `/` (digits for slice, width and height, a plain number for spacing), `{name:\\d+}`
    what the expression after the colon matches, the same name twice the same text; `*` and `?` as in a shell, `**/` any
    depth of folders. known: parts whose text is given. Raises ConfigError on a pattern that can't be one.
    """
    seen: set[str] = set()
    *folders, name = [_expression(folder, known or {}, seen) for folder in _folders(pattern)]
    text = "".join("(?:[^/]+/)*" if folder == DEEP else f"{folder}/" for folder in folders) + name
    try:
        return re.compile(text)
    except re.error as e:
        raise ConfigError(f"the pattern {pattern!r} holds a part that is no regular expression: {e}") from e


def part_names(pattern: str) -> frozenset[str]:
    """The names of a pattern's parts."""
    return frozenset(match[1] for match in PART.finditer(pattern))


def find_files(root: Path, pattern: str, known: Mapping[str, str] | None = None) -> Iterator[Found]:
    """Every file below `root` that a pattern matches, in the order of their paths; an absent root gives none.

    Hidden files and folders are passed over. Symbolic links are followed to files, and to folders but for one that
    leads back to a folder it lies in. With every part `known` no folder is listed. Raises DataError on a folder that
    can't be read and on a link to nothing.
    """
    known, folders = known or {}, _folders(pattern)
    fixed = list(takewhile(lambda folder: _is_known(folder, known), folders))
    start = root.joinpath(*(fill(folder, known) for folder in fixed[: len(folders) - 1]))
    if len(fixed) == len(folders):
        path = start / fill(folders[-1], known)
        if path.is_file():
            yield Found(path, {})
        return
    compiled = compile_pattern(pattern, known)
    depth = None if DEEP in folders else len(folders) - len(fixed) - 1
    for path in _walk(start, depth, frozenset()):
        match = compiled.fullmatch(path.relative_to(root).as_posix())
        if match and path.is_symlink() and not path.exists():
            raise DataError(f"{path} is a link to a file that is not there; fetch the file, or remove the link")
        if match:
            yield Found(path, match.groupdict())


def tails(pattern: str) -> list[str]:
    """A pattern, then without its first folder, then without the second, down to its file name alone."""
    folders = _folders(pattern)
    return ["/".join(folders[start:]) for start in range(len(folders))]


def fill(template: str, parts: Mapping[str, str]) -> str:
    """A template `{case}_{slice}` with its parts put in; raises ConfigError naming a part that is not there."""
    missing = sorted(part_names(template) - set(parts))
    if missing:
        raise ConfigError(f"the template {template!r} wants the parts {missing}, but the file's path has {list(parts)}")
    return PART.sub(lambda match: parts[match[1]], template)


def natural_key(text: str) -> list[tuple[int, str]]:
    """A sort key that puts slice2 before slice10."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"([0-9]+)", text)]


def _folders(pattern: str) -> list[str]:
    """The folders of a pattern and its file name, checked."""
    folders = [match[0] for match in FOLDER.finditer(pattern)]
    if "/".join(folders) != pattern or not folders or {".", ".."} & set(folders):
        raise ConfigError(f"the pattern {pattern!r} should be a path below the root, as `images/{{scan}}.png`")
    for folder in folders:
        if {"{", "}"} & set(PART.sub("", folder)):
            raise ConfigError(
                f"the pattern {pattern!r} has a brace that is no part; a part is {{name}} or {{name:\\d+}}"
            )
        if DEEP in PART.sub("", folder) and folder != DEEP:
            raise ConfigError(f"the pattern {pattern!r}: `**` is any depth of folders, so it stands alone, as `a/**/b`")
    if folders[-1] == DEEP:
        raise ConfigError(f"the pattern {pattern!r} ends with `**`, which is folders; name the files, as `**/*`")
    return folders


def _expression(folder: str, known: Mapping[str, str], seen: set[str]) -> str:
    """The regular expression of one folder or file name; `**` is left as it is."""
    if folder == DEEP:
        return DEEP
    pieces, last = [], 0
    for match in PART.finditer(folder):
        pieces += [_wild(folder[last : match.start()]), _part(match[1], match[2], known, seen)]
        last = match.end()
    return "".join([*pieces, _wild(folder[last:])])


def _wild(text: str) -> str:
    return "".join(WILD.get(letter) or re.escape(letter) for letter in text)


def _part(name: str, wanted: str | None, known: Mapping[str, str], seen: set[str]) -> str:
    if name in known:
        return re.escape(known[name])
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    return f"(?P<{name}>{wanted or NUMBERS.get(name, '[^/]+?')})"


def _is_known(folder: str, known: Mapping[str, str]) -> bool:
    return part_names(folder) <= set(known) and not set(WILD) & set(PART.sub("", folder))


def _walk(folder: Path, depth: int | None, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """The files `depth` folders below a folder (None: at any depth). above: the folders it lies in."""
    if not folder.is_dir():
        return
    try:
        with os.scandir(folder) as listed:
            entries = sorted((entry for entry in listed if not entry.name.startswith(".")), key=lambda e: e.name)
        own = folder.stat()
    except OSError as e:
        raise DataError(f"the folder {folder} can't be read: {e}; give it back its permissions, or move it away") from e
    within = above | {(own.st_dev, own.st_ino)}
    for entry in entries:
        if entry.is_dir():
            back = entry.is_symlink() and (entry.stat().st_dev, entry.stat().st_ino) in within
            if depth != 0 and not back:
                yield from _walk(folder / entry.name, None if depth is None else depth - 1, within)
        elif not depth:
            yield folder / entry.name
