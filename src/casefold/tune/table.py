"""Everything that tune prints: each way of tuning beside the recipe, and the recipe's ladder of rungs."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from casefold.config.ensembles import Gate
from casefold.config.postprocess import StepConfig
from casefold.recipe import GateRule, Rung
from casefold.tune.honest import Fitted, Way, difference, fit, forward
from casefold.tune.search import INGREDIENTS, Points, Search

logger = logging.getLogger(__name__)
BASE = "equal weights, one level"


@dataclass(frozen=True)
class Ways:
    """Ways of tuning by name, each fitted on all cases and cross-fitted. taken: the name of the recipe's."""

    fitted: dict[str, Fitted]
    taken: str
    note: str

    @property
    def recipe(self) -> Fitted:
        """The way that is taken."""
        return self.fitted[self.taken]


def compare(search: Search, members: Sequence[str], ingredients: Iterable[str]) -> Ways:
    """Each member alone, equal weights with one level, each ingredient added to that, and all of them searched.

    Where the whole search gains nothing beyond noise over equal weights with one level (the lower end of the paired
    interval of the cross-fitted difference is not above 0), a simpler way is taken: see `simpler`.
    """
    ingredients = tuple(ingredients)
    own = ("levels",) if "levels" in ingredients else ()
    wanted = {name: Way((name,), own) for name in members} if len(members) > 1 else {}
    wanted |= {BASE: Way(members, ()), **{f"+ {name}": Way(members, (name,)) for name in ingredients}}
    ways = fit(search, wanted | {"searched": Way(members, ingredients)})
    gain, low, high = difference(search, ways["searched"], ways[BASE])
    words = f"{gain:+.4f} ({low:.4f} to {high:.4f}) against {BASE}, cross-fitted"
    if ways["searched"].points == ways[BASE].points or low > 0:
        return Ways(ways, "searched", f"the search gained {words}")
    taken = simpler(search, ways)
    scores = {"searched": ways["searched"].tuned, f"fallback ({taken})": ways[taken].tuned}
    scores["best single member"] = max((ways[name].tuned for name in members if name in ways), default=ways[BASE].tuned)
    told = ", ".join(f"{name} {score:.4f}" for name, score in scores.items())
    logger.warning("the search's gain is within noise: %s; taken is %s. On what was tuned on: %s", words, taken, told)
    return Ways(ways, taken, f"fallback, the search's gain is within noise: {words}; tuned: {told}")


def simpler(search: Search, ways: Mapping[str, Fitted]) -> str:
    """What is taken in the search's place: of the single members and single ingredients the best cross-fitted one that
    gains beyond noise over equal weights with one level, else those. The interval is widened for their number."""
    others = [name for name in ways if name not in (BASE, "searched")]
    level = 1 - 0.05 / max(len(others), 1)
    sure = [name for name in others if difference(search, ways[name], ways[BASE], level)[1] > 0]
    return max(sure, key=lambda name: ways[name].cross_fitted, default=BASE)


def frame(search: Search, ways: Ways) -> pd.DataFrame:
    """A row a way: its score on what it was tuned on, cross-fitted, the optimism between them.

    Then the recipe's cross-fitted score minus its own, and its own minus that of equal weights with one level, both
    with a paired bootstrap interval over cases.
    """
    rows: list[dict[str, Any]] = []
    for name, fitted in {**ways.fitted, "recipe": ways.recipe}.items():
        minus, low, high = difference(search, ways.recipe, fitted)
        gain, gain_low, gain_high = difference(search, fitted, ways.fitted[BASE])
        rows.append(
            {
                "what": name,
                "tuned": fitted.tuned,
                "cross_fitted": fitted.cross_fitted,
                "optimism": fitted.tuned - fitted.cross_fitted,
                "recipe_minus": minus,
                "low": low,
                "high": high,
                "gain": gain,
                "gain_low": gain_low,
                "gain_high": gain_high,
            }
        )
    return pd.DataFrame(rows)


def ladder(
    search: Search, ways: Ways, ingredients: Iterable[str], seconds: Mapping[str, float], gate: Gate | None,
    post: Sequence[StepConfig],
) -> list[Rung]:  # fmt: skip
    """Complete recipes, each cheaper than the one before: the recipe, then fewer and fewer members, in the order of
    forward selection turned round, whose weights are chosen anew by tables under all else that the recipe has. seconds:
    of each member a scan, the gate's members too. post: always taken, last."""
    rungs = [to_rung(search, ways.recipe, seconds, gate, post, ways.note)]
    order = forward(search, seconds, None)
    again = ("weights",) if "weights" in ingredients else ()
    for count in range(len(order) - 1, 0, -1):
        if len(rungs) == search.task.config.rungs:
            break
        fitted = fit(replace(search, finalists=0), {"rung": Way(order[:count], again, ways.recipe)})
        rung = to_rung(search, fitted["rung"], seconds, gate, post, "")
        if rung.seconds_a_scan < rungs[-1].seconds_a_scan:
            rungs.append(rung)
    return rungs


def to_rung(
    search: Search,
    fitted: Fitted,
    seconds: Mapping[str, float],
    gate: Gate | None,
    post: Sequence[StepConfig],
    note: str,
) -> Rung:
    """A way's points as plain numbers."""
    rung = rung_of(search, fitted.points, gate, post)
    cost = sum(seconds.get(name, 0.0) for name in rung.members)
    return replace(
        rung,
        score=round(fitted.tuned, 6),
        cross_fitted=round(fitted.cross_fitted, 6),
        seconds_a_scan=round(cost, 4),
        note=note,
    )


def rung_of(search: Search, points: Points, gate: Gate | None, post: Sequence[StepConfig]) -> Rung:
    """Points as a rung without scores."""
    task = search.task
    classes = dict(zip(task.classes, points, strict=True))
    weights = {
        member: {name: point.mix.weights[index] for name, point in classes.items()}
        for index, member in enumerate(task.members)
    }
    own = [step.model_copy(update={"classes": (name,)}) for name, point in classes.items() for step in point.post]
    rule = None
    if gate is not None and any(point.gate for point in points):
        levels = {name: point.gate for name, point in classes.items()}
        rule = GateRule(gate.members, gate.source, levels, gate.along_z)
    return Rung(
        weights={member: by_class for member, by_class in weights.items() if any(by_class.values())},
        levels={name: point.level for name, point in classes.items()},
        peaks={name: min(point.level + point.peak, 255) if point.peak else 0 for name, point in classes.items()},
        average="logits" if any(point.mix.average == "logits" for point in points) else "probabilities",
        gate=rule,
        post=(*own, *post),
        score=0.0,
        cross_fitted=0.0,
        seconds_a_scan=0.0,
        note="",
    )


def ingredients_of(search: Search) -> tuple[str, ...]:
    """The ingredients between which there is a choice here."""
    task = search.task
    choices = {
        "weights": len(task.members) > 1,
        "average": len(task.members) > 1 and len(task.config.averages) > 1,
        "levels": len(task.classes) > 1,
        "gate": len(task.gates) > 1,
        "peaks": bool(task.config.peaks),
        "post": bool(task.config.post),
    }
    return tuple(name for name in INGREDIENTS if choices[name])
