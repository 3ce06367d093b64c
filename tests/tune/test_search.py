"""The search finds what was planted, whatever the order of members, and counts nothing twice."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_search import CASES, Pair, random_pairs, says, scan_of, search_of

from casefold.config.ensembles import Gate, Tune
from casefold.config.gates import Runs
from casefold.config.postprocess import SmallComponents
from casefold.tune.counts import Mix, Point
from casefold.tune.search import INGREDIENTS, put
from casefold.tune.table import rung_of

ALL = np.ones(5, bool)
PLAIN: dict[str, Any] = {"peaks": (), "post": (), "averages": ("probabilities",)}


def planted(noise: float, members: tuple[str, ...] = ("m", "n"), seed: int = 1, first: float = 30) -> list[Pair]:
    """`m` says 150 inside and 50 outside the truth, give or take `first`; `n` says the same, give or take `noise`.

    The gate is right, but for the last slice of each scan, where the truth is empty and the members see things.
    """
    random = np.random.default_rng(seed)
    pairs = []
    for case, day in CASES:
        truth = np.zeros((2, 6, 12, 12), bool)
        for c in (0, 1):
            z, y, x = random.integers(0, 3), *random.integers(0, 6, 2)
            truth[c, z : z + 2, y : y + 5, x : x + 5] = True
        scan, found = scan_of(case, day, truth), {}
        for name in members:
            spread = first if name == members[0] else noise
            q = np.where(truth, 150, 50) + random.normal(0, spread, truth.shape)
            q[:, -1, :4, :4] = 255
            found[name] = says(scan, name, np.clip(np.rint(q), 0, 255))
        found["gate"] = says(scan, "gate", presence=np.where(truth.any(axis=(2, 3)), 200, 20))
        pairs.append((scan, found))
    return pairs


def test_the_level_between_inside_and_outside_is_found(tmp_path: Path) -> None:
    search = search_of(planted(30, first=10), tmp_path, Tune(levels=(20, 60, 100, 140, 180), **PLAIN), ("m",))
    points = search.choose(ALL, use=())
    assert points == (Point(Mix((1,)), 0, 100),) * 2


def test_a_noisy_member_gets_no_weight(tmp_path: Path) -> None:
    search = search_of(planted(200), tmp_path, Tune(**PLAIN))
    points = search.choose(ALL, use=("weights",))
    assert {point.mix.weights[0] > 3 * point.mix.weights[1] for point in points} == {True}
    alone = search.choose(ALL, ("m",), ())
    assert search.worth(points, ALL) >= search.worth(alone, ALL)


def test_a_class_can_have_weights_of_its_own(tmp_path: Path) -> None:
    """Member `m` is right about class a and knows nothing of b, `n` the other way round."""
    pairs, random = [], np.random.default_rng(0)
    for scan, found in planted(30, first=10):
        halves = {"m": found["m"].maps, "n": found["m"].maps}
        maps = {name: np.array(q) for name, q in halves.items()}
        maps["m"][1], maps["n"][0] = random.integers(0, 256, (2, *maps["m"].shape[1:]))
        pairs.append((scan, {name: says(scan, name, q) for name, q in maps.items()}))
    search = search_of(pairs, tmp_path, Tune(weights_by="class", levels=(60, 100, 140), **PLAIN))
    points = search.choose(ALL, use=("weights", "levels"))
    assert [point.mix.weights for point in points] == [(1, 0), (0, 1)]


def test_a_gate_is_taken_where_it_helps_and_left_where_it_is_noise(tmp_path: Path) -> None:
    gate = Gate(members=("gate",), levels=(0, 100))
    good = search_of(planted(30, first=10), tmp_path / "good", Tune(**PLAIN), ("m",), gate)
    assert {point.gate for point in good.choose(ALL, use=("gate",))} == {100}
    random = np.random.default_rng(0)
    pairs = [(scan, found | {"gate": says(scan, "gate", presence=random.integers(90, 110, (2, 6)))})
             for scan, found in planted(30, first=10)]  # fmt: skip
    noise = search_of(pairs, tmp_path / "noise", Tune(**PLAIN), ("m",), gate)
    assert {point.gate for point in noise.choose(ALL, use=("gate",))} == {0}


def test_pixels_of_a_segmenter_can_be_the_gate(tmp_path: Path) -> None:
    """On the last slice 16 pixels are wrong, on the true ones 25 are right."""
    gate = Gate(members=("m",), source="pixels", levels=(0, 10, 20, 30))
    search = search_of(planted(5, first=5), tmp_path, Tune(levels=(100, 128), **PLAIN), ("m",), gate)
    assert [point.gate for point in search.choose(ALL, use=("gate",))] == [20, 20]


def test_what_neighbours_say_goes_before_the_gates_level(tmp_path: Path) -> None:
    """The wrong pixels of the last slice are 16 and stand on it alone; the true ones are 25 on two slices."""
    plain = Gate(members=("m",), source="pixels", levels=(0, 10))
    runs = plain.model_copy(update={"along_z": (Runs(slices=2),)})
    config = Tune(levels=(100, 128), **PLAIN)
    one, other = (
        search_of(planted(5, first=5), tmp_path / name, config, ("m",), gate)
        for name, gate in (("plain", plain), ("runs", runs))
    )
    without, points = (search.choose(ALL, use=("gate",)) for search in (one, other))
    assert [{point.gate for point in found} for found in (without, points)] == [{0}, {10}]
    assert one.worth(without, ALL) < other.worth(points, ALL) < 1.0  # where one slice lies between, they go on
    rung = rung_of(other, points, runs, ())
    assert rung.gate is not None and rung.gate.along_z == runs.along_z


def test_small_components_are_dropped_where_that_helps(tmp_path: Path) -> None:
    config = Tune(peaks=(), averages=("probabilities",), post=((SmallComponents(min_voxels=20),),), levels=(100,))
    search = search_of(planted(5, first=5), tmp_path, config, ("m",))
    assert {point.post for point in search.choose(ALL)} == {(SmallComponents(min_voxels=20),)}


def test_a_peak_keeps_only_what_somewhere_is_sure(tmp_path: Path) -> None:
    pairs = []
    for scan, _ in planted(5, first=5):
        truth = scan.class_masks()
        q = np.where(truth, 120, 0)
        q[:, -1, :4, :4] = 130  # surer than the true ones are, but for their middles
        for c in (0, 1):
            at = np.argwhere(truth[c])
            q[(c, *at[len(at) // 2])] = 220
        pairs.append((scan, {"m": says(scan, "m", q)}))
    search = search_of(pairs, tmp_path, Tune(levels=(100,), peaks=(24, 96), post=()), ("m",))
    assert {point.peak for point in search.choose(ALL, use=("peaks",))} == {96}
    assert search.worth(search.choose(ALL), ALL) == 1.0


@pytest.mark.parametrize("objective", ["dice_case", "dice_scan", "dice_slice", "uw_score"])
def test_the_order_of_members_changes_nothing_and_the_search_is_never_below_one_member(
    objective: Any, tmp_path: Path
) -> None:
    pairs = planted(60, ("k", "m", "n"))
    config = Tune(objective=objective, levels=(60, 80, 100, 120, 140), peaks=(24,), weight_steps=2)
    found = []
    for number, members in enumerate((("k", "m", "n"), ("n", "k", "m"))):
        search = search_of(pairs, tmp_path / str(number), config, members, Gate(members=("gate",), levels=(0, 100)))
        points = search.choose(ALL, members)
        found.append(points)
        for name in members:
            assert search.worth(points, ALL) >= search.worth(search.choose(ALL, (name,), ("levels",)), ALL)
    assert found[0] == found[1]


def test_with_distances_the_true_score_decides(tmp_path: Path) -> None:
    """A stray voxel far away costs Dice nearly nothing, and distance much."""
    pairs = []
    for scan, _ in planted(5, first=5):
        q = np.where(scan.class_masks(), 200, 0)
        q[:, -1, 11, 11] = 110
        q[scan.class_masks() & (np.random.default_rng(0).random(q.shape) < 0.02)] = 105
        pairs.append((scan, {"m": says(scan, "m", q)}))
    by_dice = search_of(pairs, tmp_path / "d", Tune(objective="dice_case", levels=(100, 120), **PLAIN), ("m",))
    by_score = search_of(pairs, tmp_path / "s", Tune(objective="uw_score", levels=(100, 120), **PLAIN), ("m",))
    assert {point.level for point in by_dice.choose(ALL, use=())} == {100}
    assert {point.level for point in by_score.choose(ALL, use=())} == {120}


class Counter:
    """Maps, and counts what is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, function: partial[Any], files: Iterable[Path]) -> Iterable[Any]:
        self.asked += len(function.keywords["wanted"])
        return map(function, files)


def test_a_search_again_counts_nothing_and_one_with_a_member_more_only_the_rest(tmp_path: Path) -> None:
    pairs, config, kept = planted(60, ("k", "m", "n")), Tune(weight_steps=2, levels=(60, 100, 140)), tmp_path / "kept"
    first, again, more, fresh = Counter(), Counter(), Counter(), Counter()
    one = search_of(pairs, tmp_path / "1", config, ("m", "n"), kept=kept, run=first).choose(ALL)
    assert first.asked > 10
    assert search_of(pairs, tmp_path / "2", config, ("n", "m"), kept=kept, run=again).choose(ALL) == one
    assert again.asked == 0
    grown = search_of(pairs, tmp_path / "3", config, ("k", "m", "n"), kept=kept, run=more).choose(ALL)
    assert search_of(pairs, tmp_path / "4", config, ("k", "m", "n"), run=fresh).choose(ALL) == grown
    assert more.asked <= fresh.asked - 6  # of m and n alone, and of both, each for two classes


def test_fixed_steps_are_part_of_every_score(tmp_path: Path) -> None:
    step = SmallComponents(min_voxels=20)
    config = Tune(levels=(100,), **PLAIN)
    plain = search_of(planted(5, first=5), tmp_path / "a", config, ("m",))
    always = search_of(planted(5, first=5), tmp_path / "b", config, ("m",), fixed=((step,), (step,)))
    points = plain.choose(ALL, use=())
    assert always.worth(points, ALL) == plain.worth(put(put(points, 0, Point(Mix((1,)), 0, 100, 0, (step,))), 1,
                                                        Point(Mix((1,)), 0, 100, 0, (step,))), ALL)  # fmt: skip
    assert always.worth(points, ALL) > plain.worth(points, ALL)


def test_scans_of_a_case_stay_together(tmp_path: Path) -> None:
    search = search_of(random_pairs(), tmp_path, Tune(**PLAIN))
    assert search.task.case_names == ("case1", "case2", "case3", "case4", "case5")
    assert search.case_of.tolist() == [0, 1, 1, 2, 3, 4] and set(INGREDIENTS) >= {"weights", "gate"}
