"""Scans to results on disk, each once: a JSON file a scan, whoever calls and in however many processes."""

import logging
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casefold.config.base import Dataset
from casefold.core import CasefoldError, DataError, Masks, Scan
from casefold.files import AFTERWARDS, WriteError, read_record, write_json
from casefold.infer import Loaded, infer, load_ensemble_models
from casefold.oof.external import Outside
from casefold.readers import RawScan
from casefold.readers.table import csv_form, load, result_path, stored_bytes, write_result
from casefold.recipe import Recipe
from casefold.rerun.clock import Clock, Plan, plans
from casefold.rerun.reading import load_tolerantly
from casefold.submission import rows

logger = logging.getLogger(__name__)
Record = dict[str, Any]
Told = Callable[[str, str | None], None]  # a scan is begun (None), or has failed for a reason


@dataclass(frozen=True)
class Task:
    """What a worker needs to predict scans: the recipe, its members' runs, and where results go.

    raw: the data set's root. outside: the members whose maps were made elsewhere. parts: the folder of the results'
    records. exclusive: a voxel gets one class at most. results: the folder of files that predictions are written as;
    None: rows of a CSV. tolerant: a scan costs what can't be read of it, and whatever fails costs that scan alone.
    until: the deadline by time.monotonic.
    """

    dataset: Dataset
    raw: Path
    recipe: Recipe
    runs: dict[str, list[Path]]
    outside: dict[str, Outside]
    parts: Path
    device: str
    exclusive: bool
    results: Path | None
    fast: bool = False
    engine: str = "torch"
    tolerant: bool = False
    until: float | None = None

    @property
    def folds(self) -> int:
        """The models that a member has at most."""
        return max((len(paths) for paths in self.runs.values()), default=1)


Spread = Callable[[Task, Sequence[RawScan]], Mapping[str, str]]


def predict_scans(task: Task, raws: Sequence[RawScan], spread: Spread) -> tuple[dict[str, Record], dict[str, str]]:
    """The records of the scans that are predicted, and the scans that failed, each with the reason.

    spread: calls `predict_share` on shares of the scans that are not done yet. Unless the task is tolerant, raises
    DataError naming the scans that failed, once the others are done.
    """
    waiting = [raw for raw in raws if not is_done(task, raw)]
    logger.info("submit: %d of %d scans to predict", len(waiting), len(raws))
    begun = time.monotonic()
    failed = dict(spread(task, waiting)) if waiting else {}
    seconds = time.monotonic() - begun
    if failed and not task.tolerant:
        lines = "\n".join(f"  {name}: {reason}" for name, reason in failed.items())
        raise DataError(
            f"{len(failed)} of {len(raws)} scans can't be predicted, the others are; mend their files, or take them "
            f"out of the folder. {AFTERWARDS}:\n{lines}"
        )
    found = records(task, raws)
    new = sum(found[raw.name]["shape"][0] for raw in waiting if raw.name in found)
    if new:
        logger.info("%d slices in %.1f s: %.1f a second, reading and writing included", new, seconds, new / seconds)
    return found, failed


def predict_share(task: Task, raws: Sequence[RawScan], told: Told = lambda _name, _reason: None) -> dict[str, str]:
    """Predict scans one by one; gives those that failed, each with the reason."""
    loaded = load_ensemble_models(task.recipe, task.runs, task.device, outside=task.outside, engine=task.engine)
    clock = (
        None if task.until is None else Clock(task.until - time.monotonic(), task.recipe, task.folds, time.monotonic)
    )
    works = _works(task, raws)
    failed: dict[str, str] = {}
    for raw, plan in _turns(task, raws, clock, works, failed):
        told(raw.name, None)
        begun = time.monotonic()
        reason: str | None
        try:
            reason = _predict_one(task, loaded, raw, plan)
        except WriteError:
            raise  # the next would not be written either
        except Exception as e:
            if not (task.tolerant or isinstance(e, CasefoldError | OSError)):
                raise
            logger.debug("scan %s", raw.name, exc_info=True)
            reason = f"{type(e).__name__}: {e}"
        if reason is not None:
            failed[raw.name] = reason
            told(raw.name, reason)
        elif clock is not None:
            clock.note(plan, works[raw.name], time.monotonic() - begun)
    return failed


def records(task: Task, raws: Sequence[RawScan]) -> dict[str, Record]:
    """What is there of the scans, by name, in their order."""
    paths = {raw.name: _part(task, raw) for raw in raws}
    return {name: read_record(path) for name, path in paths.items() if path.is_file()}


def is_done(task: Task, raw: RawScan) -> bool:
    """Whether a scan was predicted from the files that are there; what a clock has shed counts only for a clock."""
    path = _part(task, raw)
    if not path.is_file():
        return False
    part = read_record(path)
    if task.results is not None:
        result = result_path(task.dataset, raw, task.results)
        if not result.exists() or part.get("written") != result.stat().st_mtime_ns:
            return False
    whole = "plan" not in part or task.until is not None
    return whole and "failed" not in part and bool(part["signature"] == raw.signature())


def _turns(
    task: Task,
    raws: Sequence[RawScan],
    clock: Clock | None,
    works: Mapping[str, float],
    failed: Mapping[str, str],
) -> Iterator[tuple[RawScan, Plan]]:
    """Every scan with the plan to predict it by; under a clock small ones first, and again where time is left."""
    if clock is None:
        yield from ((raw, plans(task.recipe, task.folds)[0]) for raw in raws)
        return
    made: dict[str, Plan] = {}
    waiting = sorted(raws, key=lambda raw: works[raw.name])
    while waiting and not _is_orphan():
        plan = clock.choose([works[raw.name] for raw in waiting])
        if plan is None:
            logger.warning("the time is up: %d scans are left without a prediction", len(waiting))
            return
        raw = waiting.pop(0)
        made[raw.name] = plan
        yield raw, plan
    order = clock.plans.index
    for raw in sorted(raws, key=lambda raw: works[raw.name]):
        better = clock.choose([works[raw.name]]) if raw.name in made and raw.name not in failed else None
        if better is not None and order(better) < order(made[raw.name]) and not _is_orphan():
            yield raw, better


def _predict_one(task: Task, loaded: Loaded, raw: RawScan, plan: Plan) -> str | None:
    """Predict a scan and write what it gives; what went wrong on the way, if a further rung was taken for it."""
    scan, odd = load_tolerantly(task.dataset, raw) if task.tolerant else (load(task.dataset, raw), [])
    used = loaded if plan.folds >= task.folds else loaded.with_folds(plan.folds)
    masks, rung, reason = _infer(task, used, scan, plan.rung)
    record: Record = {"signature": raw.signature(), "shape": scan.grid.shape, "slice_names": scan.slice_names}
    if (rung, plan.folds) != (0, task.folds):
        record["plan"] = [rung, plan.folds]
    if reason is not None:
        record["failed"] = reason
    if masks.near_level:
        record["near_level"] = masks.near_level
    if odd:
        record["odd"] = odd
    if task.results is None:
        record["rows"] = rows(masks, csv_form(task.dataset))
    else:
        record["written"] = write_result(task.dataset, task.raw, raw, masks, task.results).stat().st_mtime_ns
    write_json(_part(task, raw), record)
    return reason


def _infer(task: Task, loaded: Loaded, scan: Scan, first: int) -> tuple[Masks, int, str | None]:
    """The masks by the first rung that gives some, its number, and why it was not the one that was asked for."""
    reason = None
    for rung in range(first, len(task.recipe.rungs)):
        try:
            return infer(loaded, scan, exclusive=task.exclusive, rung=rung, fast=task.fast), rung, reason
        except Exception as e:
            if not task.tolerant or rung + 1 == len(task.recipe.rungs):
                raise
            logger.debug("scan %s, rung %d", scan.name, rung, exc_info=True)
            reason = f"rung {rung} failed, {type(e).__name__}: {e}; predicted by rung {rung + 1}"
    raise DataError(f"recipe {task.recipe.name} has no rung {first}")


def _works(task: Task, raws: Sequence[RawScan]) -> dict[str, float]:
    """What a scan's time goes by: the size of its voxels, or the others' mean where its files don't say."""
    sizes: dict[str, float | None] = {}
    for raw in raws:
        try:
            sizes[raw.name] = max(1.0, float(stored_bytes(task.dataset, raw)))
        except (CasefoldError, OSError):
            sizes[raw.name] = None
    known = [size for size in sizes.values() if size is not None]
    mean = sum(known) / len(known) if known else 1.0
    return {name: mean if size is None else size for name, size in sizes.items()}


def _part(task: Task, raw: RawScan) -> Path:
    return task.parts / f"{raw.name}.json"


def _is_orphan() -> bool:
    """Whether the process that started this one was killed; then nobody waits for the rest."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()
