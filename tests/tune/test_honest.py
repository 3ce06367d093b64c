"""Cross-fitting never looks at the case it scores; noise gains nothing; forward selection keeps to its budget."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_search import planted
from toy_search import CASES, Pair, says, scan_of, search_of

from casefold.config.ensembles import Gate, Tune
from casefold.core import DataError
from casefold.tune.honest import Fitted, Way, difference, fit, forward, partition
from casefold.tune.search import INGREDIENTS
from casefold.tune.table import BASE, compare, frame, ingredients_of, ladder, simpler

CONFIG = Tune(levels=(60, 80, 100, 120, 140), peaks=(24,), weight_steps=2, post=())


def test_a_partition_is_even_and_its_own() -> None:
    parts = partition([f"case{n}" for n in range(11)], 3, seed=0)
    assert sorted(np.bincount(parts).tolist()) == [3, 4, 4]
    assert not np.array_equal(parts, partition([f"case{n}" for n in range(11)], 3, seed=1))
    with pytest.raises(DataError, match="at least two cases with OOF, there is 1"):
        partition(["case1"], 3, 0)


def test_a_case_is_scored_by_points_that_never_saw_it(tmp_path: Path) -> None:
    """Whatever its truth says, the points that score a case stay the same."""
    pairs = planted(60)
    search = search_of(pairs, tmp_path / "a", CONFIG)
    before = fit(search, {"all": Way()})["all"]
    for number, (case, _) in enumerate(CASES):
        changed: list[Pair] = []
        for scan, found in pairs:
            if scan.case == case:
                other = scan_of(scan.case, scan.name.removeprefix(f"{scan.case}_"), ~scan.class_masks())
                changed.append((other, found))
            else:
                changed.append((scan, found))
        after = fit(search_of(changed, tmp_path / str(number), CONFIG), {"all": Way()})["all"]
        assert after.by_case[case] == before.by_case[case]
        assert not np.array_equal(after.rows, before.rows)


def noise(seed: int) -> list[Pair]:
    """Members that know nothing: equal noise inside and outside the truth."""
    random = np.random.default_rng(seed)
    pairs = []
    for case in range(12):
        truth = random.random((2, 4, 6, 6)) < 0.3
        scan = scan_of(f"case{case}", "day0", truth)
        found = {name: says(scan, name, random.integers(0, 256, truth.shape)) for name in ("m", "n")}
        found["gate"] = says(scan, "gate", presence=random.integers(0, 256, (2, 4)))
        pairs.append((scan, found))
    return pairs


@pytest.mark.parametrize("seed", range(4))
def test_on_pure_noise_equal_weights_and_one_level_are_taken(seed: int, tmp_path: Path) -> None:
    search = search_of(noise(seed), tmp_path, CONFIG, gate=Gate(members=("gate",), levels=(0, 50, 100)))
    ways = compare(search, ("m", "n"), INGREDIENTS)
    assert ways.recipe.points == ways.fitted[BASE].points
    assert {point.mix.weights for point in ways.recipe.points} == {(1, 1)}


def test_where_the_search_gains_beyond_noise_it_is_taken_and_the_table_says_by_how_much(tmp_path: Path) -> None:
    search = search_of(planted(200), tmp_path, CONFIG, gate=Gate(members=("gate",), levels=(0, 100)))
    assert ingredients_of(search) == ("weights", "average", "levels", "gate", "peaks")
    ways = compare(search, ("m", "n"), ingredients_of(search))
    assert ways.taken == "searched" and ways.note.startswith("the search gained +")
    table = frame(search, ways).set_index("what")
    assert list(table.index) == ["m", "n", BASE, "+ weights", "+ average", "+ levels", "+ gate", "+ peaks",
                                 "searched", "recipe"]  # fmt: skip
    assert table.loc["recipe", "recipe_minus"] == 0 and table.loc[BASE, "low"] > 0
    gain, low, high = difference(search, ways.recipe, ways.fitted[BASE])
    assert table.loc[BASE, ["recipe_minus", "low", "high"]].tolist() == [gain, low, high]
    assert table.loc["recipe", ["gain", "gain_low", "gain_high"]].tolist() == [gain, low, high]
    assert table.loc[BASE, ["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]
    weighted = difference(search, ways.fitted["+ weights"], ways.fitted[BASE])
    assert table.loc["+ weights", ["gain", "gain_low", "gain_high"]].tolist() == list(weighted)
    assert (table["optimism"] == table["tuned"] - table["cross_fitted"]).all()


def test_in_the_searchs_place_comes_the_best_of_what_is_simpler_and_better_beyond_noise(tmp_path: Path) -> None:
    search = search_of(planted(60), tmp_path, CONFIG)

    def way(*dice: float) -> Fitted:
        rows = np.array([[value, 1.0, 0.0, 0.0] for value in dice * 10])
        return Fitted((), 0.0, rows, float(rows[:, 0].mean()), {})

    ways = {BASE: way(0.5, 0.5), "searched": way(0.9, 0.3), "+ gate": way(0.9, 0.3)}
    assert simpler(search, ways) == BASE  # the gain of 0.1 is uneven, -0.2 and 0.4: its error is 0.07
    ways["m"] = way(0.52, 0.54)
    assert simpler(search, ways) == "m"
    ways["+ weights"] = way(0.55, 0.55)
    assert simpler(search, ways) == "+ weights"


def test_members_come_in_the_order_of_what_they_add_and_within_the_budget(tmp_path: Path) -> None:
    search = search_of(planted(200, ("k", "m", "n")), tmp_path, CONFIG, ("k", "m", "n"))
    cheap: dict[str, float] = {"k": 3.0, "m": 1.0, "n": 1.0}
    assert forward(search, cheap, None)[0] == "k"  # the one without much noise
    assert "k" not in forward(search, cheap, 2.5)
    with pytest.raises(DataError, match=r"tune.seconds_a_scan: 0.5 is less than the fastest member takes, 1 s a scan"):
        forward(search, cheap, 0.5)


def test_each_rung_is_complete_and_cheaper_than_the_one_before(tmp_path: Path) -> None:
    gate = Gate(members=("gate",), levels=(0, 100))
    search = search_of(planted(40, ("k", "m", "n")), tmp_path, CONFIG, ("k", "m", "n"), gate)
    seconds: dict[str, Any] = {"k": 3.0, "m": 2.0, "n": 1.0, "gate": 0.5}
    ways = compare(search, search.task.members, ingredients_of(search))
    rungs = ladder(search, ways, ingredients_of(search), seconds, gate, ())
    costs = [rung.seconds_a_scan for rung in rungs]
    assert len(rungs) >= 2 and costs == sorted(set(costs), reverse=True)
    for rung in rungs:
        assert rung.seconds_a_scan == sum(seconds[name] for name in rung.members)
        assert 0 < rung.cross_fitted <= 1 and set(rung.levels) == {"a", "b"}
