"""What only shows when all scans are seen together: the same pixels twice, odd spacing, labels that nobody has."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from casefold.check.findings import Finding, runs, span
from casefold.check.labels import class_mask
from casefold.check.table import ACROSS, LABELS
from casefold.core import Scan, Triple
from casefold.files import hash_bytes
from casefold.readers import Part


@dataclass(frozen=True)
class Summary:
    """What is kept of a scan once it has been read. digests: of each slice's pixels, None where it is constant.

    slices_with: class -> slices that have some of it; None without labels. place: its file or folder.
    """

    case: str
    name: str
    part: Part
    place: str
    shape: tuple[int, int, int]
    spacing_mm: Triple | None
    slice_names: tuple[str, ...]
    digests: tuple[str | None, ...]
    slices_with: dict[str, int] | None = field(default=None)


def summarise(scan: Scan, part: Part, place: str) -> Summary:
    """The summary of a scan."""
    planes = [scan.image[:, z] for z in range(scan.grid.shape[0])]
    digests = (
        None if (plane == plane[:, :1, :1]).all() else hash_bytes(str(plane.dtype).encode(), plane.tobytes())
        for plane in planes
    )
    counts = None
    if scan.masks is not None:
        held = ((label, class_mask(scan, label).any(axis=(1, 2))) for label in scan.classes)
        counts = {label: int(slices.sum()) for label, slices in held}
    grid, names = scan.grid, scan.slice_names
    return Summary(scan.case, scan.name, part, place, grid.shape, grid.spacing_mm, names, tuple(digests), counts)


def same_pixels(scans: Sequence[Summary]) -> list[Finding]:
    """Slices whose pixels occur before: in the scan itself, in another scan of the case, in another case."""
    first: dict[str, tuple[int, int]] = {}
    again: defaultdict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for index, scan in enumerate(scans):
        for z, digest in enumerate(scan.digests):
            if digest is not None:
                one, one_z = first.setdefault(digest, (index, z))
                if (one, one_z) != (index, z):
                    again[one, index][z] = one_z
    found = []
    for (one, two), pairs in again.items():
        old, new = scans[one], scans[two]
        kind = "same slice twice" if one == two else "same slice in two scans" if old.case == new.case else "leak"
        for run in runs(pairs):
            origin = [old.slice_names[pairs[z]] for z in run]
            found.append(_of(kind, new, span([new.slice_names[z] for z in run]), f"the same pixels as {span(origin)}"))
    return found


def spacing(scans: Sequence[Summary]) -> list[Finding]:
    """Spacings that can't be, that differ from the others', or that look like a stand-in."""
    given = [(scan, scan.spacing_mm) for scan in scans if scan.spacing_mm is not None]
    if not given:
        return []
    told = [(scan, _implausible(mm)) for scan, mm in given]
    found = _each_or_all("implausible spacing", told) + _stand_in([scan for scan, _ in given])
    sound = [scan for scan, what in told if not what]
    if not sound:
        return found
    table = np.array([scan.spacing_mm for scan in sound])
    usual = np.median(table, axis=0)
    odd = (np.maximum(table / usual, usual / table) > ACROSS["odd spacing"].limits["times"]).any(axis=1)
    if odd.any() and odd.mean() <= ACROSS["odd spacing"].limits["scans_share"]:
        for index in np.flatnonzero(odd):
            what = f"{_mm(table[index])}, where the others have about {_mm(usual)}"
            found.append(_of("odd spacing", sound[index], sound[index].place, what))
    elif (table.max(axis=0) / table.min(axis=0)).max() > ACROSS["mixed spacing"].limits["times"]:
        found.append(Finding("mixed spacing", "", "", "", f"from {_mm(table.min(axis=0))} to {_mm(table.max(axis=0))}"))
    return found


def labels(classes: Sequence[str], scans: Sequence[Summary], told: set[str]) -> list[Finding]:
    """Scans without labels, classes that nobody has, classes on one slice. told: scans the reader told of."""
    training = [scan for scan in scans if scan.part == "train"]
    held = [(scan, scan.slices_with) for scan in training if scan.slices_with is not None]
    bare = [(s, "" if s.slices_with is not None or s.name in told else "it has no labels") for s in training]
    found = [] if told and not held else _each_or_all("image without label", bare)  # else the reader told of all
    limits = LABELS["class on one slice only"].limits
    for label in classes:
        counts = np.array([slices[label] for _, slices in held])
        if counts.size and not counts.any():
            what = f"{label} has no mask on any slice of {len(held)} labelled scans"
            found.append(Finding("class never seen", "", "", label, what))
        elif counts.size and np.median(counts[counts > 0]) >= limits["usual_slices"]:
            found += [
                _of("class on one slice only", scan, scan.name, f"{label} on 1 of {scan.shape[0]} slices")
                for scan, slices in held
                if slices[label] == 1 and scan.shape[0] >= limits["scan_slices"]
            ]
    return found


def _implausible(mm: Triple) -> str:
    limits, (z, y, x) = ACROSS["implausible spacing"].limits, mm
    if min(mm) < limits["least_mm"] or max(mm) > limits["most_mm"]:
        return f"{_mm(mm)} is outside {limits['least_mm']:g} to {limits['most_mm']:g} mm"
    if max(x, y) > limits["pixel_sides"] * min(x, y):
        return f"{_mm(mm)}: the pixels are no squares"
    return f"{_mm(mm)}: slices lie far apart for such pixels" if z > limits["z_times"] * max(x, y) else ""


def _stand_in(scans: Sequence[Summary]) -> list[Finding]:
    limits, spacings = ACROSS["stand-in spacing"].limits, {scan.spacing_mm for scan in scans}
    sizes = np.array([scan.shape[1:] for scan in scans])
    only = next(iter(spacings))
    if len(scans) < limits["scans"] or only is None:
        return []
    if {mm[1:] for mm in spacings if mm is not None} == {(1.0, 1.0)}:
        return [Finding("stand-in spacing", "", "", "", f"pixels of exactly 1 x 1 mm in all {len(scans)} scans")]
    if len(spacings) == 1 and (sizes.max(axis=0) / sizes.min(axis=0)).max() > limits["size_times"]:
        least, most = (" x ".join(map(str, size)) for size in (sizes.min(axis=0), sizes.max(axis=0)))
        what = f"{_mm(only)} in all {len(scans)} scans, though their slices are {least} to {most} pixels"
        return [Finding("stand-in spacing", "", "", "", what)]
    return []


def _each_or_all(kind: str, told: Sequence[tuple[Summary, str]]) -> list[Finding]:
    """A finding a scan that something is told of; one of all where that is more than half of them."""
    hit = [(scan, what) for scan, what in told if what]
    if len(hit) > max(1, len(told) / 2):
        what = f"{len(hit)} of {len(told)} scans, the first {hit[0][0].name}: {hit[0][1]}"
        return [Finding(kind, "", "", "", what)]
    return [_of(kind, scan, scan.place, what) for scan, what in hit]


def _of(kind: str, scan: Summary, where: str, what: str) -> Finding:
    return Finding(kind, scan.case, scan.name, where, what)


def _mm(mm: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{length:g}" for length in mm) + " mm (z, y, x)"
