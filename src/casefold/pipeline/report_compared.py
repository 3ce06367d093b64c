"""compare: two ensembles or members of one data set, held against each other case by case."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from casefold.analysis.compared import Comparison, compare
from casefold.config.base import GroupFolds
from casefold.config.ensembles import Objective, Tune
from casefold.config.load import load_dataset, parse_experiment, read_yaml
from casefold.config.paths import Paths
from casefold.core import HALF, ConfigError, DataError, nearest_word
from casefold.folds import FoldTable, read, words_of
from casefold.oof import join
from casefold.pipeline.planning import with_fitted_epochs
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.report_pass import look
from casefold.pipeline.report_record import member_stats
from casefold.pipeline.report_scores import METRICS, scan_scores
from casefold.pipeline.report_share import every
from casefold.store import Store


@dataclass(frozen=True)
class Side:
    """One of the two: an ensemble, opened, or a member by its name."""

    name: str
    project: Project | None

    @property
    def words(self) -> str:
        """What is scored of it."""
        return f"{self.name} (cross-fitted)" if self.project is not None else f"{self.name} (level {HALF})"


def compare_step(paths: Paths, one: str, other: str, jobs: int, device: str = "auto") -> tuple[str, Comparison]:
    """What is compared, in words, and the comparison: `one` minus `other`, scan by scan and then by case.

    An ensemble's masks are the cross-fitted ones, a member's those at level 128. The score is the first ensemble's
    objective, or 3D Dice of two members. Raises ConfigError for an unknown name, DataError for two data sets.
    """
    sides = [_side(paths, name, jobs, device) for name in (one, other)]
    dataset = _dataset(paths, sides)
    objectives = [side.project.ensemble.tune.objective for side in sides if side.project is not None]
    objective: Objective = (objectives or [Tune().objective])[0]
    store = Store(paths.store / dataset)
    first, second = (_scores(paths, dataset, store, side, objective, jobs) for side in sides)
    told = f"{sides[0].words} minus {sides[1].words}: {METRICS[objective]}, by scan"
    return told, compare(first, second, store.case_of)


def _side(paths: Paths, name: str, jobs: int, device: str) -> Side:
    ensembles = [path.stem for path in (paths.configs / "ensembles").glob("*.yaml")]
    if name in ensembles:
        return Side(name, with_fitted_epochs(open_project(paths, name, jobs=jobs, device=device)))
    members = [path.name for path in paths.runs.glob("*/members/*")]
    if name in members:
        return Side(name, None)
    known = sorted({*ensembles, *members})
    raise ConfigError(f"{name!r} is neither an ensemble nor a trained member{nearest_word(name, known)}: {known}")


def _dataset(paths: Paths, sides: Sequence[Side]) -> str:
    """The data set that both are of."""
    held = []
    for side in sides:
        own = {path.parent.parent.name for path in paths.runs.glob(f"*/members/{side.name}")}
        held.append(own if side.project is None else {side.project.ensemble.dataset})
    both = sorted(held[0] & held[1])
    if len(both) != 1:
        told = " and ".join(f"{side.name} of {', '.join(sorted(own))}" for side, own in zip(sides, held, strict=True))
        raise DataError(f"what is compared should be of one data set; there is {told}")
    return both[0]


def _scores(paths: Paths, dataset: str, store: Store, side: Side, objective: Objective, jobs: int) -> dict[str, float]:
    """By scan."""
    if side.project is not None:
        held = look(side.project).held
        return dict(zip(held.scans, scan_scores(objective, held.of(held.ways[0])).tolist(), strict=True))
    member = paths.member(dataset, side.name)
    table = _table(paths, dataset, store, member)
    folds = [fold for fold in range(table.count) if (member / f"fold{fold}" / "weights.safetensors").is_file()]
    files = join(member, table, store, folds)
    measure = partial(member_stats, store.root)
    found = every(jobs, measure, list(files.items()), side.name)
    return dict(zip(files, scan_scores(objective, np.stack(found, axis=1)).tolist(), strict=True))


def _table(paths: Paths, dataset: str, store: Store, member: Path) -> FoldTable:
    """The fold table of a member, given its folder of folds; those that were imported have no config there."""
    config = load_dataset(paths.configs, dataset)
    groups = words_of(config.folds, paths.raw(config.root), store) if isinstance(config.folds, GroupFolds) else None
    saved = next(member.glob("fold*/config.yaml"), None)
    split = None if saved is None else parse_experiment(read_yaml(saved), saved).split
    return read(paths.fold_table(dataset, split), store, groups)
