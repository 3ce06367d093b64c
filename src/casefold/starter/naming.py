"""How images and their label files are named: patterns with named parts, found by trying which readings pair them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from casefold.starter.survey import Name, is_label_word

Key = tuple[str, ...]  # the folders that differ, then what is left of the stem: what an image and its label share
FEW_FOLDERS = 5  # fewer different folders than this, without a number in their names, are kinds and not cases
KINDS = re.compile("train(?:ing)?|val(?:idation)?|batch|part|set|split|fold|group|site|center|centre", re.IGNORECASE)
MOST_MODALITIES, MOST_CLASSES = 8, 32
LEAST_COVERED = 0.5  # of keys x words, for a part of the name to be a modality or a class
LAST, FIRST = r"(.+)([^0-9A-Za-z])([0-9A-Za-z]+)", r"([0-9A-Za-z]+)([^0-9A-Za-z])(.+)"
# What may follow a case in the name of one of its scans, as expressions
VISITS = (
    r"(?:frame|day|visit|time|tp|ses|session|scan|view|t)[_.-]?\d+",
    r"\d+",
    r"(?:l|r|L|R|left|right|Left|Right|LEFT|RIGHT|od|os|OD|OS)",
)
NAMES_PER_CASE = 50  # more scans than this in a "case" are rather a year or a batch


class Reading(NamedTuple):
    """One way to read the paths of some files: which folders differ, what surrounds the stem's core, one slot or none.

    folders: a literal, None where it differs, or `{}` for the slot. stem: with `{}` for the slot and `<>` for the core.
    files: by key and by the word in the slot, "" without one.
    """

    folders: tuple[str | None, ...]
    stem: str
    files: dict[Key, dict[str, Name]]

    @property
    def words(self) -> list[str]:
        """Every word of the slot, sorted; empty without a slot."""
        return sorted(set[str]().union(*self.files.values()) - {""})

    def pattern(self, folders: Sequence[str], core: str, slot: str, ending: str) -> str:
        """The pattern with these names for the folders that differ, the core and the slot."""
        names = iter(folders)
        places = [next(names) if folder is None else folder for folder in self.folders]
        return "/".join([*places, self.stem.replace("<>", core) + ending]).replace("{}", slot)


def pair(
    images: list[Name], labels: list[Name], modalities: bool = False, classes: bool = False
) -> tuple[Reading, Reading | None]:
    """The readings under which most labels find their image; of equals the plainest.

    modalities, classes: whether a part of an image's (a label's) name may say so, several files making one key.
    Without labels: the plainest reading of the images. There must be an image, and all must lie at one depth.
    """
    best, best_score = (next(_readings(images, 0)), None), (0, 0, 0)
    labels_read = list(_readings(labels, MOST_CLASSES if classes else 0)) if labels else []
    found: tuple[Reading, Reading | None] = best
    for image in _readings(images, MOST_MODALITIES if modalities else 0):
        for label in labels_read:
            both = len(image.files.keys() & label.files.keys())
            score = (both, both - len(label.files), both - len(image.files))
            if both and score > best_score and not (classes and any(map(is_label_word, label.words))):
                found, best_score = (image, label), score
    return found


def pattern_of_tests(
    names: list[Name], image: Reading, folders: Sequence[str], core: str, slot: str
) -> tuple[str, int] | None:
    """The pattern of the test images and the number of their keys, None where no reading has the training images' stem.

    folders, core, slot: the names that the training images' pattern has. Folders at the same place have the same name.
    """
    own = next((own for own in _readings(names, MOST_MODALITIES) if own.stem == image.stem), None) if names else None
    if own is None:
        return None
    mine, theirs = iter(name_parts(own)[0]), iter(folders)
    named = [next(mine) if folder is None else folder for folder in own.folders]
    if len(own.folders) == len(image.folders):
        pairs = zip(named, [next(theirs) if folder is None else "" for folder in image.folders], strict=True)
        named = [name if name and not name.startswith("{kind") else other for other, name in pairs]
    pattern = own._replace(folders=(None,) * len(named)).pattern(named, core, slot, names[0].ending)
    return pattern, len(own.files)


def name_parts(reading: Reading, stacked: bool = False) -> tuple[list[str], str]:
    """Names for the folders that differ, and for the core: `{case}`, `{scan}`, `{slice}`, or what an expression allows.

    stacked: a folder's files are the slices of one scan.
    """
    keys = list(reading.files)
    columns = [sorted(set(column)) for column in zip(*keys, strict=True)][:-1]
    names = [f"{{kind{index or ''}:{'|'.join(map(re.escape, values))}}}" for index, values in enumerate(columns)]
    own = [index for index, values in enumerate(columns) if not _are_kinds(values)]
    if not own:
        return names, "{scan}"
    last = own[-1]
    above = {own[-2]: "{case}"} if len(own) > 1 else {}
    if stacked:
        core = _slice_core([(key[last], key[-1]) for key in keys])
        names[last] = "{scan}"
    elif all(key[-1] in ("", key[last]) for key in keys):
        core, names[last] = "{scan}", "{scan}"
    elif len({key[last] for key in keys}) == len(keys) > len({key[-1] for key in keys}):
        core, names[last] = "*", "{scan}"
    else:
        core, names[last], above = "{scan}", "{case}", {}
    for index in own[:-1]:
        names[index] = above.get(index, f"{{folder{index}}}")
    return names, core


def find_visit(scans: Sequence[str]) -> tuple[str, str] | None:
    """What parts case and visit in every scan's name, and the visit as an expression; None where each is its own case.

    A plain number is a visit only behind a number.
    """
    for visit in VISITS:
        for mark in "_-.":
            before = r".*\d.*?" if visit == r"\d+" else ".+?"
            matches = [re.fullmatch(f"({before}){re.escape(mark)}{visit}", scan) for scan in scans]
            cases = {match[1] for match in matches if match}
            if all(matches) and 2 <= len(cases) < len(scans) <= NAMES_PER_CASE * len(cases):
                return mark, visit
    return None


def keep_out(core: str, labels: Reading) -> str:
    """The core with a {scan} that no label's name fits, by the text that label files have beside it."""
    texts = [text for text in re.split("<>|{}", labels.stem) if text]
    barred = "|".join(re.escape(text) for text in texts).replace("{", "[{]").replace("}", "[}]")
    return core.replace("{scan}", f"{{scan:(?:(?!{barred})[^/])+}}") if texts else core


def _are_kinds(folders: list[str]) -> bool:
    """Whether folders are rather `benign` and `malignant`, or `Training Batch 1` and 2, than cases."""
    words = [re.findall("[A-Za-z]+", folder) for folder in folders]
    if all(own and all(map(KINDS.fullmatch, own)) for own in words):
        return True
    return len(folders) < FEW_FOLDERS and not any(re.search(r"\d", folder) for folder in folders)


def _readings(names: list[Name], most_words: int) -> Iterator[Reading]:
    """Every reading, from the plainest on; most_words: of a slot, 0 for no slots.

    A core that is the name of the file's folder again is in the key once.
    """
    for folders, stems in _slots(names, most_words):
        differing = [len(set(column)) > 1 for column in zip(*folders, strict=True)]
        literal = tuple(None if differs else folder for folder, differs in zip(folders[0], differing, strict=True))
        own = [tuple(f for f, differs in zip(all_of_it, differing, strict=True) if differs) for all_of_it in folders]
        for before, after in _surroundings([core for core, _, _ in stems]):
            cores = [core[len(before) : len(core) - len(after)] for core, _, _ in stems]
            stem = stems[0][2].replace("<>", f"{before}<>{after}" if any(cores) else before)
            again = all(own) and all(core == above[-1] for core, above in zip(cores, own, strict=True))
            for kept in (cores, [""] * len(cores)) if again else (cores,):
                files: dict[Key, dict[str, Name]] = defaultdict(dict)
                for name, above, core, (_, word, _) in zip(names, own, kept, stems, strict=True):
                    files[(*above, core)][word] = name
                reading = Reading(literal, stem, dict(files))
                if not reading.words or _is_slot(reading, most_words):
                    yield reading


def _slots(names: list[Name], most_words: int) -> Iterator[tuple[list[tuple[str, ...]], list[tuple[str, str, str]]]]:
    """Folders, and (core, word, form of the stem) of each file, for no slot and then for each place of one."""
    folders = [name.folders for name in names]
    yield folders, [(name.stem, "", "<>") for name in names]
    if not most_words:
        return
    last, first = ([re.fullmatch(form, name.stem) for name in names] for form in (LAST, FIRST))
    ends = [(match[1], match[3], f"<>{match[2]}{{}}") for match in last if match]
    starts = [(match[3], match[1], f"{{}}{match[2]}<>") for match in first if match]
    for stems in (ends, starts):
        if len(stems) == len(names) and len({form for _, _, form in stems}) == 1:
            yield folders, stems
    for place in range(len(folders[0])):
        marked = [(*own[:place], "{}", *own[place + 1 :]) for own in folders]
        words = [own[place] for own in folders]
        yield marked, [(name.stem, word, "<>") for name, word in zip(names, words, strict=True)]
        if len(ends) == len(names) and len({(w, end) for w, (_, end, _) in zip(words, ends, strict=True)}) == len(
            set(words)
        ):
            yield (
                marked,
                [(core, word, form.replace("{}", "*")) for word, (core, _, form) in zip(words, ends, strict=True)],
            )
    if folders[0]:
        yield folders, [("", name.stem, "{}") for name in names]


def _surroundings(cores: list[str]) -> list[tuple[str, str]]:
    """What may stand before and after the part that differs, nothing first; whole words, never all of a name."""
    if len(set(cores)) == 1:
        return [("", ""), (cores[0], "")] if cores[0] else [("", "")]
    start, end = _shared_start(cores), _shared_start([core[::-1] for core in cores])[::-1]
    before = ["", *(start[: match.end()] for match in re.finditer("[_. -]", start))]
    after = ["", *reversed([end[match.start() :] for match in re.finditer("[_. -]", end)])]
    return [(a, b) for a in before for b in after if len(a) + len(b) < min(map(len, cores))]


def _shared_start(texts: list[str]) -> str:
    """What all texts begin with."""
    first, last = min(texts), max(texts)
    return "".join(a for a, _ in takewhile(lambda both: both[0] == both[1], zip(first, last, strict=False)))


def _is_slot(reading: Reading, most_words: int) -> bool:
    files = sum(map(len, reading.files.values()))
    return 2 <= len(reading.words) <= most_words and files >= LEAST_COVERED * len(reading.words) * len(reading.files)


def _slice_core(pairs: list[tuple[str, str]]) -> str:
    """The core's pattern for slices of (folder, core): `{scan}_{slice}`, `slice_{slice}`; `{slice}` the last number."""
    headed = all(core.startswith(folder) for folder, core in pairs)
    tails = [core.removeprefix(folder) if headed else core for folder, core in pairs]
    shapes = {re.sub(r"\d+(?!.*\d)", "{slice}", tail) for tail in tails}
    return ("{scan}" if headed else "") + (shapes.pop() if len(shapes) == 1 else "*{slice}")
