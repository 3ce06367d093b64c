"""An ensemble with its data set and members, read from configs once, and where each of its results lies."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from casefold.config.base import Dataset, GroupFolds
from casefold.config.ensembles import Ensemble
from casefold.config.experiments import Experiment
from casefold.config.external import External
from casefold.config.load import load_dataset, load_ensemble, load_member_config, read_yaml
from casefold.config.paths import Paths
from casefold.core import ConfigError, nearest_word
from casefold.folds import FoldTable, read, words_of
from casefold.models.precision import pick_device
from casefold.store import Store

FULL = "full"


@dataclass(frozen=True)
class Project:
    """What every step needs. jobs: processes side by side; device: auto, cpu or cuda; neither is part of any hash."""

    paths: Paths
    ensemble: Ensemble
    dataset: Dataset
    members: dict[str, Experiment | External]
    jobs: int
    device: str = "auto"

    @property
    def raw(self) -> Path:
        """The data set's raw files."""
        return self.paths.raw(self.dataset.root)

    @property
    def store_root(self) -> Path:
        """Where `prepare` writes."""
        return self.paths.store / self.ensemble.dataset

    @property
    def table_path(self) -> Path:
        """The fold table."""
        return self.paths.folds / f"{self.ensemble.dataset}.csv"

    @property
    def out(self) -> Path:
        """What tune and submit write for this ensemble."""
        return self.paths.ensemble(self.ensemble.dataset, self.ensemble.name)

    @property
    def trained(self) -> dict[str, Experiment]:
        """The members that are trained here, not imported."""
        return {name: config for name, config in self.members.items() if isinstance(config, Experiment)}

    @property
    def segmenters(self) -> list[str]:
        """The members that have maps, in order of their names."""
        return sorted(name for name, config in self.members.items() if config.kind != "cls")  # type: ignore[union-attr]

    def store(self) -> Store:
        """The prepared scans."""
        return Store(self.store_root)

    def table(self, store: Store) -> FoldTable:
        """The fold table, verified against the store."""
        return read(self.table_path, store, self.groups(store))

    def groups(self, store: Store) -> dict[str, str] | None:
        """Case to group where the data set folds by groups, else None."""
        folds = self.dataset.folds
        return words_of(folds, self.raw, store) if isinstance(folds, GroupFolds) else None

    def run(self, member: str, fold: str) -> Path:
        """The folder of one run."""
        return self.paths.run(self.ensemble.dataset, member, fold)


def open_project(
    paths: Paths, name: str, overrides: Sequence[str] = (), jobs: int | None = None, device: str = "auto"
) -> Project:
    """Read an ensemble's configs. overrides: `train.lr=1e-4` for all that are trained, `MEMBER.train.lr=1e-4` for one.

    jobs: None gives one process a core on a CPU, one process where there is a GPU.
    """
    ensemble = load_ensemble(paths.configs, name)
    stems = {member.rsplit("/", 1)[-1]: member for member in ensemble.members}
    members = {}
    for stem, member in stems.items():
        is_external = read_yaml(paths.configs / f"{member}.yaml").get("kind") == "external"
        own = [] if is_external else [text for text in overrides if text.split(".", 1)[0] not in stems]
        own += [override.split(".", 1)[1] for override in overrides if override.split(".", 1)[0] == stem]
        members[stem] = load_member_config(paths.configs, member, own)
    if all(config.kind == "cls" for config in members.values()):  # type: ignore[union-attr]
        raise ConfigError(f"ensemble {name}: no member has maps; add a seg25d or a seg3d")
    if jobs is None:
        jobs = 1 if pick_device(device).type == "cuda" else os.cpu_count() or 1
    dataset = load_dataset(paths.configs, ensemble.dataset)
    return Project(paths, ensemble, dataset, members, jobs, device)


def open_dataset(paths: Paths, name: str) -> tuple[str, Dataset]:
    """The data set of an ensemble, or the one of that name where no ensemble has it, with its own name."""
    known = {
        kind: sorted(path.stem for path in (paths.configs / kind).glob("*.yaml")) for kind in ("ensembles", "datasets")
    }
    if name in known["ensembles"]:
        name = load_ensemble(paths.configs, name).dataset
    elif name not in known["datasets"]:
        hint = nearest_word(name, [*known["ensembles"], *known["datasets"]])
        raise ConfigError(f"{name!r} is neither an ensemble nor a data set of {paths.configs}{hint}; it has {known}")
    return name, load_dataset(paths.configs, name)


def pick(project: Project, names: Sequence[str]) -> list[str]:
    """The members named, or all; raises ConfigError for one that the ensemble does not have."""
    for name in names:
        if name not in project.members:
            known = list(project.members)
            raise ConfigError(
                f"ensemble {project.ensemble.name} has no member {name}{nearest_word(name, known)}: {known}"
            )
    return list(names) or list(project.members)
