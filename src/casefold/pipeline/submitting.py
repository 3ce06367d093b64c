"""submit and score: unlabelled scans to a checked CSV or to label maps, going on where a stopped call left off."""

import logging
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from casefold.config.base import Dataset
from casefold.config.datasets import NiftiDataset, UwmgiDataset
from casefold.core import CasefoldError, DataError, Scan, StaleError
from casefold.ensemble import Recipe, load_recipe
from casefold.files import hash_file, hash_value, read_json, write_json
from casefold.infer import Loaded, infer, load_ensemble_models
from casefold.metrics import dice_by_scan, nan_mean
from casefold.pipeline.evaluation import evaluation_inputs, recipe_path, tune_step
from casefold.pipeline.project import FULL, Project
from casefold.pipeline.training import pool, train_step
from casefold.readers import RawScan, nifti
from casefold.readers.table import find, load
from casefold.submission import Score, Slice, check_csv, rows, score, write_csv

logger = logging.getLogger(__name__)
FALLBACK_SCANS = 3


@dataclass(frozen=True)
class Task:
    """What a worker needs to predict scans: the recipe, its members' runs, and where results go."""

    dataset: Dataset
    recipe: Recipe
    runs: dict[str, list[Path]]
    parts: Path
    device: str
    labels: dict[str, int] | None
    maps_folder: Path | None


def submit_step(project: Project, folder: Path | None, out: Path | None, sample: Path | None) -> Path:
    """Predict every scan of `folder` (None: the data set's test part) and write the submission; gives its path.

    Without a test part a few training scans are predicted instead, as in a Kaggle notebook's public run, with a
    warning. For NIfTI the result is a folder of label maps, each on its source's own grid.
    """
    if not recipe_path(project).is_file():
        tune_step(project)
    recipe = load_recipe(recipe_path(project))
    _refuse_stale(project, recipe)
    raws = find(project.dataset, project.raw, "test", folder)
    if not raws and folder is None:
        raws = find(project.dataset, project.raw, "train")[:FALLBACK_SCANS]
        logger.warning("the test part is absent or empty: predicting %d training scans instead", len(raws))
    if not raws:
        raise DataError(f"no scans in {folder}; expected the layout of the `{_kind(project.dataset)}` reader")
    task = _task(project, recipe, out)
    results = _predict_all(project, task, raws)
    if task.maps_folder is not None:
        logger.info("wrote %d label maps to %s", len(results), task.maps_folder)
        return task.maps_folder
    target = out or Path("submission.csv")
    sample = sample or _default_sample(project, folder)
    written = write_csv(target, [tuple(row) for result in results for row in result["rows"]], sample)
    sizes = {name: (result["shape"][1], result["shape"][2]) for result in results for name in result["slice_names"]}
    check_csv(target, sample, sizes, recipe.classes)
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
    return _score_frame(score(submission, truth, slices, project.dataset.classes))


def _task(project: Project, recipe: Recipe, out: Path | None) -> Task:
    if project.ensemble.models == "full":
        train_step(project, [FULL], recipe.members)
        runs = {name: [project.run(name, FULL)] for name in recipe.members}
    else:
        runs = {name: [project.run(name, str(fold)) for fold in recipe.folds] for name in recipe.members}
    hashes = {name: [hash_file(run / "weights.safetensors") for run in paths] for name, paths in runs.items()}
    form = project.dataset.model_dump(mode="json", exclude=set(project.dataset.OUTSIDE_STORE))
    parts = project.out / "submit" / hash_value([asdict(recipe), hashes, form])
    labels, maps_folder = None, None
    if isinstance(project.dataset, NiftiDataset):
        labels = nifti.label_values(project.dataset, project.raw)
        maps_folder = out or project.out / "label_maps"
    return Task(project.dataset, recipe, runs, parts, project.device, labels, maps_folder)


def _refuse_stale(project: Project, recipe: Recipe) -> None:
    store = project.store()
    inputs = evaluation_inputs(project, project.table(store), store, recipe.folds)
    mark = project.out / "scores.inputs"
    if not mark.is_file() or mark.read_text() != inputs:
        raise StaleError(
            f"{recipe_path(project)} was tuned before the ensemble's config, a member's weights, the fold table or the "
            "data changed; run `tune` again"
        )


def _predict_all(project: Project, task: Task, raws: Sequence[RawScan]) -> list[dict[str, Any]]:
    waiting = [raw for raw in raws if not _is_done(task, raw)]
    logger.info("submit: %d of %d scans to predict", len(waiting), len(raws))
    processes = min(project.jobs, len(waiting))
    if processes <= 1:
        if waiting:
            loaded = load_ensemble_models(task.recipe, task.runs, task.device)
            for raw in tqdm(waiting, "submit", disable=None):
                _predict_one(task, loaded, raw)
    else:
        with pool(processes) as workers:
            shares = [waiting[start::processes] for start in range(processes)]
            jobs = [workers.submit(_predict_share, task, share) for share in shares]
            for job in as_completed(jobs):
                job.result()
    return [read_json(task.parts / f"{raw.name}.json") for raw in raws]


def _predict_share(task: Task, raws: Sequence[RawScan]) -> None:
    loaded = load_ensemble_models(task.recipe, task.runs, task.device)
    for raw in raws:
        _predict_one(task, loaded, raw)


def _predict_one(task: Task, loaded: Loaded, raw: RawScan) -> None:
    scan = load(task.dataset, raw)
    masks = infer(loaded, scan, exclusive=task.labels is not None)
    if task.maps_folder is not None and task.labels is not None and masks.labels is not None:
        values = np.array([0, *(task.labels[name] for name in task.recipe.classes)], np.uint8)
        nifti.write_labels(values[masks.labels], raw.sources[0], _map_path(task.maps_folder, raw))
    result = {"signature": raw.signature(), "shape": scan.grid.shape, "slice_names": scan.slice_names, "rows": []}
    if task.maps_folder is None:
        result["rows"] = rows(masks)
    write_json(task.parts / f"{raw.name}.json", result)


def _is_done(task: Task, raw: RawScan) -> bool:
    part = task.parts / f"{raw.name}.json"
    if task.maps_folder is not None and not _map_path(task.maps_folder, raw).is_file():
        return False
    return part.is_file() and read_json(part)["signature"] == raw.signature()


def _map_path(folder: Path, raw: RawScan) -> Path:
    return folder / f"{raw.name}.nii.gz"


def _kind(dataset: Dataset) -> str:
    return str(dataset.reader)  # type: ignore[attr-defined]


def _default_sample(project: Project, folder: Path | None) -> Path | None:
    if folder is not None or not isinstance(project.dataset, UwmgiDataset):
        return None
    path = project.raw / project.dataset.sample_submission
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
    if not isinstance(project.dataset, NiftiDataset):
        raise CasefoldError(f"{submission} is a folder, but the data set's submissions are CSV files")
    lines = []
    for path in sorted(submission.glob("*.nii*")):
        if not (truth / path.name).is_file():
            raise DataError(f"{path.name} has no truth in {truth}")
        given, wanted = (_label_masks(project, file) for file in (path, truth / path.name))
        by_class = dict(zip(project.dataset.classes, dice_by_scan(wanted, given), strict=True))
        lines.append({"scan": path.name, **{f"dice {name}": value for name, value in by_class.items()}})
    if not lines:
        raise DataError(f"{submission} holds no label maps (*.nii or *.nii.gz)")
    frame = pd.DataFrame(lines)
    mean = {name: float(frame[name].mean()) for name in frame.columns if name != "scan"}
    return pd.concat([frame, pd.DataFrame([{"scan": "all", **mean}])], ignore_index=True)


def _label_masks(project: Project, path: Path) -> np.ndarray:
    """The masks of a label map, bool (class, z, y, x), read as an image is."""
    if not isinstance(project.dataset, NiftiDataset):
        raise CasefoldError("label maps belong to a NIfTI data set")
    values = nifti.label_values(project.dataset, project.raw)
    raw = RawScan(path.name, path.name, (path,), labelled=False)
    scan: Scan = nifti.load(project.dataset, raw)
    return np.stack([scan.image[0] == values[name] for name in project.dataset.classes])
