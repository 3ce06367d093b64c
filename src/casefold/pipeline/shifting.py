"""What another way to compute does to held-out scans: halved weights, another engine; measured through the recipe."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

import numpy as np

from casefold.core import Prediction
from casefold.ensemble import passed_gate, to_masks
from casefold.files import hash_value, read_record, write_json
from casefold.models.precision import pick_device
from casefold.oof import read_prediction
from casefold.pipeline.evaluation import Tally, evaluation_inputs, held_files
from casefold.pipeline.project import Project
from casefold.predict import Member, predict
from casefold.recipe import Recipe, as_plain

logger = logging.getLogger(__name__)
Load = Callable[[str, int], Member]
LARGEST_MOVE = 0.0005  # of the tuned score, by any rung


@dataclass(frozen=True)
class Shift:
    """How far a score moved. score: rung 0's, as the OOF files have it; move: the largest of any rung, either way.

    flips, decisions: of the gates, one a class and slice; maps: the largest difference of any q.
    """

    scans: int
    objective: str
    score: float
    move: float
    flips: int
    decisions: int
    maps: int

    @property
    def is_harmless(self) -> bool:
        """Whether the score moves by less than LARGEST_MOVE and every gate decides as before."""
        return self.move < LARGEST_MOVE and self.flips == 0

    def words(self) -> str:
        """The measurement in one line."""
        return (
            f"on {self.scans} held-out scans {self.objective} {self.score:.4f} moves by {self.move:.6f}, "
            f"{self.flips} of {self.decisions} gate decisions change, maps by {self.maps} of 255 at most"
        )


def known_shift(project: Project, recipe: Recipe, way: str, load: Load, count: int | None) -> Shift:
    """`shift`, measured once for the same ensemble and data, and kept as `<way>.json`."""
    store = project.store()
    inputs = evaluation_inputs(project, project.table(store), store, recipe.folds)
    path, key = project.out / f"{way}.json", hash_value([inputs, as_plain(recipe), count])
    if path.is_file() and (record := read_record(path))["inputs"] == key:
        return Shift(**record["shift"])
    logger.info("%s: predicting held-out scans again", way)
    found = shift(project, recipe, load, count)
    write_json(path, {"inputs": key, "shift": asdict(found)})
    return found


def shift(project: Project, recipe: Recipe, load: Load, count: int | None) -> Shift:
    """Predict held-out scans again, each by the member that did not see it, and compare with the OOF files.

    load: the other way's member, by name and fold. count: at most so many scans, evenly spread; None: every one.
    Scores are those of the recipe's rungs, by what it was tuned for.
    """
    store = project.store()
    files = held_files(project, recipe.members, store, recipe.folds)
    scans = _spread(list(next(iter(files.values()))), count)
    own = project.tables(store, [name for name in recipe.members if name in project.trained])
    device = pick_device(project.device)
    tallies = [(Tally(store.classes), Tally(store.classes)) for _ in recipe.rungs]
    flips, decisions, largest = 0, 0, 0

    def folds_of(scan: str) -> tuple[int, ...]:
        return tuple(table.fold(store, scan) for table in own.values())

    for folds, held in groupby(sorted(scans, key=folds_of), key=folds_of):
        members = {name: load(name, fold) for name, fold in zip(own, folds, strict=True)}
        for name in held:
            scan = store.scan(name)
            before = {member: read_prediction(paths[name]) for member, paths in files.items()}
            after = before | {member: predict(members[member], scan, device) for member in own}
            largest = max(largest, *(_difference(before[member], after[member]) for member in own))
            for rung, both in zip(recipe.rungs, tallies, strict=True):
                for tally, made in zip(both, (before, after), strict=True):
                    tally.add(scan, to_masks(made, rung, store.classes, scan.grid.spacing_mm)[0])
                was, now = (passed_gate(made, rung, store.classes) for made in (before, after))
                if was is not None and now is not None:
                    flips, decisions = flips + int((was != now).sum()), decisions + was.size
    objective = project.ensemble.tune.objective
    scores = np.array([[tally.row()[objective] for tally in both] for both in tallies])
    moves = np.abs(scores[:, 1] - scores[:, 0])
    return Shift(
        scans=len(scans),
        objective=objective,
        score=float(scores[0, 0]),
        move=float(np.nan_to_num(moves, nan=np.inf).max()) if np.isfinite(scores).any() else 0.0,
        flips=flips,
        decisions=decisions,
        maps=largest,
    )


def _spread(scans: Sequence[str], count: int | None) -> list[str]:
    places = np.linspace(0, len(scans) - 1, min(count or len(scans), len(scans))).round().astype(int)
    return [scans[place] for place in np.unique(places)]


def _difference(before: Prediction, after: Prediction) -> int:
    """The largest difference of any q, of maps and presence."""
    pairs = [(before.maps, after.maps), (before.presence, after.presence)]
    return max(
        int(np.abs(one.astype(np.int16) - other).max()) for one, other in pairs if one is not None and other is not None
    )
