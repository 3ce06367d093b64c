"""pseudo: unlabelled scans, labelled for each fold by the ensemble's models of that fold alone."""

import logging
import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from casefold.core import ConfigError, DataError, LeakError, pack_masks
from casefold.files import hash_file, hash_value, read_record, write_json
from casefold.folds import TEST_ONLY, FoldTable
from casefold.infer import load_ensemble_models, masks_and_maps
from casefold.models.weights import WeightsInfo, read_info
from casefold.oof import refuse_seen
from casefold.pipeline.evaluation import evaluation_inputs
from casefold.pipeline.project import FULL, Project
from casefold.pipeline.submitting import current_recipe, side_by_side
from casefold.prepare import prepare, write_index, write_scan
from casefold.recipe import Recipe, as_plain
from casefold.store import Store
from casefold.train.pseudo import RECORD, pseudo_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """Which voxels and which scans are sure enough.

    margin: voxels whose combined q lies so near to a class's level are to be ignored; those of q 0 never are.
    confidence: a scan of less is left out. It is the Dice of what lies above the margin with that and the margin's
    voxels, the mean over the classes that have such voxels; 0 where none has.
    """

    margin: int = 26
    confidence: float = 0.7

    def __post_init__(self) -> None:
        if not (0 <= self.margin <= 127 and 0 <= self.confidence <= 1):
            raise ConfigError(f"--margin takes 0 to 127, --confidence 0 to 1, not {self.margin} and {self.confidence}")


@dataclass(frozen=True)
class Task:
    """What a worker needs to label scans for one fold: the images, the models, and where the labelled scans go.

    inputs: a digest of all that these depend on.
    """

    images: Store
    recipe: Recipe
    runs: dict[str, list[Path]]
    device: str
    rule: Rule
    out: Path
    inputs: str


def pseudo_step(project: Project, folder: Path, rule: Rule, full: bool = False) -> pd.DataFrame:
    """Label the scans in `folder` for every fold of the recipe, for `train: {pseudo: ...}` of other members to take.

    The masks are those of the recipe's first rung. A fold leaves out scans of cases (or groups) that it, or the test
    part, holds back, scans of which the data set has labels, and scans of low confidence. full: label for fits on all
    cases as well, by the models of all folds. Gives a row a fold; one that is done from the same inputs is left alone.
    Raises LeakError where a fold's models are of another, ConfigError where a member was made elsewhere, DataError
    where a fold keeps no scan.
    """
    recipe = current_recipe(project)
    outside = [name for name in recipe.members if name not in project.trained]
    if outside:
        raise ConfigError(f"{outside} were made elsewhere, and nobody can ask one of their folds for new scans' labels")
    torn = [name for name in recipe.members if project.trained[name].split is not None]
    if torn:
        raise ConfigError(
            f"{torn} have fold tables of their own (`split`): one fold's models have seen, together, what a student "
            "of that fold holds back; take teachers of the data set's fold table"
        )
    store = project.store()
    table = project.table(store)
    images = prepare(project.dataset, project.raw, project.out / "pseudo" / "images", project.jobs, folder=folder)
    rests_on = [
        evaluation_inputs(project, table, store, recipe.folds),
        as_plain(recipe),
        images.data_hash,
        asdict(rule),
    ]
    rows = []
    for fold in [*map(str, recipe.folds), *([FULL] if full else [])]:
        used = [str(number) for number in recipe.folds] if fold == FULL else [fold]
        runs = {name: [project.run(name, one) for one in used] for name in recipe.members}
        out = pseudo_folder(project.out, project.run(recipe.members[0], fold).name)
        record = _label_fold(
            project, Task(images, recipe, runs, project.device, rule, out, hash_value([*rests_on, fold])), fold, table
        )
        kept = [sure for name, sure in record["confidence"].items() if name not in record["left_out"]]
        reasons = list(record["left_out"].values())
        counts = {word: reasons.count(word) for word in ("labelled", "held back", "unsure")}
        rows.append({"fold": fold, "scans": len(kept), "confidence": float(np.mean(kept)), **counts})
    return pd.DataFrame(rows)


def sure_labels(
    masks: NDArray[np.bool_], maps: NDArray[np.uint8], levels: Sequence[int], rule: Rule
) -> tuple[NDArray[Any], NDArray[np.bool_], float]:
    """Of masks and their maps (class, z, y, x): the bitfield, what is to be ignored, and the scan's confidence."""
    ignore = np.zeros(maps.shape[1:], np.bool_)
    agreement = []
    for q, level in zip(maps, levels, strict=True):
        perhaps, surely = q >= max(level - rule.margin, 1), q > level + rule.margin
        ignore |= perhaps & ~surely
        if perhaps.any():
            agreement.append(2 * surely.sum() / (surely.sum() + perhaps.sum()))
    return pack_masks(masks), ignore, float(np.mean(agreement)) if agreement else 0.0


def _label_fold(project: Project, task: Task, fold: str, table: FoldTable) -> dict[str, Any]:
    """Label what is not labelled yet; gives the fold's record."""
    path = task.out / RECORD
    if path.is_file():
        record: dict[str, Any] = read_record(path)
        if record["inputs"] == task.inputs:
            return record
        path.unlink()  # its scans are about to change
    store, images = project.store(), task.images
    teachers = _teachers(task, fold, table, store)
    left_out = _not_to_train(project, images, fold, table, store)
    names = [name for name in images.case_of if name not in left_out]
    waiting = [name for name in names if not _is_labelled(task, name)]
    logger.info("pseudo-labels of fold %s: %d of %d scans to label", fold, len(waiting), len(names))
    side_by_side(project, partial(_label_share, task), waiting)
    confidence = {name: float(_source(task, name)["confidence"]) for name in names}
    left_out |= {name: "unsure" for name, sure in confidence.items() if sure < task.rule.confidence}
    kept = [name for name in names if name not in left_out]
    if not kept:
        raise DataError(
            f"fold {fold}: none of {len(images.case_of)} scans is left to train on ({sorted(set(left_out.values()))}); "
            f"the best confidence is {max(confidence.values(), default=0.0):.2f}, wanted {task.rule.confidence:g}"
        )
    write_index(images.classes, kept, {}, task.out)
    cases = [*(images.case_of[name] for name in kept), *(case for one in teachers for case in one.seen_cases)]
    record = {
        "inputs": task.inputs,
        "fold": fold,
        "teachers": {
            name: [hash_file(run / "weights.safetensors") for run in runs] for name, runs in task.runs.items()
        },
        "seen_cases": list(dict.fromkeys(cases)),
        "seen_scans": list(dict.fromkeys([*kept, *(scan for one in teachers for scan in one.seen_scans)])),
        "data_hash": Store(task.out).data_hash,
        "rule": asdict(task.rule),
        "confidence": confidence,
        "left_out": left_out,
    }
    write_json(path, record)
    return record


def _teachers(task: Task, fold: str, table: FoldTable, store: Store) -> list[WeightsInfo]:
    """What the models say of themselves; raises LeakError where one has seen what the fold holds back."""
    infos = [read_info(run / "weights.safetensors") for runs in task.runs.values() for run in runs]
    for info in infos if fold != FULL else ():
        if info.fold != fold:
            raise LeakError(f"a teacher of fold {fold} has the weights of {info.member} fold {info.fold}")
        for scan in table.split(store, int(fold))[1]:
            refuse_seen(info, store, scan, table.kind)
    return infos


def _not_to_train(project: Project, images: Store, fold: str, table: FoldTable, store: Store) -> dict[str, str]:
    """The scans that must not train in a fold, each with the reason."""
    labelled, known, new = store.labelled(), store.records(), images.records()
    pictures = {known[name]["hashes"]["image"] for name in labelled}
    groups = (project.groups(store) or {}) | (project.groups(images) or {})
    away = {TEST_ONLY} if fold == FULL else {TEST_ONLY, int(fold)}
    held = {store.case_of[name] for name in labelled if table.kind != "time" and table.fold(store, name) in away}
    held |= {groups[case] for case in held if case in groups}
    reasons = {}
    for name, case in images.case_of.items():
        if name in labelled or new[name]["hashes"]["image"] in pictures:
            reasons[name] = "labelled"
        elif {case, groups.get(case, case)} & held:
            reasons[name] = "held back"
    return reasons


def _label_share(task: Task, names: Sequence[str]) -> None:
    loaded = load_ensemble_models(task.recipe, task.runs, task.device)
    for name in tqdm(names, "pseudo", disable=None if multiprocessing.parent_process() is None else True):
        scan = task.images.scan(name)
        rung, masks, maps = masks_and_maps(loaded, scan)
        levels = [rung.levels[label] for label in scan.classes]
        bits, ignore, confidence = sure_labels(masks, maps, levels, task.rule)
        source = {"inputs": task.inputs, "confidence": confidence}
        image = task.images.root / "scans" / name / "image.npy"
        write_scan(replace(scan, masks=bits, ignore=ignore), source, task.out / "scans" / name, image)


def _is_labelled(task: Task, name: str) -> bool:
    whole = (task.out / "scans" / name / "scan.json").is_file()
    return whole and bool(_source(task, name)["inputs"] == task.inputs)


def _source(task: Task, name: str) -> dict[str, Any]:
    source: dict[str, Any] = read_record(task.out / "scans" / name / "scan.json")["source"]
    return source
