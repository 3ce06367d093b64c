"""Where things lie: raw data, stores and runs by environment or flag, configs and fold tables beside the code."""

import os
from dataclasses import dataclass
from pathlib import Path

from casefold.core import ConfigError


@dataclass(frozen=True)
class Paths:
    """The five roots; everything else is found below them."""

    data: Path
    store: Path
    runs: Path
    configs: Path
    folds: Path

    @classmethod
    def from_environment(cls) -> "Paths":
        """CASEFOLD_DATA, _STORE, _RUNS, _CONFIGS and _FOLDS, or data, store, runs, configs and folds here."""
        names = ("data", "store", "runs", "configs", "folds")
        return cls(**{name: Path(os.environ.get(f"CASEFOLD_{name.upper()}", name)) for name in names})

    def raw(self, root: str) -> Path:
        """A data set's raw files; `root` as the config has it. An absolute root is refused."""
        if Path(root).is_absolute():
            raise ConfigError(f"root: {root} is absolute; write it below CASEFOLD_DATA and set that")
        return self.data / root

    def fold_table(self, dataset: str, split: int | None = None) -> Path:
        """A data set's fold table; of a split that members name, theirs."""
        return self.folds / f"{dataset}{'' if split is None else f'.{split}'}.csv"

    def member(self, dataset: str, member: str) -> Path:
        """All of a member's runs on a data set."""
        return self.runs / dataset / "members" / member

    def run(self, dataset: str, member: str, fold: str) -> Path:
        """One trained fold of a member: `fold` is a number as text, or `full`."""
        return self.member(dataset, member) / (fold if fold == "full" else f"fold{fold}")

    def ensemble(self, dataset: str, name: str) -> Path:
        """What tune and report write for an ensemble."""
        return self.runs / dataset / "ensembles" / name

    def study(self, dataset: str, name: str) -> Path:
        """The runs, the table and the picture of a study."""
        return self.runs / dataset / "studies" / name
