"""The pass of a report over the scans, side by side, each kept in a file: what is done stays done."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from casefold.core import ConfigError, DataError
from casefold.files import hash_file, hash_value, read_record
from casefold.folds import FoldTable
from casefold.pipeline.evaluation import evaluation_inputs, is_current, trained
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.report_masks import rungs_of
from casefold.pipeline.report_record import LAYOUT, Task, examine, read_record_of
from casefold.pipeline.report_scores import Gathered
from casefold.pipeline.report_share import every
from casefold.pipeline.tuning import honest_path, sources_of, tune_step
from casefold.recipe import Recipe, Rung, load_rungs
from casefold.store import Store


@dataclass(frozen=True)
class Looked:
    """What the pass over the scans leaves. tuned: scores.csv. notes: of other ensembles that could not be compared."""

    project: Project
    store: Store
    table: FoldTable
    folds: Sequence[int]
    recipe: Recipe
    tuned: pd.DataFrame
    tasks: tuple[Task, ...]
    held: Gathered
    notes: tuple[str, ...]


def look(project: Project, folds: Sequence[int] | None = None) -> Looked:
    """The pass over all labelled scans of the folds, each under the rung that was tuned without its case.

    folds: None takes those that every member is trained on; where there are none, all are trained.
    """
    store, table, folds = trained(project, done_folds(project) if folds is None else folds)
    recipe, tuned = tune_step(project, folds if len(folds) < table.count else None)
    by_case = load_rungs(honest_path(project))
    others, notes = _others(project, table, store, folds)
    inputs = evaluation_inputs(project, table, store, folds)
    digests = {name: hash_file(honest_path(own)) for name, (own, _) in others.items()}
    folder = project.out / "report_scans" / hash_value([LAYOUT, inputs, hash_file(honest_path(project)), digests])
    readers = tuple(sorted({name for rung in by_case.values() for name in rung.members}))
    sources = sources_of(project, store, folds)
    tasks = []
    for source in sources:
        case = store.case_of[source.scan]
        rungs = {name: own[case] for name, (_, own) in others.items()}
        path = folder / f"{source.scan}.npz"
        ways = by_case[case], tuple(project.segmenters), readers, rungs
        tasks.append(Task(source.store, source.scan, source.files, *ways, project.ensemble.gate, path))
    waiting = [task for task in tasks if not task.path.is_file()]
    every(project.jobs, examine, waiting, "report")
    for old in folder.parent.iterdir():
        if old != folder:
            shutil.rmtree(old)
    first = tasks[0]
    held = Gathered(
        project.ensemble.name,
        project.ensemble.tune.objective,
        store.classes,
        tuple(task.scan for task in tasks),
        tuple(store.case_of[task.scan] for task in tasks),
        tuple(table.fold(store, task.scan) for task in tasks),
        tuple(rungs_of(first.rung, first.segmenters, first.readers, first.others)),
        tuple(read_record_of(task.path) for task in tasks),
    )
    return Looked(project, store, table, folds, recipe, tuned, tuple(tasks), held, tuple(notes))


def done_folds(project: Project) -> list[int] | None:
    """The folds that every member is trained on where these are some but not all; else None, which means every fold."""
    if not project.table_path.is_file() or not (project.store_root / "store.json").is_file():
        return None
    count = project.table(project.store()).count
    runs = {fold: [project.run(name, str(fold)) / "manifest.json" for name in project.trained] for fold in range(count)}
    done = [
        fold for fold, own in runs.items()
        if all(path.is_file() and read_record(path).get("state") == "done" for path in own)
    ]  # fmt: skip
    return done if 0 < len(done) < count else None


def _others(
    project: Project, table: FoldTable, store: Store, folds: Sequence[int]
) -> tuple[dict[str, tuple[Project, dict[str, Rung]]], list[str]]:
    """Other ensembles of the data set that are tuned on the same folds and need no further member, with each case's
    rung; and why any is left out."""
    found, notes = {}, []
    for path in sorted(project.out.parent.iterdir()):
        if path.name == project.ensemble.name or not (path / honest_path(project).name).is_file():
            continue
        try:
            other = open_project(project.paths, path.name, jobs=project.jobs, device=project.device)
            current = is_current(path / "scores.csv", evaluation_inputs(other, table, store, folds))
        except (ConfigError, DataError) as e:
            notes.append(f"{path.name} is not among the candidates: {e}.")
            continue
        strange = sorted(set(other.members) - set(project.members))
        if strange:
            notes.append(f"{path.name} is not among the candidates: it has {', '.join(strange)} besides.")
        elif not current:
            notes.append(f"{path.name} is not among the candidates: it was tuned on other inputs; `tune` it again.")
        else:
            found[path.name] = other, load_rungs(honest_path(other))
    return found, notes
