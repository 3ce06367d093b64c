"""The last two picks, comparisons by case, and scores by group."""

import numpy as np
import pandas as pd
import pytest

from casefold.analysis.compared import compare, objective_difference
from casefold.analysis.groups import grouped
from casefold.analysis.picks import Candidate, last_two
from casefold.core import DataError

CASES = 20


def rows(*scores: float) -> np.ndarray:
    """Rows of the objective `dice_case`, the scores repeated over the cases."""
    values = np.resize(scores, CASES)
    return np.stack([values, np.ones(CASES), np.zeros(CASES), np.zeros(CASES)], axis=1)


def alike(*upper: float) -> pd.DataFrame:
    names = ["a", "b", "c"]
    table = pd.DataFrame(np.eye(3), index=names, columns=names)
    for (one, other), value in zip((("a", "b"), ("a", "c"), ("b", "c")), upper, strict=True):
        table.loc[one, other] = table.loc[other, one] = value
    return table


def test_the_most_different_one_within_noise_is_second() -> None:
    candidates = [Candidate("b", rows(0.7, 0.9)), Candidate("a", rows(0.9, 0.71)), Candidate("c", rows(0.92, 0.68))]
    picks = last_two(candidates, alike(0.9, 0.8, 0.7), "dice_case")
    assert (picks.first, picks.second) == ("a", "c")
    assert picks.reason.startswith(
        "a has the best cross-fitted score, 0.8050. c agrees with it least of 2 within noise of it (-0.0050, "
    )
    assert picks.reason.endswith("; Dice 0.800 between their masks).")


def test_one_that_differs_more_but_is_worse_beyond_noise_is_not_taken() -> None:
    candidates = [Candidate("a", rows(0.9, 0.71)), Candidate("b", rows(0.7, 0.9)), Candidate("c", rows(0.5, 0.4))]
    picks = last_two(candidates, alike(0.9, 0.2, 0.5), "dice_case")
    assert (picks.first, picks.second) == ("a", "b")
    assert "b is the only one within noise of it" in picks.reason


def test_where_none_is_within_noise_the_next_best_is_taken() -> None:
    candidates = [Candidate("a", rows(0.9)), Candidate("b", rows(0.4)), Candidate("c", rows(0.5))]
    picks = last_two(candidates, alike(0.3, 0.9, 0.5), "dice_case")
    assert (picks.first, picks.second) == ("a", "c")
    assert "No other is within noise of it; c comes next (-0.4000, " in picks.reason


def test_equal_masks_are_no_second_pick() -> None:
    candidates = [Candidate("a", rows(0.9)), Candidate("b", rows(0.9))]
    picks = last_two(candidates, alike(1, 1, 1), "dice_case")
    assert (picks.first, picks.second) == ("a", None)
    assert picks.reason.endswith("no other candidate makes other masks.")
    with pytest.raises(DataError, match="there is no candidate to pick"):
        last_two([], alike(1, 1, 1), "dice_case")


def test_two_ensembles_are_compared_case_by_case() -> None:
    case_of = {"s1": "p", "s2": "p", "s3": "q", "s4": "r", "s5": "t"}
    one = {"s1": 0.9, "s2": 0.5, "s3": 0.7, "s4": 0.4, "s5": 0.1}
    other = {"s1": 0.7, "s2": 0.6, "s3": 0.7, "s4": 0.9, "s6": 1.0}
    found = compare(one, other, case_of)
    assert found.difference == pytest.approx((0.05 + 0 - 0.5) / 3)
    assert (found.better, found.worse, found.equal) == (1, 1, 1)
    assert found.moved["scan"].tolist() == ["s4", "s1", "s2", "s3"]
    assert found.left_out == ("s5", "s6")
    assert found.within_noise
    assert found.words.startswith("-0.1500 (-0.5000 to +0.0500), within noise; better in 1 cases")


def test_ensembles_without_a_common_scan_are_refused() -> None:
    with pytest.raises(DataError, match="no scan in common"):
        compare({"s": 1.0}, {"t": 1.0}, {"s": "p", "t": "q"})


def test_the_objective_is_compared_in_pairs() -> None:
    assert objective_difference("dice_case", rows(0.9, 0.7), rows(0.8, 0.6)) == pytest.approx((0.1, 0.1, 0.1))
    with pytest.raises(DataError, match="wanted the same cases in both"):
        objective_difference("dice_case", rows(0.9), rows(0.8)[1:])


def table(**columns: list) -> pd.DataFrame:
    return pd.DataFrame({"case": ["p", "p", "q", "r"], "score": [0.2, 0.4, 0.8, 1.0], **columns})


def test_groups_of_words_are_means_over_cases() -> None:
    found = grouped(table(site=["x", "x", "x", None]), "site")
    assert found["group"].tolist() == ["x", "not given"]
    assert found["scans"].tolist() == [3, 1]
    assert found["cases"].tolist() == [2, 1]
    assert found["mean"].tolist() == pytest.approx([(0.3 + 0.8) / 2, 1.0])
    assert (found["low"][1], found["high"][1]) == (1.0, 1.0)


def test_few_numbers_are_groups_and_many_are_parts() -> None:
    assert grouped(table(spacing_mm=[1.5, 3.0, 1.5, 10.0]), "spacing_mm")["group"].tolist() == ["1.5", "3", "10"]
    found = grouped(table(slices=[80, 90, 100, 144]), "slices", parts=1)
    assert found["group"].tolist() == ["80 to 144"]
    found = grouped(table(slices=[80, 90, 100, 144]).loc[[0, 1, 2, 3, 3]], "slices", parts=1)
    assert found["scans"].tolist() == [5]
    many = pd.DataFrame({"case": list("abcdef"), "score": [0.0, 0, 1, 1, 0.5, 0.5], "age": [1, 2, 3, 4, 5, 6]})
    found = grouped(many, "age", parts=2)
    assert found[["group", "mean"]].values.tolist() == [
        ["1 to 3", pytest.approx(1 / 3)],
        ["4 to 6", pytest.approx(2 / 3)],
    ]


def test_an_unknown_column_names_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"no column 'sit' \(did you mean 'site'\?\); there are case, score, site"):
        grouped(table(site=["x"] * 4), "sit")
