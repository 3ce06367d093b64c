"""score --part test: the cases that the fold table keeps for the end, predicted by the recipe; every look is noted."""

import logging
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from casefold.core import HALF, ConfigError, DataError, LeakError, Prediction
from casefold.files import hash_value, write_text
from casefold.folds import TEST_ONLY, FoldTable
from casefold.infer import infer, load_ensemble_models
from casefold.models.weights import read_info
from casefold.oof import read_prediction, write_prediction
from casefold.oof.external import Outside
from casefold.pipeline.evaluation import Tally, case_interval, evaluation_inputs, is_current, write_current
from casefold.pipeline.project import Project
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.pipeline.submitting import current_recipe, models_of, side_by_side
from casefold.readers.rle_table import read_table
from casefold.recipe import Recipe, as_plain
from casefold.store import Store

logger = logging.getLogger(__name__)
LOOKS = "test_looks.csv"
COLUMNS = ["date", "ensemble", "recipe", "part", "dice_case", "uw_score"]


@dataclass(frozen=True)
class Task:
    """What a worker needs to predict scans of the store: the recipe, its members' runs, and where results go."""

    store: Store
    recipe: Recipe
    runs: dict[str, list[Path]]
    outside: dict[str, Outside]
    device: str
    results: Path


def score_test_step(project: Project) -> pd.DataFrame:
    """Score the recipe on the fold table's test part: the metrics of `tune`, with their bounds over cases.

    Rows: `test`, and `low` and `high`, a bootstrap over the cases. Writes test_scores.csv, and a line for the look into
    test_looks.csv; scored before from the same inputs, it is read back, which is no look. Raises ConfigError where the
    table keeps no case for the test, LeakError where a member has seen one.
    """
    store = prepare_step(project, stay_partial=True)
    table = folds_step(project, store)
    scans = _test_scans(project, table, store)
    recipe = current_recipe(project)
    runs, outside, weights = models_of(project, recipe)
    cases = sorted({store.case_of[name] for name in scans})
    refuse_seen_test(runs, cases)
    called, part = hash_value([as_plain(recipe), weights]), hash_value(cases)
    _tell_of(earlier_looks(project, part, called))
    path = project.out / "test_scores.csv"
    inputs = hash_value([evaluation_inputs(project, table, store, recipe.folds), called])
    if is_current(path, inputs):
        return pd.read_csv(path)
    logger.info("test part: %d cases, %d scans", len(cases), len(scans))
    tallies = _tallies(
        project, Task(store, recipe, runs, outside, project.device, project.out / "test" / inputs), scans
    )
    total = Tally(store.classes)
    for tally in tallies.values():
        total.extend(tally)
    low, high = case_interval(list(tallies.values()))
    rows = {"test": total.row(), "low": low, "high": high}
    _note_look(project, called, part, rows["test"])  # before anybody can see the scores
    frame = pd.DataFrame([{"what": what, **row} for what, row in rows.items()])
    write_current(frame, path, inputs)
    return frame


def earlier_looks(project: Project, part: str, recipe: str) -> pd.DataFrame:
    """The first look of each other recipe at this test part, by any ensemble of the data set, the oldest first.

    part, recipe: digests as test_looks.csv has them. Columns: COLUMNS, all text.
    """
    looks = [_read_looks(path) for path in sorted(project.out.parent.glob(f"*/{LOOKS}"))]
    frame = pd.concat([pd.DataFrame(columns=COLUMNS), *looks], ignore_index=True)
    others = frame[(frame["part"] == part) & (frame["recipe"] != recipe)]
    return others.sort_values("date", kind="stable").drop_duplicates("recipe").reset_index(drop=True)


def refuse_seen_test(runs: Mapping[str, Sequence[Path]], cases: Sequence[str]) -> None:
    """Raise LeakError, naming case and weights, where weights have learnt from a case of the test part."""
    for info in (read_info(run / "weights.safetensors") for paths in runs.values() for run in paths):
        seen = sorted(set(info.seen_cases) & set(cases))
        if seen:
            raise LeakError(
                f"the weights of {info.member} fold {info.fold} have seen {seen[:5]} of the test part; a score on it "
                "would flatter. Train without them, or take these cases out of the test part"
            )


def _test_scans(project: Project, table: FoldTable, store: Store) -> list[str]:
    kept = [case for case, fold in table.fold_of.items() if fold == TEST_ONLY]
    if not kept:
        raise ConfigError(
            f"{project.table_path} keeps no labelled case for the test, so there is no test part to score; folds of "
            "kind `shares` and `given` make one. A submission is scored by: score NAME SUBMISSION TRUTH"
        )
    scans = table.kept_for_test(store)
    left_out = set(store.left_out.values()) & set(kept)
    if left_out:
        raise DataError(
            f"{len(left_out)} of the {len(kept)} cases of the test part are not whole in the store {store.root}: "
            f"{sorted(left_out)[:5]}; `prepare` adds them"
        )
    return scans


def _tallies(project: Project, task: Task, scans: Sequence[str]) -> dict[str, Tally]:
    """Predict what is not predicted yet, then count, a tally a case."""
    waiting = [name for name in scans if not (task.results / f"{name}.npz").is_file()]
    side_by_side(project, partial(_predict_share, task), waiting)
    tallies: dict[str, Tally] = {}
    for name in scans:
        scan = task.store.scan(name)
        tallies.setdefault(scan.case, Tally(scan.classes)).add(scan, _read_masks(task.results / f"{name}.npz"))
    return tallies


def _predict_share(task: Task, names: Sequence[str]) -> None:
    """Write the masks of scans as predictions of 0 and 255, the form that OOF is read in."""
    loaded = load_ensemble_models(task.recipe, task.runs, task.device, outside=task.outside)
    for name in tqdm(names, "score", disable=None if multiprocessing.parent_process() is None else True):
        masks = infer(loaded, task.store.scan(name))
        maps = np.where(masks.masks, np.uint8(255), np.uint8(0))
        made = Prediction(masks.case, name, masks.classes, maps.shape[1:], task.recipe.name, "mean", maps)
        write_prediction(made, task.results / f"{name}.npz")


def _read_masks(path: Path) -> NDArray[np.bool_]:
    maps = read_prediction(path).maps
    if maps is None:
        raise DataError(f"prediction {path} holds no maps; remove it, and the same command makes it again")
    return maps >= HALF


def _tell_of(looks: pd.DataFrame) -> None:
    if looks.empty:
        logger.info("the test part was not scored with another recipe before")
        return
    last = looks.iloc[-1]
    logger.warning(
        "the test part was scored with other recipes before (%d, the last on %s by the ensemble %s): a test set that "
        "is looked at often is no test set",
        len(looks), last["date"], last["ensemble"],
    )  # fmt: skip


def _read_looks(path: Path) -> pd.DataFrame:
    frame = read_table(path)
    if list(frame.columns) != COLUMNS:
        raise DataError(f"{path} should have the columns {','.join(COLUMNS)}, but has {list(frame.columns)}")
    return frame


def _note_look(project: Project, recipe: str, part: str, scores: Mapping[str, float]) -> None:
    path = project.out / LOOKS
    date = datetime.now(UTC).isoformat(timespec="seconds")
    values = [date, project.ensemble.name, recipe, part, f"{scores['dice_case']:.6f}", f"{scores['uw_score']:.6f}"]
    looks = [_read_looks(path)] if path.is_file() else []
    frame = pd.concat([*looks, pd.DataFrame([values], columns=COLUMNS)])
    write_text(path, frame.to_csv(index=False))
