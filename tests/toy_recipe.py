"""Recipes small enough to work out by hand: one member `one`, two classes `a` and `b`."""

from dataclasses import replace
from typing import Any

from casefold.recipe import Recipe, Rung

CLASSES = ("a", "b")
RUNG = Rung(
    weights={"one": {"a": 1, "b": 1}},
    levels={"a": 128, "b": 200},
    peaks={"a": 0, "b": 0},
    average="probabilities",
    score=0.5,
    cross_fitted=0.25,
    seconds_a_scan=2.0,
)


def rung(**changes: Any) -> Rung:
    """One member at the levels 128 and 200, no gate, no peaks, no post-processing, but for the changes."""
    return replace(RUNG, **changes)


def recipe(*rungs: Rung, **changes: Any) -> Recipe:
    """A recipe of these rungs, or of the one above."""
    return replace(Recipe("mix", "toy", CLASSES, rungs or (RUNG,)), **changes)
