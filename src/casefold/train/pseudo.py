"""Scans that an ensemble labelled and that train beside a run's own: never scored; what their teachers saw is seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from casefold.config.training import PseudoLabels
from casefold.core import ConfigError, DataError, LeakError, Scan, StaleError
from casefold.files import read_record
from casefold.store import Store

RECORD = "pseudo.json"


@dataclass(frozen=True)
class Pseudo:
    """The pseudo-labelled scans of one fold: a store in the folder of `path`, its record.

    scans: the most confident first. seen_cases, seen_scans: their own, and all that their teachers have seen. share:
    of the scans that train, theirs at most.
    """

    path: Path
    scans: tuple[str, ...]
    seen_cases: tuple[str, ...]
    seen_scans: tuple[str, ...]
    data_hash: str
    share: float


def pseudo_folder(ensemble: Path, run: str) -> Path:
    """Where an ensemble's folder has the pseudo-labelled scans for runs of that name: `fold0`, or `full`."""
    return ensemble / "pseudo" / run


def find_pseudo(config: PseudoLabels, run: Path, fold: str) -> Pseudo:
    """What `train.pseudo` names, for a run's folder.

    Raises ConfigError where it is missing, LeakError where models of another fold have labelled it.
    """
    path = pseudo_folder(run.parents[2] / "ensembles" / config.ensemble, run.name) / RECORD
    command = f"casefold pseudo {config.ensemble} --data FOLDER{' --full' if fold == 'full' else ''}"
    if not path.is_file():
        raise ConfigError(f"train.pseudo: there is no {path}; call `{command}` first")
    record: dict[str, Any] = read_record(path)
    if record["fold"] != fold:
        raise LeakError(
            f"{path} was labelled by models of fold {record['fold']}, which have seen what fold {fold} holds back; "
            f"call `{command}` again"
        )
    sure = {name: value for name, value in record["confidence"].items() if name not in record["left_out"]}
    return Pseudo(
        path=path,
        scans=tuple(sorted(sure, key=lambda name: (-sure[name], name))),
        seen_cases=tuple(record["seen_cases"]),
        seen_scans=tuple(record["seen_scans"]),
        data_hash=record["data_hash"],
        share=config.share,
    )


class Enlarged(Store):
    """A store to train on: another one, and of the pseudo-labelled scans those that go with so many of its scans.

    added: their names. Raises StaleError where they are not those that their record tells of, DataError where they have
    other classes, ConfigError where the share leaves none.
    """

    def __init__(self, own: Store, pseudo: Pseudo, names: Sequence[str]) -> None:
        more = Store(pseudo.path.parent)
        if more.data_hash != pseudo.data_hash:
            raise StaleError(f"the scans beside {pseudo.path} are not those that it tells of; call `pseudo` again")
        if more.classes != own.classes:
            raise DataError(f"{more.root} has the classes {more.classes}, the data set {own.classes}")
        count = int(len(names) * pseudo.share / (1 - pseudo.share) + 1e-9)  # 2 * 0.6 / 0.4 is 3, not 2.999...
        if count == 0:
            raise ConfigError(f"train.pseudo.share {pseudo.share:g} beside {len(names)} scans leaves none; raise it")
        self.own, self.more, self.added = own, more, pseudo.scans[:count]
        self.root, self.classes, self.left_out, self.data_hash = own.root, own.classes, own.left_out, own.data_hash
        self.case_of = own.case_of | {name: more.case_of[name] for name in self.added}
        rows = own.slices[~own.slices["scan"].isin(self.added)], more.slices[more.slices["scan"].isin(self.added)]
        self.slices = pd.concat(rows, ignore_index=True)
        self._open = {}

    def scan(self, name: str) -> Scan:
        """One scan of either, with memory-mapped arrays."""
        return (self.more if name in self.added else self.own).scan(name)
