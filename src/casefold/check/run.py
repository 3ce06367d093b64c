"""Check a data set: one scan at a time, in as many processes as wanted, then all of them together."""

import multiprocessing
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import pandas as pd

from casefold.check import across, along_z, labels, outside, pixels
from casefold.check.findings import Finding, as_table, gather_notes, natural, on_slices
from casefold.check.overview import overview
from casefold.config.base import Dataset
from casefold.core import DataError, Scan
from casefold.processes import end_with_parent
from casefold.readers import FaultKind, Part, RawScan
from casefold.readers.table import filled, find, load

PARTS: tuple[Part, ...] = ("train", "test")
EXIT_CODES = {"error": 2, "warning": 1, "note": 0}
Fault = tuple[FaultKind, str, str]
Examined = tuple[str, list[Finding], across.Summary | None]  # the scan's name, what is wrong, what is kept of it


def check_dataset(
    config: Dataset,
    root: Path,
    jobs: int = 1,
    progress: Callable[[Iterator[str], int], Iterator[str]] = lambda names, total: names,
) -> pd.DataFrame:
    """Every fault of the training and test scans below `root`: severity, kind, case, scan, where, what; worst first.

    Scans that the config drops are passed over, and its filters are not applied. progress: wraps the names of the scans
    as they are done, for a bar. Raises what the reader raises of a config that can't be used.
    """
    config = config.model_copy(update={"filters": ()})
    findings: list[Finding] = []
    raws: list[tuple[Part, RawScan]] = []
    for part in PARTS:
        found, faults = _find(config, root, part)
        raws += [(part, raw) for raw in found]
        findings += [_placed(fault, {raw.name: raw.case for raw in found}, root) for fault in faults]
    summaries: list[across.Summary] = []

    def done() -> Iterator[str]:
        for name, of_scan, summary in _examine_all(config, root, raws, jobs):
            findings.extend(of_scan)
            if summary is not None:
                summaries.append(summary)
            yield name

    for _ in progress(done(), len(raws)):
        pass
    summaries.sort(key=lambda scan: (scan.part == "test", natural(scan.name)))
    told = {finding.scan for finding in findings if finding.kind == "image without label"}
    findings += across.same_pixels(summaries)
    findings += across.spacing(summaries)
    findings += across.labels(config.classes, summaries, told)
    return as_table(gather_notes(findings, len(raws)))


def exit_code(frame: pd.DataFrame) -> int:
    """0: nothing or notes only, 1: warnings, 2: errors."""
    return max((EXIT_CODES[severity] for severity in frame["severity"]), default=0)


def examine(scan: Scan, place: str, filled: Sequence[int] = ()) -> list[Finding]:
    """What is wrong with one scan that could be read. place: its file or folder; filled: modalities without a file."""
    found = pixels.not_a_number(scan) + pixels.constant(scan, place, filled)
    seen = overview(scan)
    if seen.constant.all():
        return found
    cut = pixels.truncated(seen)
    sound = ~seen.constant
    sound[list(cut)] = False
    found += on_slices("truncated image", scan, cut, "{:.0f} % of what the next slice shows is one flat value here")
    found += pixels.saturated(scan) + pixels.metal(scan, seen) + outside.objects_outside(scan, seen)
    found += along_z.jumps(scan, seen, sound) + along_z.motion(scan, seen, sound)
    return found + (labels.masks_of(scan, seen) if scan.masks is not None else [])


def _find(config: Dataset, root: Path, part: Part) -> tuple[list[RawScan], list[Fault]]:
    faults: list[Fault] = []
    try:
        return find(config, root, part, report=lambda *fault: faults.append(fault)), faults
    except DataError as e:
        return [], [*faults, ("missing file", root.name, str(e))]


def _examine_all(config: Dataset, root: Path, raws: list[tuple[Part, RawScan]], jobs: int) -> Iterator[Examined]:
    if jobs <= 1 or len(raws) <= 1:
        for part, raw in raws:
            yield _examine_one(config, root, part, raw)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=end_with_parent) as pool:
        waiting = [pool.submit(_examine_one, config, root, part, raw) for part, raw in raws]
        try:
            for job in as_completed(waiting):
                yield job.result()
        finally:
            for job in waiting:
                job.cancel()


def _examine_one(config: Dataset, root: Path, part: Part, raw: RawScan) -> Examined:
    faults: list[Fault] = []
    place = _place(raw, root)
    scan = None
    try:
        scan = load(config, raw, lambda *fault: faults.append(fault))
    except DataError as e:
        faults.append(("unreadable", place, str(e)))
    told = [Finding(kind, raw.case, raw.name, _below(root, where), _below(root, what)) for kind, where, what in faults]
    if scan is None:
        return raw.name, told, None
    return raw.name, told + examine(scan, place, filled(config, raw)), across.summarise(scan, part, place)


def _place(raw: RawScan, root: Path) -> str:
    """The folder of a scan's files, or its first file where they lie in several folders."""
    folders = {path.parent for path in raw.sources}
    place = folders.pop() if len(folders) == 1 and len(raw.sources) > 1 else raw.sources[0]
    return _below(root, str(place))


def _placed(fault: Fault, cases: Mapping[str, str], root: Path) -> Finding:
    """A fault that was found before the scans were read: the scan is the longest name that `where` holds."""
    kind, where, what = fault
    where = _below(root, where)
    words = re.split(r"([^0-9A-Za-z])", where)
    held = ("".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1))
    scan = max((name for name in held if name in cases), key=len, default="")
    return Finding(kind, cases.get(scan, ""), scan, where, _below(root, what))


def _below(root: Path, text: str) -> str:
    return text.replace(f"{root}{os.sep}", "")
