"""Records of scans to the rows of a submission; a scan without a record has empty ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from casefold.readers import RawScan
from casefold.readers.images.scans import first_few
from casefold.readers.table import csv_form
from casefold.rerun.reading import slice_names
from casefold.rerun.scans import Record, Task
from casefold.submission import Row, Written, check_csv, write_csv

UNKNOWN = (1, 1)  # the size that an empty mask of an unread slice is checked at


def write_records(
    task: Task,
    raws: Sequence[RawScan],
    found: Mapping[str, Record],
    target: Path,
    sample: Path | None,
    tell: bool = True,
) -> Written:
    """Write a submission of these scans, whose order is the sample's, else theirs. tell: log what the sample lacks."""
    lines: list[Row] = []
    for raw in raws:
        if raw.name in found:
            lines += [tuple(row) for row in found[raw.name]["rows"]]
        else:
            names = slice_names(task.dataset, raw)
            lines += [(name, label, "") for name in names for label in task.recipe.classes]
    return write_csv(target, lines, sample, csv_form(task.dataset), tell)


def check_records(
    task: Task, raws: Sequence[RawScan], found: Mapping[str, Record], target: Path, sample: Path | None
) -> None:
    """Raise DataError unless a submission of these scans is valid."""
    sizes: dict[str, tuple[int, int]] = {}
    for raw in raws:
        record = found.get(raw.name)
        if record is None:
            sizes |= dict.fromkeys(slice_names(task.dataset, raw), UNKNOWN)
        else:
            sizes |= dict.fromkeys(record["slice_names"], (record["shape"][1], record["shape"][2]))
    check_csv(target, sample, sizes, task.recipe.classes, csv_form(task.dataset))


def shed(task: Task, found: Mapping[str, Record]) -> dict[str, str]:
    """By scan, what those were predicted by that had less than the whole ensemble."""
    plans = {name: record["plan"] for name, record in found.items() if "plan" in record}
    return {name: f"rung {rung}, {folds} of {task.folds} folds" for name, (rung, folds) in plans.items()}


def words_of_shed(task: Task, raws: Sequence[RawScan], found: Mapping[str, Record]) -> list[str]:
    """What was shed to keep a deadline, a line a thing; none where nothing was."""
    by_plan: dict[str, list[str]] = {}
    for name, plan in shed(task, found).items():
        by_plan.setdefault(plan, []).append(name)
    lines = [f"{plan} for {len(names)} scans: {first_few(names)}" for plan, names in by_plan.items()]
    late = [raw.name for raw in raws if raw.name not in found]
    return lines + ([f"{len(late)} scans are left without a prediction: {first_few(late)}"] if late else [])
