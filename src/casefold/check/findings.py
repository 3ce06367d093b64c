"""A finding, the runs of slices that make one, and the table of them all."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from casefold.check.table import RULES, SEVERITIES
from casefold.core import Scan

MANY = 20  # scans with the same note, below which each keeps its line
COLUMNS = ["severity", "kind", "case", "scan", "where", "what"]


@dataclass(frozen=True)
class Finding:
    """One fault. case, scan: empty where it is the data set's. where: a file, a slice, or the first to the last slice.

    what: what came; what to do stands in the table of rules.
    """

    kind: str
    case: str
    scan: str
    where: str
    what: str


def on_slices(kind: str, scan: Scan, values: Mapping[int, float], told: str) -> list[Finding]:
    """A finding for each run of neighbouring slices. values: z -> what was measured; `told` takes the largest."""
    found: list[Finding] = []
    for run in runs(values):
        what = told.format(max(values[z] for z in run))
        found.append(Finding(kind, scan.case, scan.name, span([scan.slice_names[z] for z in run]), what))
    return found


def runs(numbers: Iterable[int]) -> list[list[int]]:
    """Whole numbers as runs without a gap, in order."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][-1] == number - 1:
            found[-1].append(number)
        else:
            found.append([number])
    return found


def span(names: Sequence[str]) -> str:
    """The first name to the last."""
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def gather_notes(findings: Sequence[Finding], scans: int) -> list[Finding]:
    """The findings with each kind of note that more than half of many scans have as one line of the data set."""
    held: dict[str, list[Finding]] = {}
    for finding in findings:
        held.setdefault(finding.kind, []).append(finding)
    gathered: list[Finding] = []
    for kind, of_kind in held.items():
        names = dict.fromkeys(finding.scan for finding in of_kind)
        if RULES[kind].severity == "note" and len(names) > max(MANY, scans / 2):
            first = of_kind[0]
            gathered.append(Finding(kind, "", "", "", f"{len(names)} of {scans} scans, as {first.where}: {first.what}"))
        else:
            gathered += of_kind
    return gathered


def as_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """One row a finding, the worst first, then by scan with numbers as numbers; `what` ends with what to do."""
    rows = [
        (RULES[f.kind].severity, f.kind, f.case, f.scan, f.where, f"{' '.join(f.what.split())}; {RULES[f.kind].advice}")
        for f in findings
    ]
    rows.sort(key=lambda row: (SEVERITIES.index(row[0]), natural(row[3]), natural(row[4]), *row))
    return pd.DataFrame(rows, columns=COLUMNS)


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts `case2` before `case10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]
