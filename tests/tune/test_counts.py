"""Statistics of the search against masks made and scored one at a time, by the path that submits."""

from pathlib import Path

import numpy as np
import pytest
from toy_search import CLASSES, SHAPE, random_pairs, says, scan_of

from casefold.config.ensembles import Gate
from casefold.config.postprocess import DropRuns, SmallComponents
from casefold.core import DataError
from casefold.ensemble import to_masks
from casefold.metrics import dice_by_slice, overlap, uwmgi_score
from casefold.recipe import GateRule, Rung
from casefold.tune.counts import Mix, Point, level_counts, mask_stats, plain_tables
from casefold.tune.voxels import gather, load_voxels

GATE = Gate(members=("gate",), levels=(0, 50, 101))
POINTS = [
    Point(Mix((1, 1)), 0, 128),
    Point(Mix((1, 3)), 50, 55),
    Point(Mix((1, 0)), 101, 130),
    Point(Mix((1, 2), "logits"), 50, 90),
    Point(Mix((2, 1)), 50, 60, peak=100),
    Point(Mix((1, 1)), 0, 70, peak=255),
    Point(Mix((1, 1)), 50, 100, post=(SmallComponents(min_voxels=3), DropRuns(min_slices=2))),
]


def rung_of(point: Point, c: int) -> Rung:
    """The rung that has this point for one class; the other class is as good as empty."""
    name, other = CLASSES[c], CLASSES[1 - c]
    return Rung(
        weights={m: {name: w, other: 1} for m, w in zip(("m", "n"), point.mix.weights, strict=True)},
        levels={name: point.level, other: 255},
        peaks={name: min(point.level + point.peak, 255) if point.peak else 0, other: 0},
        average=point.mix.average,  # type: ignore[arg-type]
        score=0.0,
        cross_fitted=0.0,
        seconds_a_scan=0.0,
        gate=GateRule(("gate",), "presence", {name: point.gate, other: 0}),
        post=tuple(step.model_copy(update={"classes": (name,)}) for step in point.post),
    )


@pytest.mark.parametrize("ignoring", [False, True], ids=["all voxels", "some ignored"])
@pytest.mark.parametrize("point", POINTS)
def test_statistics_are_those_of_the_masks_that_submit_makes(point: Point, ignoring: bool, tmp_path: Path) -> None:
    for index, (scan, predictions) in enumerate(random_pairs(ignoring=ignoring)):
        path = tmp_path / f"{index}.safetensors"
        gather(scan, predictions, ["m", "n"], GATE, 55, path)
        for c in (0, 1):
            mask = to_masks(predictions, rung_of(point, c), CLASSES)[0][[c]]
            truth = scan.class_masks()[[c]]
            if scan.ignore is not None:
                mask, truth = mask & ~scan.ignore, truth & ~scan.ignore
            by_slice = dice_by_slice(truth, mask)
            there = by_slice[~np.isnan(by_slice)]
            wanted = [there.sum(), len(there), *overlap(truth, mask)[0], uwmgi_score(truth, mask).distances[0]]
            np.testing.assert_allclose(mask_stats(path, c, point, True), wanted, rtol=1e-12)
            if not point.peak and not point.post:
                table = plain_tables(path, [(c, point.mix, (0, 50, 101))], (55, 60, 70, 90, 100, 128, 130))[0]
                at = (0, 50, 101).index(point.gate), (55, 60, 70, 90, 100, 128, 130).index(point.level)
                np.testing.assert_allclose(table[at][:5], wanted[:5], rtol=1e-12)


def test_dice_at_every_level_is_that_of_brute_force_bit_for_bit() -> None:
    random = np.random.default_rng(3)
    q, truth = random.integers(0, 256, (5, 6, 7), np.uint8), random.random((5, 6, 7)) < 0.3
    truth[2] = False
    row = np.repeat(np.arange(5, dtype=np.int32), 42)
    above = level_counts(q.ravel(), truth.ravel(), row, 5)
    for level in range(1, 256):
        both, total = above[:, 1, level], above[:, 1, level] + above[:, 0, level] + above[:, 1, 0]
        dice = np.where(total > 0, 2 * both / np.maximum(total, 1), np.nan)
        assert dice.tobytes() == dice_by_slice(truth, q >= level).tobytes()


def test_only_voxels_that_could_matter_are_kept(tmp_path: Path) -> None:
    """Of six voxels one has 60 in a member, one is truth, one has 54 at most: two are kept for a floor of 55."""
    truth = np.zeros((1, 1, 2, 3), bool)
    truth[0, 0, 1, 2] = True
    scan = scan_of("case1", "day0", truth)
    maps = np.array([[[[0, 60, 54], [0, 0, 3]]]])
    gather(scan, {"m": says(scan, "m", maps)}, ["m"], None, 55, tmp_path / "s")
    voxels = load_voxels(tmp_path / "s", 0)
    assert voxels.index.tolist() == [1, 5] and voxels.q.tolist() == [[60, 3]]
    assert voxels.truth.tolist() == [False, True] and voxels.counted.tolist() == [True, True]
    assert voxels.row.tolist() == [0, 0] and voxels.signal.tolist() == [0]
    assert voxels.boxed(np.array([True, False])).tolist() == [[[True, False], [False, False]]]


def test_a_scan_in_which_nothing_is_found_and_nothing_is_true_counts_nothing(tmp_path: Path) -> None:
    truth = np.zeros((1, *SHAPE), bool)
    scan = scan_of("case1", "day0", truth)
    gather(scan, {"m": says(scan, "m", truth)}, ["m"], None, 13, tmp_path / "s")
    stats = mask_stats(tmp_path / "s", 0, Point(Mix((1,)), 0, 128), True)
    assert stats[:5].tolist() == [0, 0, 0, 0, 0] and np.isnan(stats[5])


def test_a_member_without_maps_cannot_be_weighed(tmp_path: Path) -> None:
    scan, predictions = random_pairs()[0]
    with pytest.raises(DataError, match="gate predicts no maps, so it can't be weighed"):
        gather(scan, predictions, ["m", "gate"], None, 13, tmp_path / "s")


def test_mixes_that_mean_the_same_are_one() -> None:
    assert Mix((2, 4, 0)).reduced() == Mix((1, 2, 0))
    assert Mix((0, 3), "logits").reduced() == Mix((0, 1), "probabilities")
    assert Mix((2, 2), "logits").reduced() == Mix((1, 1), "logits")
