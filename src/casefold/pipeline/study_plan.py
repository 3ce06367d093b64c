"""What a study trains: fold tables of ever fewer training cases, a run a member on each, and how long it trains."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from casefold.config.ensembles import Ensemble
from casefold.config.experiments import Cls, Experiment, as_plain
from casefold.config.inputs import DetectorCrop
from casefold.config.load import dump, load_dataset, load_experiment
from casefold.config.paths import Paths
from casefold.config.studies import Budget, Study
from casefold.core import ConfigError
from casefold.files import hash_value, read_record, write_json
from casefold.folds import TEST_ONLY, TRAIN_ONLY, FoldTable, natural_key, write
from casefold.models.precision import pick_device
from casefold.pipeline.alone import alone
from casefold.pipeline.project import Project
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.store import Store
from casefold.train.preflight import preflight
from casefold.train.run import Job, datasets
from casefold.views import crop_of

FOLD = 0  # the only one of a study's own tables


@dataclass(frozen=True)
class Run:
    """A member on a share of the training cases, and the scans that are held out of all."""

    job: Job
    share: float
    cases: int
    held: tuple[str, ...]


def plan_study(paths: Paths, study: Study, device: str) -> list[Run]:
    """The runs of a study, the largest share first, after `prepare` and `folds`; nothing is trained.

    Each share has a fold table of its own, written beside its runs, so that whatever reads a run holds there too.
    Raises ConfigError for members that are not trained alone on what the study gives them.
    """
    dataset = load_dataset(paths.configs, study.dataset)
    members = {path.rsplit("/", 1)[-1]: _member(paths, path) for path in study.members}
    ensemble = Ensemble(name=study.name, dataset=study.dataset, members=study.members)
    project = Project(paths, ensemble, dataset, dict(members), 1, device)
    store = prepare_step(project, stay_partial=True)
    runs = []
    for share, part in tables(folds_step(project, store), study, project.groups(store)).items():
        root = paths.study(study.dataset, study.name) / f"share{share:g}"
        own = replace(project, paths=replace(paths, runs=root / "runs", folds=root / "folds"))
        write(part, store, own.table_path)
        table = own.table(store)
        names, held = table.split(store, FOLD)
        for name, config in members.items():
            job = Job(
                config, table, str(FOLD), project.store_root, own.run(name, str(FOLD)), device, paths.data,
                cache_bytes=int(dataset.cache_gib * 2**30),
            )  # fmt: skip
            runs.append(Run(job, share, len({store.case_of[scan] for scan in names}), tuple(held)))
    return runs


def tables(table: FoldTable, study: Study, groups: Mapping[str, str] | None = None) -> dict[float, FoldTable]:
    """A fold table for each share, the largest first: the study's fold held back, of the others a share that trains.

    A smaller share's cases are among a larger one's; what is left out stands as `test`, which neither trains nor is
    held back, beside what the data set keeps for its test. groups: case to group, where whole groups are drawn. Raises
    ConfigError for a table by time, and for a fold that it does not have.
    """
    if table.kind == "time":
        raise ConfigError("a study holds cases back, but the data set's fold table is one by time, of scans")
    if study.fold >= table.count:
        raise ConfigError(f"fold: there is no fold {study.fold}; the table has folds 0 to {table.count - 1}")
    free = [case for case, fold in table.fold_of.items() if fold not in (study.fold, TEST_ONLY)]
    group_of = {case: case if groups is None else groups[case] for case in free}
    units = sorted(set(group_of.values()), key=natural_key)
    order = np.random.default_rng(study.seed).permutation(len(units))
    found = {}
    for share in sorted(study.shares, reverse=True):
        taken = {units[place] for place in order[: max(1, round(share * len(units)))]}
        fold_of = {case: TEST_ONLY if fold != study.fold else FOLD for case, fold in table.fold_of.items()}
        found[share] = FoldTable("given", fold_of | {case: TRAIN_ONLY for case in free if group_of[case] in taken})
    return found


def fitted(job: Job, budget: Budget, threads: int) -> Job:
    """The job with as many steps as its budget gives, validated at the end alone.

    What was measured is kept beside the run, so that the same command trains for as long. Raises CasefoldError where a
    batch can't be learnt (`preflight`).
    """
    path = job.run.parent / "steps.json"
    inputs = hash_value([dump(job.config), as_plain(budget), job.table.hash, Store(job.store).data_hash])
    if not path.is_file() or read_record(path)["inputs"] != inputs:
        write_json(path, {"inputs": inputs, "steps": budget.steps or _steps_within(job, budget, threads)})
    return _with_steps(job, int(read_record(path)["steps"]))


def _steps_within(job: Job, budget: Budget, threads: int) -> int:
    """Those that minutes give; on a CPU they are of its own time, so that nothing beside it makes a run shorter."""
    found = alone(threads, preflight, _with(job, {"epochs": 1, "steps": None}))
    step_s = found.step_s if pick_device(job.device).type == "cuda" else found.step_cpu_s / threads
    return max(1, round(60 * (budget.minutes or 0) / (step_s + found.load_s)))


def _with_steps(job: Job, steps: int) -> Job:
    """The last epoch is the one that the steps end in."""
    store, batches = Store(job.store), steps * job.config.train.accumulate
    sampler = datasets(job, store, job.table.split(store, FOLD)[0], 0, 1)[1]
    sampler.epochs = epochs = math.ceil(batches / sampler.length(0))
    while sum(sampler.length(epoch) for epoch in range(epochs)) < batches:  # shares may change over the epochs
        sampler.epochs = epochs = epochs + 1
    return _with(job, {"epochs": epochs, "steps": steps, "validate_every": epochs})


def _with(job: Job, changes: dict[str, Any]) -> Job:
    train = job.config.train.model_copy(update=changes)
    return replace(job, config=job.config.model_copy(update={"train": train}))


def _member(paths: Paths, path: str) -> Experiment:
    config = load_experiment(paths.configs, path)
    train = config.train
    reasons = {
        "a classifier has no maps, whose Dice is what a study compares": isinstance(config, Cls),
        "train.patience looks at the scans that a study tests on": train.patience is not None,
        "train.pseudo brings scans that are no share of the training cases": train.pseudo is not None,
        "train.init_from begins with what another member learnt": train.init_from and train.init_from.member,
        "split names a fold table, but a study has its own": config.split is not None,
        "data.crop by a detector wants one more training on each share": isinstance(crop_of(config), DetectorCrop),
    }
    for reason, is_so in reasons.items():
        if is_so:
            raise ConfigError(f"{path} is no member for a study: {reason}; take another, or take that out")
    return config
