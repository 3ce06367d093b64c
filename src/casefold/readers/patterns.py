"""Files by a pattern with named parts: `{case}/{scan}_{modality}.nii.gz` finds the files and what their names say."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from casefold.core import ConfigError

PART = re.compile(r"\{(\w+)(?::((?:[^{}]|\{\d+(?:,\d*)?\})+))?\}|(\*\*/?)|(\*)|(\?)")
NUMBERS = frozenset({"slice", "width", "height", "spacing_z", "spacing_y", "spacing_x"})


class Found(NamedTuple):
    """A file and the named parts of its path."""

    path: Path
    parts: dict[str, str]


def compile_pattern(pattern: str, known: Mapping[str, str] | None = None) -> re.Pattern[str]:
    """The regular expression of a pattern over a path below the root, parted by `/`.

    `{name}` is some text without `/` (digits for slice, width, height and spacing), `{name:\\d+}` what the expression
    after the colon matches, the same name twice the same text; `*` and `?` as in a shell, `**/` any depth of folders.
    known: parts whose text is given. Raises ConfigError on an expression that does not compile.
    """
    seen: set[str] = set()

    def expression(match: re.Match[str]) -> str:
        name, wanted, deep, star, _ = match.groups()
        if deep:
            return "(?:[^/]+/)*"
        if name is None:
            return "[^/]*" if star else "[^/]"
        if known is not None and name in known:
            return re.escape(known[name])
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{wanted or (r'[0-9]+(?:[.][0-9]+)?' if name in NUMBERS else '[^/]+?')})"

    pieces, last = [], 0
    for match in PART.finditer(pattern):
        pieces += [re.escape(pattern[last : match.start()]), expression(match)]
        last = match.end()
    try:
        return re.compile("".join([*pieces, re.escape(pattern[last:])]))
    except re.error as e:
        raise ConfigError(f"the pattern {pattern!r} holds a part that is no regular expression: {e}") from e


def part_names(pattern: str) -> frozenset[str]:
    """The names of a pattern's parts."""
    return frozenset(match[1] for match in PART.finditer(pattern) if match[1])


def find_files(root: Path, pattern: str, known: Mapping[str, str] | None = None) -> Iterator[Found]:
    """Every file below `root` that a pattern matches, in the order of their paths; an absent root gives none.

    Hidden files and folders are passed over. Symbolic links are followed to files, and to folders.
    """
    compiled = compile_pattern(pattern, known)
    whole, fixed = _fixed_folder(pattern)
    depth = None if "**" in whole else whole.count("/")
    for path in _walk(root / fixed, depth):
        match = compiled.fullmatch(path.relative_to(root).as_posix())
        if match:
            yield Found(path, match.groupdict())


def fill(template: str, parts: Mapping[str, str]) -> str:
    """A template `{case}_{slice}` with its parts put in; raises ConfigError naming a part that is not there."""
    missing = sorted(part_names(template) - set(parts))
    if missing:
        raise ConfigError(f"the template {template!r} wants the parts {missing}, but the file's path has {list(parts)}")
    return PART.sub(lambda match: parts[match[1]] if match[1] else match[0], template)


def _fixed_folder(pattern: str) -> tuple[str, str]:
    """The pattern below its leading folders that hold no part, and these folders."""
    folders = pattern.split("/")
    fixed = []
    while len(folders) > 1 and not PART.search(folders[0]):
        fixed.append(folders.pop(0))
    return "/".join(folders), "/".join(fixed)


def _walk(folder: Path, depth: int | None) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if depth is None or depth > 0:
                yield from _walk(entry, None if depth is None else depth - 1)
        elif depth is None or depth == 0:
            yield entry
