"""An ensemble with its data set and members, read from configs once, and where each of its results lies."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from casefold.config.base import Dataset, GroupFolds
from casefold.config.detectors import Detect
from casefold.config.ensembles import Ensemble
from casefold.config.experiments import Experiment
from casefold.config.external import External
from casefold.config.inputs import DetectorCrop
from casefold.config.load import load_dataset, load_detector, load_ensemble, load_member_config, read_yaml
from casefold.config.paths import Paths
from casefold.config.postprocess import Truncate
from casefold.config.presence import CutOff
from casefold.core import ConfigError, nearest_word
from casefold.data.presence import target_of
from casefold.folds import FoldTable, read, words_of
from casefold.models.precision import pick_device
from casefold.store import Store
from casefold.views import crop_of

FULL = "full"


@dataclass(frozen=True)
class Project:
    """What every step needs. jobs: processes side by side; device: auto, cpu or cuda; neither is part of any hash.

    detectors: what members are cropped by; none of them is a member.
    """

    paths: Paths
    ensemble: Ensemble
    dataset: Dataset
    members: dict[str, Experiment | External]
    jobs: int
    device: str = "auto"
    detectors: dict[str, Detect] = field(default_factory=dict)

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
        """The data set's fold table."""
        return self.paths.fold_table(self.ensemble.dataset)

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

    def detectors_of(self, members: Sequence[str]) -> list[str]:
        """The detectors that crop these members, each once."""
        crops = [crop_of(config) for name, config in self.trained.items() if name in members]
        return list(dict.fromkeys(crop.member for crop in crops if isinstance(crop, DetectorCrop)))

    def store(self) -> Store:
        """The prepared scans."""
        return Store(self.store_root)

    @property
    def splits(self) -> list[int]:
        """The fold tables that members name beside the data set's."""
        return sorted({config.split for config in self.trained.values() if config.split is not None})

    def table(self, store: Store, member: str | None = None) -> FoldTable:
        """The fold table of a member, or of None the data set's, verified against the store."""
        config = self.trained.get(member or "")
        path = self.paths.fold_table(self.ensemble.dataset, config.split if config else None)
        return read(path, store, self.groups(store))

    def tables(self, store: Store, members: Iterable[str]) -> dict[str, FoldTable]:
        """The fold table of each of these members, each table read and verified once."""
        split_of = {name: self.trained[name].split if name in self.trained else None for name in members}
        first = {split: name for name, split in split_of.items()}
        read_once = {split: self.table(store, name) for split, name in first.items()}
        return {name: read_once[split] for name, split in split_of.items()}

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

    Detectors take only those that name them. jobs: None gives a process a core on a CPU, one where there is a GPU.
    """
    ensemble = load_ensemble(paths.configs, name)
    stems = {member.rsplit("/", 1)[-1]: member for member in ensemble.members}
    named = {*stems, *(path.stem for path in (paths.configs / "detect").glob("*.yaml"))}
    members = {}
    for stem, member in stems.items():
        is_external = read_yaml(paths.configs / f"{member}.yaml").get("kind") == "external"
        own = [] if is_external else [text for text in overrides if text.split(".", 1)[0] not in named]
        own += _of(stem, overrides)
        members[stem] = load_member_config(paths.configs, member, own)
    if all(config.kind == "cls" for config in members.values()):  # type: ignore[union-attr]
        raise ConfigError(f"ensemble {name}: no member has maps; add a seg25d or a seg3d")
    _refuse_misread(ensemble, members)
    dataset = load_dataset(paths.configs, ensemble.dataset)
    for step in ensemble.gate.along_z if ensemble.gate is not None else ():
        if strange := sorted(set(step.classes or ()) - set(dataset.classes)):
            raise ConfigError(f"gate.along_z: {step.name} treats {strange}, but the classes are {dataset.classes}")
    if jobs is None:
        jobs = 1 if pick_device(device).type == "cuda" else os.cpu_count() or 1
    project = Project(paths, ensemble, dataset, members, jobs, device)
    cropping = project.detectors_of(list(members))
    if torn := [name for name in project.trained if project.trained[name].split is not None
                and project.detectors_of([name])]:  # fmt: skip
        raise ConfigError(
            f"{torn} have fold tables of their own (`split`), but a detector crops them that is trained on the data "
            "set's: it has seen what they hold back; take the split out, or crop otherwise"
        )
    if twice := sorted(set(cropping) & set(members)):
        raise ConfigError(f"ensemble {name}: {twice} are names of members and of what crops them; rename one of each")
    return replace(project, detectors={one: load_detector(paths.configs, one, _of(one, overrides)) for one in cropping})


def _refuse_misread(ensemble: Ensemble, members: Mapping[str, Experiment | External]) -> None:
    """Raise ConfigError where a gate or a truncation takes a member's presence for what it does not say."""
    targets = {name: target_of(config) for name, config in members.items()}
    for name in ensemble.gate.members if ensemble.gate is not None else ():
        if isinstance(targets[name], CutOff):
            raise ConfigError(f"gate.members: {name} says where labels are cut off, not where a class is: no gate")
    for step in ensemble.post:
        if not isinstance(step, Truncate):
            continue
        if step.member not in targets:
            hint = nearest_word(step.member, list(targets))
            raise ConfigError(f"post: truncate by {step.member}{hint}, which is not among the members {list(targets)}")
        target = targets[step.member]
        foot = target.foot if isinstance(target, CutOff) else None
        if step.foot != foot:
            raise ConfigError(
                f"post: truncate by {step.member}, whose target is {target.name}, wants foot: {foot or 'null'}, "
                f"not {step.foot or 'null'}"
            )


def _of(name: str, overrides: Sequence[str]) -> list[str]:
    """The overrides that name one config, without its name."""
    return [text.split(".", 1)[1] for text in overrides if text.split(".", 1)[0] == name]


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
