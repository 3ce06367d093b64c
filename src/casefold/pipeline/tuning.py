"""tune: a recipe from verified out-of-fold predictions, with the score that it will hold beside it."""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from casefold.config.ensembles import Gate
from casefold.config.experiments import as_plain
from casefold.config.postprocess import Overlap, StepConfig, Truncate
from casefold.core import DataError, Prediction, Scan
from casefold.data.presence import target_of
from casefold.ensemble import to_masks
from casefold.files import hash_file, hash_value, read_record
from casefold.folds import FoldTable
from casefold.oof import read_header, read_prediction
from casefold.pipeline.evaluation import Tally, evaluation_inputs, held_files, is_current, trained, write_current
from casefold.pipeline.project import Project
from casefold.pipeline.training import pool
from casefold.recipe import Recipe, Rung, load_recipe, save_recipe, save_rungs
from casefold.store import Store
from casefold.tune.honest import Fitted, forward
from casefold.tune.memory import Memory
from casefold.tune.sanity import faults, spread
from casefold.tune.search import Search, Task
from casefold.tune.table import BASE, Ways, compare, frame, ingredients_of, ladder, rung_of
from casefold.tune.voxels import gather

logger = logging.getLogger(__name__)
Run = Callable[..., Iterable[Any]]
ACROSS = Overlap, Truncate  # steps that read more than one class's mask: taken in the end, not while searching
SCANS_A_PROCESS = 16  # fewer are done before another process has started
CHUNK = 4


@dataclass(frozen=True)
class Source:
    """Where one scan's predictions lie; read where it is needed, so that processes can share the scans out."""

    store: Path
    scan: str
    files: tuple[tuple[str, Path], ...]

    def read(self) -> tuple[Scan, dict[str, Prediction]]:
        """The labelled scan, and each member's prediction of it."""
        return Store(self.store).scan(self.scan), {name: read_prediction(path) for name, path in self.files}


def tune_step(project: Project, folds: Sequence[int] | None = None) -> tuple[Recipe, pd.DataFrame]:
    """Search the recipe on verified OOF; writes recipe.yaml, cross_fitted.json and scores.csv.

    scores.csv: a row a way of tuning (each member alone, equal weights with one level, one ingredient more, all of
    them, the recipe), tuned and cross-fitted, the recipe's gain over it and its own over equal weights, with intervals;
    then every metric of the recipe and of equal weights. Done already with the same inputs, it is read back. Raises
    DataError, naming member and fault, where predictions do not fit their scans.
    """
    store, table, folds = trained(project, folds)
    path, inputs = project.out / "scores.csv", evaluation_inputs(project, table, store, folds)
    if is_current(path, inputs) and recipe_path(project).is_file() and honest_path(project).is_file():
        return load_recipe(recipe_path(project)), pd.read_csv(path)
    sources = sources_of(project, store, folds)
    _refuse_faults(project, sources)
    work = project.out / "search"
    voxels = work / "voxels" / inputs
    with _processes(project, len(sources)) as run:
        search = _search(project, store, sources, voxels, work / "counts", run)
        ingredients = ingredients_of(search)
        seconds, budget = _seconds(project, folds), project.ensemble.tune.seconds_a_scan
        members = search.task.members if budget is None else tuple(sorted(forward(search, seconds, budget)))
        ways = compare(search, members, ingredients)
        gate, post = project.ensemble.gate, project.ensemble.post
        rungs = ladder(search, ways, ingredients, seconds, gate, post)
        found = frame(search, ways)
        metrics = _metrics(project, store, sources, search, ways, run)
    recipe = Recipe(
        name=project.ensemble.name,
        dataset=project.ensemble.dataset,
        classes=store.classes,
        rungs=tuple(rungs),
        models=project.ensemble.models,
        folds=tuple(folds),
        tuned_on=_tuned_on(project, table, store, folds) | {"same_case": table.kind == "time"},
    )
    save_rungs(_by_case(search, ways.recipe, project), honest_path(project))
    save_recipe(recipe, recipe_path(project))
    found = pd.concat([found, metrics], ignore_index=True)
    write_current(found, path, inputs)
    shutil.rmtree(work / "voxels")
    return recipe, found


def recipe_path(project: Project) -> Path:
    """Where tune writes the recipe."""
    return project.out / "recipe.yaml"


def honest_path(project: Project) -> Path:
    """Where tune writes, for each case, the rung that was tuned without it."""
    return project.out / "cross_fitted.json"


def sources_of(project: Project, store: Store, folds: Sequence[int]) -> list[Source]:
    files = held_files(project, sorted(project.members), store, folds)
    scans = next(iter(files.values()))
    return [Source(store.root, scan, tuple((name, paths[scan]) for name, paths in files.items())) for scan in scans]


def _refuse_faults(project: Project, sources: Sequence[Source]) -> None:
    by_scan = {source.scan: source for source in sources}
    targets = {name: target_of(config) for name, config in project.members.items()}
    found = faults((by_scan[name].read() for name in spread(list(by_scan))), targets)
    found = {name: words for name, words in found.items() if name not in project.ensemble.tune.trusted}
    if found:
        lines = "\n".join(f"  {name}: {'; '.join(words)}" for name, words in found.items())
        raise DataError(
            f"these members' predictions do not fit their scans:\n{lines}\nMend how they are made; if they are right, "
            f"name them in the ensemble's `tune: {{trusted: [...]}}`"
        )


def _search(project: Project, store: Store, sources: Sequence[Source], voxels: Path, counts: Path, run: Run) -> Search:
    config, gate, members = project.ensemble.tune, project.ensemble.gate, tuple(project.segmenters)
    files = tuple(voxels / f"{source.scan}.safetensors" for source in sources)
    missing = [pair for pair in zip(sources, files, strict=True) if not pair[1].is_file()]
    list(run(partial(_gather, members=members, gate=gate, floor=min(config.levels)), missing))
    task = Task(
        files=files,
        cases=tuple(store.case_of[source.scan] for source in sources),
        classes=store.classes,
        members=members,
        gates=(0,) if gate is None else gate.ladder,
        config=config,
        fixed=tuple(_always(project, name) for name in store.classes),
    )
    made_by = {name: [] for name in project.members}  # type: dict[str, list[str]]
    for name, path in (file for source in sources for file in source.files):
        made_by[name].append(str(read_header(path)["weights_hash"]))
    hashes = {name: hash_value(found) for name, found in made_by.items()}
    gating = None
    if gate is not None:
        gating = [gate.source, [hashes[name] for name in sorted(gate.members)], *map(as_plain, gate.along_z)]
    known = hash_value([store.data_hash, [source.scan for source in sources], gating])
    return Search(task, Memory(counts, known, tuple((name, hashes[name]) for name in members)), run)


def _gather(pair: tuple[Source, Path], members: Sequence[str], gate: Gate | None, floor: int) -> None:
    scan, predictions = pair[0].read()
    gather(scan, predictions, members, gate, floor, pair[1])


def _always(project: Project, name: str) -> tuple[StepConfig, ...]:
    """The steps that the ensemble always takes, for one class alone."""
    steps = [step for step in project.ensemble.post if not isinstance(step, ACROSS)]
    own = [step for step in steps if step.classes is None or name in step.classes]
    return tuple(step.model_copy(update={"classes": None}) for step in own)


def _seconds(project: Project, folds: Sequence[int]) -> dict[str, float]:
    """What each member takes a scan when its folds predict one after the other, by the runs' manifests."""
    seconds = {}
    for name in project.members:
        paths = [project.run(name, str(fold)) / "manifest.json" for fold in folds]
        seconds[name] = sum(float(read_record(path).get("s_a_scan") or 0.0) for path in paths if path.is_file())
    return seconds


def _metrics(
    project: Project, store: Store, sources: Sequence[Source], search: Search, ways: Ways, run: Run
) -> pd.DataFrame:
    """Every metric of the recipe and of equal weights, from the masks that submit would make."""
    on_itself = rung_of(search, ways.recipe.points, project.ensemble.gate, project.ensemble.post)
    rungs = {
        "recipe, tuned (on itself)": dict.fromkeys(search.task.case_names, on_itself),
        "recipe, cross-fitted": _by_case(search, ways.recipe, project),
        f"{BASE}, cross-fitted": _by_case(search, ways.fitted[BASE], project),
    }
    tallies = {name: Tally(store.classes) for name in rungs}
    wanted = [(source, {name: own[store.case_of[source.scan]] for name, own in rungs.items()}) for source in sources]
    for found in run(_tally, wanted):
        for name, tally in found.items():
            tallies[name].extend(tally)
    return pd.DataFrame([{"what": name, **tally.row()} for name, tally in tallies.items()])


def _by_case(search: Search, fitted: Fitted, project: Project) -> dict[str, Rung]:
    """Each case's rung, tuned without it."""
    gate, post = project.ensemble.gate, project.ensemble.post
    return {case: rung_of(search, points, gate, post) for case, points in fitted.by_case.items()}


def _tally(wanted: tuple[Source, Mapping[str, Rung]]) -> dict[str, Tally]:
    source, rungs = wanted
    scan, predictions = source.read()
    tallies: dict[str, Tally] = {}
    for name, rung in rungs.items():
        same = next((other for other in tallies if rungs[other] == rung), None)
        tallies[name] = Tally(scan.classes)
        if same is None:
            tallies[name].add(scan, to_masks(predictions, rung, scan.classes, scan.grid.spacing_mm)[0])
        else:
            tallies[name].extend(tallies[same])
    return tallies


def _tuned_on(project: Project, table: FoldTable, store: Store, folds: Sequence[int]) -> dict[str, Any]:
    """Digests of all that the recipe rests on."""
    weights = {
        name: [hash_file(project.run(name, str(fold)) / "weights.safetensors") for fold in folds]
        for name in sorted(project.members)
    }
    return {
        "objective": project.ensemble.tune.objective,
        "data": store.data_hash,
        "folds": table.hash,
        "weights": weights,
    }


@contextmanager
def _processes(project: Project, scans: int) -> Iterator[Run]:
    """What maps a function over scans: in this process, or in several where there are scans enough."""
    processes = min(project.jobs, scans // SCANS_A_PROCESS)
    if processes < 2:
        yield map
        return
    with pool(processes) as workers:
        yield partial(workers.map, chunksize=CHUNK)
