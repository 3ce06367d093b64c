"""One call for Kaggle's notebook: a valid submission from the first second, at the end the best that time allows."""

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from casefold.config.base import Dataset
from casefold.core import CasefoldError, DataError
from casefold.files import WriteError, hash_file, hash_value
from casefold.readers import RawScan
from casefold.readers.rle_table import read_table
from casefold.readers.table import csv_form
from casefold.recipe import as_plain
from casefold.rerun.clock import closing_seconds
from casefold.rerun.opened import SUMS, Bundle
from casefold.rerun.reading import find_tolerantly
from casefold.rerun.scans import Task, predict_scans, predict_share, records
from casefold.rerun.workers import devices_of, supervise
from casefold.rerun.writing import check_records, shed, write_records
from casefold.submission import write_csv

logger = logging.getLogger(__name__)
RERUN = "KAGGLE_IS_COMPETITION_RERUN"
PUBLIC_SCANS = 3
SHOWN = 20


@dataclass
class Report:
    """What a run came to. rerun: the scoring rerun, not the public run; scans: how many were found.

    failed: scans with the reason, also where a further rung has helped out. odd: what was wrong with files. shed: scans
    that had less than the whole ensemble, and what they had. unreached: scans that time did not suffice for. faults:
    what is wrong with the run as a whole. missing: rows of the sample without a prediction; extra: the reverse.
    near_level: voxels, counted by class, that other arithmetic might decide otherwise.
    """

    rerun: bool
    scans: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    shed: dict[str, str] = field(default_factory=dict)
    unreached: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    missing: int = 0
    extra: int = 0
    near_level: int = 0
    seconds: float = 0.0

    def words(self) -> str:
        """All of it for a person, a line a thing; of long lists the beginning."""
        run = "scoring rerun" if self.rerun else "public run"
        head = f"{run}: {self.scans} scans in {self.seconds:.0f} s; rows without a prediction: {self.missing}, "
        parts = {
            "failed": [f"{name}: {reason}" for name, reason in self.failed.items()],
            "odd": self.odd,
            "shed": [f"{name}: {plan}" for name, plan in self.shed.items()],
            "without a prediction, for the time was up": self.unreached,
            "faults": self.faults,
        }
        lines = [f"{head}not wanted: {self.extra}; voxels within 1 of a level: {self.near_level}"]
        for what, found in parts.items():
            if found:
                more = [f"  and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
                lines += [f"{what}: {len(found)}", *(f"  {line}" for line in found[:SHOWN]), *more]
        return "\n".join(lines)

    def raise_for_failures(self) -> None:
        """Raise DataError where a public run had faults or failed scans; a rerun's are in `words` alone."""
        if not self.rerun and (self.failed or self.faults):
            raise DataError(f"the submission is written, but not all went well. {self.words()}")


def run_notebook(
    bundle: Bundle,
    data: Path,
    target: Path,
    deadline_s: float | None,
    device: str = "auto",
    jobs: int = 1,
    fast: bool = False,
    engine: str = "torch",
    every: int = 5,
    apart: bool = True,
) -> Report:
    """Predict the test scans of a competition's folder `data`, or without any a few training scans, and write `target`.

    An all-empty submission is written first, and replaced after every few scans. deadline_s: from this call on; None:
    no clock. jobs: processes on a CPU. fast, engine: see `infer` and `load_ensemble_models`. every: scans between two
    writings. apart: in processes of their own, so that one that is killed or hangs is survived. Nothing that they do is
    raised: see the report. Raises WriteError where not even the empty submission can be written.
    """
    begun = time.monotonic()
    report = Report(rerun=_said_rerun())
    sample = _write_first(bundle.dataset, data, target, report)
    raws = _find(bundle.dataset, data, sample, report)
    until = None if deadline_s is None else begun + deadline_s - closing_seconds(deadline_s)
    task = replace(_task(bundle, data, target), fast=fast, engine=engine, until=until)
    watch = _Keeper(task, raws, target, sample, every).watch
    devices = devices_of(device, jobs)

    def spread(own: Task, waiting: Sequence[RawScan]) -> dict[str, str]:
        if apart:
            return supervise(own, waiting, devices, watch)
        return predict_share(replace(own, device=devices[0]), waiting, lambda _name, _reason: watch())

    try:
        write_records(task, raws, {}, target, sample, tell=False)
        report.failed = predict_scans(task, raws, spread)[1]
    except Exception as e:  # the submission that is there must stay, and what is predicted must get into it
        logger.exception("the run was cut short")
        report.faults.append(f"{type(e).__name__}: {e}")
    _write_last(task, raws, target, sample, report)
    report.seconds = time.monotonic() - begun
    return report


@dataclass
class _Keeper:
    """Writes the submission anew whenever `every` more scans are there."""

    task: Task
    raws: Sequence[RawScan]
    target: Path
    sample: Path | None
    every: int
    written: int = 0

    def watch(self) -> None:
        """Look, and write if it is time."""
        done = sum((self.task.parts / f"{raw.name}.json").is_file() for raw in self.raws)
        if done >= self.written + self.every:
            found = records(self.task, self.raws)
            write_records(self.task, self.raws, found, self.target, self.sample, tell=False)
            self.written = done
            logger.info("%d of %d scans are in %s", done, len(self.raws), self.target)


def _said_rerun() -> bool:
    return os.environ.get(RERUN, "").strip().lower() not in ("", "0", "false")


def _write_first(dataset: Dataset, data: Path, target: Path, report: Report) -> Path | None:
    """The all-empty submission, from the sample alone; gives the sample, None where there is none that can be used."""
    name: str | None = getattr(dataset, "sample_submission", None)
    sample = data / name if name is not None and (data / name).is_file() else None
    form = csv_form(dataset)
    try:
        write_csv(target, [], sample, form, tell=False)
        return sample
    except WriteError:
        raise
    except DataError as e:
        report.faults.append(str(e))
        write_csv(target, [], None, form, tell=False)
        return None


def _find(dataset: Dataset, data: Path, sample: Path | None, report: Report) -> list[RawScan]:
    """The scans to predict; sets what kind of run it is."""
    raws: list[RawScan] = []
    try:
        raws, report.odd = find_tolerantly(dataset, data, "test")
        has_rows = sample is not None and len(read_table(sample)) > 0
        report.rerun = report.rerun or (has_rows and bool(raws))
        if not raws and not report.rerun:
            raws, odd = find_tolerantly(dataset, data, "train")
            raws = raws[:PUBLIC_SCANS]
            report.odd = [line for line in odd if any(raw.name in line for raw in raws)]
            logger.warning("there are no test scans: predicting %d training scans instead", len(raws))
    except (CasefoldError, OSError) as e:
        report.faults.append(f"{type(e).__name__}: {e}")
    report.scans = len(raws)
    return raws


def _task(bundle: Bundle, data: Path, target: Path) -> Task:
    called = hash_value([as_plain(bundle.recipe), hash_file(bundle.folder / SUMS)])
    return Task(
        dataset=bundle.dataset,
        raw=data,
        recipe=bundle.recipe,
        runs=bundle.runs,
        outside={},
        parts=target.with_name(f".{target.stem}_parts") / called,
        device="auto",
        exclusive=False,
        results=None,
        tolerant=True,
    )


def _write_last(task: Task, raws: Sequence[RawScan], target: Path, sample: Path | None, report: Report) -> None:
    """Write what there is, check it, and tell of what there is not."""
    try:
        found = records(task, raws)
        written = write_records(task, raws, found, target, sample)
        report.missing, report.extra = written.missing, written.extra
        report.near_level = sum(record.get("near_level", 0) for record in found.values())
        report.odd += [line for record in found.values() for line in record.get("odd", ())]
        report.shed = shed(task, found)
        report.unreached = [raw.name for raw in raws if raw.name not in found and raw.name not in report.failed]
        if written.rows:
            check_records(task, raws, found, target, sample)
    except (CasefoldError, OSError) as e:
        report.faults.append(f"{type(e).__name__}: {e}")
