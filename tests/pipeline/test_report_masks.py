"""The quick way to a scan's masks gives what the ensemble gives; and what an ensemble is without a member."""

from typing import Any

import numpy as np
import pytest

from casefold.config.postprocess import DropEnds, SmallComponents, Truncate
from casefold.core import Grid, Prediction, Scan, pack_masks
from casefold.ensemble import combine, to_masks
from casefold.pipeline.report_masks import Maker, Way, alone, rungs_of, without
from casefold.recipe import GateRule, Rung

SHAPE, CLASSES = (6, 40, 50), ("a", "b")


def rung(**changes: Any) -> Rung:
    content: dict[str, Any] = {
        "weights": {"m": {"a": 1, "b": 0}, "n": {"a": 2, "b": 1}},
        "levels": {"a": 100, "b": 90},
        "peaks": {"a": 0, "b": 0},
        "average": "probabilities",
        "score": 0.0,
        "cross_fitted": 0.0,
        "seconds_a_scan": 0.0,
    }
    return Rung(**(content | changes))


def given() -> tuple[Scan, dict[str, Prediction]]:
    """Noise in the middle of a scan, nothing round it; two segmenters and a classifier."""
    random = np.random.default_rng(0)
    truth = np.zeros((2, *SHAPE), bool)
    truth[:, 2:4, 12:20, 15:30] = True
    names = tuple(f"s_{z}" for z in range(SHAPE[0]))
    ignore = np.zeros(SHAPE, bool)
    ignore[2, 12:14] = True
    scan = Scan("c", "s", np.zeros((1, *SHAPE), np.uint8), Grid(SHAPE), CLASSES, names, pack_masks(truth), ignore)
    made = {}
    for name in ("m", "n"):
        maps = np.zeros((2, *SHAPE), np.uint8)
        maps[:, :, 10:25, 12:33] = random.integers(0, 256, (2, SHAPE[0], 15, 21))
        made[name] = Prediction("c", "s", CLASSES, SHAPE, name, "0", maps)
    presence = random.integers(0, 256, (2, SHAPE[0])).astype(np.uint8)
    return scan, {**made, "cls": Prediction("c", "s", CLASSES, SHAPE, "cls", "0", None, presence)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"average": "logits"},
        {"gate": GateRule(("cls",), "presence", {"a": 100, "b": 140})},
        {"gate": GateRule(("m", "n"), "pixels", {"a": 150, "b": 170})},
        {"peaks": {"a": 230, "b": 200}, "post": (SmallComponents(min_voxels=4), DropEnds(first_slices=1))},
        {"levels": {"a": 3, "b": 1}},
    ],
)
def test_masks_are_those_of_the_ensemble(changes: dict[str, Any]) -> None:
    scan, predictions = given()
    own = rung(**changes)
    make = Maker(scan, predictions, [own])
    wanted, maps = to_masks(predictions, own, CLASSES)[0], combine(predictions, own, CLASSES)
    whole = np.zeros_like(wanted)
    whole[:, *make.box] = make.masks(own)
    assert np.array_equal(whole, wanted) and wanted.any()
    for c in range(2):
        assert np.array_equal(make.q(c, own), maps[c].reshape(-1)[make.voxels[c].index])


def test_the_rest_of_the_scan_is_cut_off_and_ignored_voxels_do_not_count() -> None:
    scan, predictions = given()
    make = Maker(scan, predictions, [rung()])
    assert make.box == (slice(0, 6), slice(7, 28), slice(9, 36))  # a ring of 3 is left round what anybody says
    assert make.truth.sum() == 2 * (2 * 8 * 15 - 2 * 15)
    masks = make.masks(rung())
    assert not make.scored(masks)[:, 2, 5:7].any() and masks[:, 2, 5:7].any()


def test_without_a_member_the_others_keep_their_weights() -> None:
    gated = rung(gate=GateRule(("m", "cls"), "presence", {"a": 9, "b": 9}), post=(Truncate(member="cls"),))
    assert without(gated, "m", ("m", "n")) == rung(
        weights={"n": {"a": 2, "b": 1}},
        gate=GateRule(("cls",), "presence", {"a": 9, "b": 9}),
        post=(Truncate(member="cls"),),
    )
    left = without(gated, "n", ("m", "n"))
    assert left is not None and left.weights == {"m": {"a": 1, "b": 1}}  # b was n's alone
    left = without(rung(gate=GateRule(("cls",), "presence", {"a": 9, "b": 9})), "cls", ("m", "n"))
    assert left == rung()
    single = rung(weights={"m": {"a": 1, "b": 1}})
    assert without(single, "m", ("m",)) is None
    assert without(single, "m", ("m", "n")) == rung(weights={"n": {"a": 1, "b": 1}})
    assert alone(gated, "n").weights == {"n": {"a": 1, "b": 1}} and alone(gated, "n").gate == gated.gate


def test_ways_stand_in_one_order() -> None:
    ways = rungs_of(rung(), ("m", "n"), ("m", "n"), {"older": rung()})
    assert list(ways) == [
        Way("ensemble", ""), Way("other", "older"), Way("member", "m"), Way("member", "n"), Way("without", "m"),
        Way("without", "n"),
    ]  # fmt: skip
