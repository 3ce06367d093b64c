"""submit and score: unlabelled scans to a checked CSV or to label maps, going on where a stopped call left off."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from casefold.config.base import Dataset
from casefold.core import CasefoldError, ConfigError, DataError, StaleError
from casefold.files import AFTERWARDS, hash_file, hash_value
from casefold.leaderboard import write_record
from casefold.metrics import dice_by_scan, nan_mean
from casefold.models.precision import pick_device
from casefold.oof.external import Outside
from casefold.pipeline.evaluation import evaluation_inputs
from casefold.pipeline.outside import digests_of_tests, open_tests
from casefold.pipeline.project import FULL, Project
from casefold.pipeline.shifting import known_shift
from casefold.pipeline.training import pool, train_step
from casefold.pipeline.tuning import recipe_path, tune_step
from casefold.predict import Member, load_member
from casefold.readers import RawScan
from casefold.readers.table import csv_form, exclusive, find, load, read_masks, submission_form, truth_form
from casefold.recipe import Recipe, as_plain, load_recipe
from casefold.rerun.clock import closing_seconds
from casefold.rerun.notebook import PUBLIC_SCANS
from casefold.rerun.scans import Task, predict_scans, predict_share
from casefold.rerun.workers import devices_of, supervise
from casefold.rerun.writing import check_records, words_of_shed, write_records
from casefold.submission import Score, Slice, score

logger = logging.getLogger(__name__)
ENGINE_SCANS = 12  # held-out ones that an engine is tried on
T = TypeVar("T")
R = TypeVar("R")


def submit_step(
    project: Project,
    folder: Path | None,
    out: Path | None,
    sample: Path | None,
    deadline_s: float | None = None,
    fast: bool = False,
    engine: str = "torch",
) -> Path:
    """Predict every scan of `folder` (None: the data set's test part) and write the submission; gives its path.

    Without a test part a few training scans are predicted instead, as in a Kaggle notebook's public run, with a
    warning. Where predictions go back as files, as for NIfTI, the result is their folder. out: the CSV, or a folder for
    it. deadline_s: from this call on; folds and then members are shed to keep it, and what it does not suffice for is
    left empty. fast: larger batches, see `infer`. engine: what networks run in; raises ConfigError where held-out scans
    come out otherwise in it.
    """
    begun = time.monotonic()
    recipe = current_recipe(project, ladder=deadline_s is not None)
    raws = find(project.dataset, project.raw, "test", folder)
    if not raws and folder is None:
        raws = find(project.dataset, project.raw, "train")[:PUBLIC_SCANS]
        logger.warning("the test part is absent or empty: predicting %d training scans instead", len(raws))
    if not raws:
        raise DataError(f"no scans in {folder}; expected the layout of the `{_kind(project.dataset)}` reader")
    if engine != "torch":
        _try_engine(project, engine)
    task = _task(project, recipe, out, fast, engine)
    if deadline_s is not None:
        task = replace(task, until=begun + deadline_s - closing_seconds(deadline_s))
    found, _ = predict_scans(task, raws, partial(_spread, project, deadline_s is not None))
    lost = words_of_shed(task, raws, found)
    for line in lost:
        logger.warning(line)
    if fast:
        near = sum(record.get("near_level", 0) for record in found.values())
        logger.info("%d voxels of all classes lie where the plain path might decide otherwise", near)
    if task.results is not None:
        logger.info("wrote the label maps of %d scans to %s", len(found), task.results)
        return task.results
    target = out or Path("submission.csv")
    if target.is_dir() or target.suffix == "":
        target = target / "submission.csv"
    sample = sample or _default_sample(project, folder)
    written = write_records(task, raws, found, target, sample)
    check_records(task, raws, found, target, sample)
    write_record(target, recipe, lost)
    logger.info("%s: %d rows, valid; %d without a prediction, %d not wanted", target, *written)
    return target


def score_step(project: Project, submission: Path, truth: Path, folder: Path | None = None) -> pd.DataFrame:
    """Score a submission CSV against a truth CSV, or a folder of label maps against one; a row a scan, then all.

    folder: the scans that the CSV is of (None: the data set's test part); their sizes are read from there.
    """
    if submission.is_dir():
        return _score_label_maps(project, submission, truth)
    raws = find(project.dataset, project.raw, "test", folder)
    if not raws:
        raise DataError("there are no scans to take the slices' sizes from; give their folder with --input")
    slices: dict[str, Slice] = {}
    for raw in raws:
        scan = load(project.dataset, raw)
        _, height, width = scan.grid.shape
        slices |= {name: Slice(scan.name, z, height, width) for z, name in enumerate(scan.slice_names)}
    form = csv_form(project.dataset)
    labelled = truth_form(project.dataset) or form
    return _score_frame(score(submission, truth, slices, project.dataset.classes, form=form, truth_form=labelled))


def current_recipe(project: Project, ladder: bool = False) -> Recipe:
    """The tuned recipe, tuned here where there is none; raises StaleError where its inputs changed since.

    ladder: with all its rungs, for a clock; else the first alone, so that cheaper ones' members are not wanted.
    """
    if not recipe_path(project).is_file():
        tune_step(project)
    recipe = load_recipe(recipe_path(project))
    store = project.store()
    inputs = evaluation_inputs(project, project.table(store), store, recipe.folds)
    mark = project.out / "scores.inputs"
    if not mark.is_file() or mark.read_text() != inputs:
        raise StaleError(
            f"{recipe_path(project)} was tuned before the ensemble's config, a member's weights, the fold table or the "
            "data changed; run `tune` again"
        )
    return recipe if ladder else replace(recipe, rungs=recipe.rungs[:1])


def models_of(
    project: Project, recipe: Recipe
) -> tuple[dict[str, list[Path]], dict[str, Outside], dict[str, list[str]]]:
    """By member the runs that predict for a recipe, full ones trained here where missing; the test maps of external
    members; and the hashes of all these."""
    outside = open_tests(project, recipe.members, recipe.classes)
    own = [name for name in recipe.members if name not in outside]
    if project.ensemble.models == "full":
        train_step(project, [FULL], recipe.members)
        runs = {name: [project.run(name, FULL)] for name in own}
    else:
        runs = {name: [project.run(name, str(fold)) for fold in recipe.folds] for name in own}
    cropping = {name: detector_runs(project, name, runs) for name in project.detectors_of(own)}
    hashes = {
        name: [hash_file(run / "weights.safetensors") for run in paths] for name, paths in (runs | cropping).items()
    }
    return runs, outside, hashes | {name: digests_of_tests(made) for name, made in outside.items()}


def detector_runs(project: Project, detector: str, runs: Mapping[str, Sequence[Path]]) -> list[Path]:
    """A detector's runs under the folds of these runs of members, which it crops."""
    folds = dict.fromkeys(run.name for name, paths in runs.items() if detector in project.detectors_of([name])
                          for run in paths)  # fmt: skip
    return [project.paths.member(project.ensemble.dataset, detector) / fold for fold in folds]


def side_by_side(project: Project, work: Callable[[Sequence[T]], R], items: Sequence[T]) -> list[R]:
    """What `work` gives of shares of the items, one for each of the project's processes, in no order."""
    processes = min(project.jobs, len(items))
    if processes <= 1:
        return [work(items)] if items else []
    try:
        with pool(processes) as workers:
            jobs = [workers.submit(work, items[start::processes]) for start in range(processes)]
            return [job.result() for job in as_completed(jobs)]
    except BrokenProcessPool as e:
        raise DataError(
            "a process that predicted scans was killed, most likely for want of memory; call again with fewer "
            f"--jobs. {AFTERWARDS}"
        ) from e


def _try_engine(project: Project, engine: str) -> None:
    """Refuse an engine that moves a held-out score or a gate's decision by more than half precision may."""

    def load(name: str, fold: int) -> Member:
        return load_member([project.run(name, str(fold))], pick_device(project.device), engine)

    found = known_shift(project, load_recipe(recipe_path(project)), engine, load, ENGINE_SCANS)
    if not found.is_harmless:
        raise ConfigError(f"the engine {engine} changes what counts: {found.words()}; submit with --engine torch")
    logger.info("%s: %s", engine, found.words())


def _task(project: Project, recipe: Recipe, out: Path | None, fast: bool, engine: str) -> Task:
    runs, outside, hashes = models_of(project, recipe)
    # what a reader adds to OUTSIDE_STORE, as the values of classes, is what results are written by
    form = project.dataset.model_dump(mode="json", exclude=set(Dataset.OUTSIDE_STORE - {"submission"}))
    parts = project.out / "submit" / hash_value([as_plain(recipe), hashes, form, fast, engine])
    one_class = exclusive(project.dataset, project.raw)
    results = (out or project.out / "label_maps") if submission_form(project.dataset) is None else None
    return Task(
        project.dataset, project.raw, recipe, runs, outside, parts, project.device, one_class, results,
        fast=fast, engine=engine,
    )  # fmt: skip


def _spread(project: Project, watched: bool, task: Task, raws: Sequence[RawScan]) -> dict[str, str]:
    """Predict scans in the project's processes; watched: in ones that are ended at the task's deadline."""
    if watched:
        return supervise(task, raws, devices_of(project.device, project.jobs))
    failed: dict[str, str] = {}
    for reasons in side_by_side(project, partial(predict_share, task), raws):
        failed |= reasons
    return failed


def _kind(dataset: Dataset) -> str:
    return str(dataset.reader)  # type: ignore[attr-defined]


def _default_sample(project: Project, folder: Path | None) -> Path | None:
    name: str | None = getattr(project.dataset, "sample_submission", None)
    if folder is not None or name is None:
        return None
    path = project.raw / name
    return path if path.is_file() else None


def _score_frame(result: Score) -> pd.DataFrame:
    lines = []
    for scan, part in result.scans.items():
        by_class = {f"dice {name}": value for name, value in zip(result.classes, result.dice[scan], strict=True)}
        lines.append(
            {"scan": scan, "uw_score": part.score, "dice_slice": part.dice, "uw_distance": part.hausdorff, **by_class}
        )
    mean = nan_mean(np.stack(list(result.dice.values())), axis=0)
    by_class = {f"dice {name}": value for name, value in zip(result.classes, mean, strict=True)}
    total = result.total
    lines.append(
        {"scan": "all", "uw_score": total.score, "dice_slice": total.dice, "uw_distance": total.hausdorff, **by_class}
    )
    return pd.DataFrame(lines)


def _score_label_maps(project: Project, submission: Path, truth: Path) -> pd.DataFrame:
    """Score a folder of results against a folder of truths in the same form under the same names."""
    if submission_form(project.dataset) is not None:
        raise CasefoldError(f"{submission} is a folder, but the data set's submissions are CSV files")
    lines = []
    for path in sorted(path for path in submission.iterdir() if not path.name.startswith(".")):
        if not (truth / path.name).exists():
            raise DataError(f"{path.name} has no truth in {truth}")
        given, wanted = (read_masks(project.dataset, project.raw, file) for file in (path, truth / path.name))
        if given.shape != wanted.shape:
            raise DataError(f"{path} has the shape {given.shape[1:]} (z, y, x), but its truth {wanted.shape[1:]}")
        by_class = dict(zip(project.dataset.classes, dice_by_scan(wanted, given), strict=True))
        lines.append({"scan": path.name, **{f"dice {name}": value for name, value in by_class.items()}})
    if not lines:
        raise DataError(f"{submission} holds no label maps")
    frame = pd.DataFrame(lines)
    mean = {name: float(frame[name].mean()) for name in frame.columns if name != "scan"}
    return pd.concat([frame, pd.DataFrame([{"scan": "all", **mean}])], ignore_index=True)
