"""The last two picks: the best candidate, and the one that differs most from it and is no worse beyond noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from casefold.analysis.compared import objective_difference
from casefold.config.ensembles import Objective
from casefold.core import DataError
from casefold.tune.objective import Floats, value


@dataclass(frozen=True)
class Candidate:
    """A way of making masks. rows: its cross-fitted objective's, (case, 4), as tune makes them."""

    name: str
    rows: Floats

    def score(self, objective: Objective) -> float:
        """Cross-fitted, over all cases."""
        return float(value(objective, self.rows.sum(axis=0)))


@dataclass(frozen=True)
class Picks:
    """Two candidates by name, the second None where there is no other, and why, in a sentence or two."""

    first: str
    second: str | None
    reason: str


def last_two(candidates: Sequence[Candidate], alike: pd.DataFrame, objective: Objective) -> Picks:
    """The best by cross-fitted score, and the one whose masks agree with it least among those within noise of it: the
    95 % interval of the difference, paired by case, includes 0.

    alike: Dice of each candidate's masks with each other's, by name, as `agreement` gives; one whose masks equal the
    best's is no second pick. Where none is within noise, the second is the next best. Raises DataError for none.
    """
    if not candidates:
        raise DataError("there is no candidate to pick; tune an ensemble first")
    best, *rest = sorted(candidates, key=lambda one: -one.score(objective))
    dice = {str(name): float(own) for name, own in alike.loc[best.name].to_dict().items()}
    others = [one for one in rest if not dice[one.name] >= 1]
    because = f"{best.name} has the best cross-fitted score, {best.score(objective):.4f}"
    if not others:
        return Picks(best.name, None, f"{because}; no other candidate makes other masks.")
    gaps = {one.name: objective_difference(objective, one.rows, best.rows) for one in others}
    near = [name for name, (_, _, high) in gaps.items() if high >= 0]
    second = min(near, key=lambda name: dice[name]) if near else others[0].name
    gap, low, high = gaps[second]
    told = f"{gap:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
    if not near:
        where = f"No other is within noise of it; {second} comes next ({told};"
    elif len(near) == 1:
        where = f"{second} is the only one within noise of it ({told};"
    else:
        where = f"{second} agrees with it least of {len(near)} within noise of it ({told};"
    return Picks(best.name, second, f"{because}. {where} Dice {dice[second]:.3f} between their masks).")
