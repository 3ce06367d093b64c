"""What to do next: each line comes from what the page holds, and only then."""

from dataclasses import replace
from typing import Any

import pandas as pd

from casefold.analysis.ledger import REPAIRS as LEDGER
from casefold.report.advice import REPAIRS, advice
from casefold.report.content import Content, Estimate, Headline, Ledger, Losses, Members, Scores, Suspects


def content(**held: Any) -> Content:
    """A page that holds no more than its headline."""
    filled: dict[str, Any] = {
        "ensemble": "e",
        "dataset": "d",
        "classes": ("a", "b"),
        "members_used": ("m",),
        "cases": 2,
        "scans": 2,
        "folds": (0,),
        "made": "today",
        "headline": Headline("Dice", Estimate(0.8), Estimate(0.8)),
    }
    return Content(**(filled | held))


def leads(given: Content) -> list[str]:
    return [one.lead for one in advice(given)]


def test_every_repair_of_the_ledger_has_its_advice() -> None:
    assert list(REPAIRS) == list(LEDGER)


def test_a_bare_page_gives_no_advice() -> None:
    assert advice(content()) == []


def test_the_ledgers_largest_part_comes_first() -> None:
    entries = pd.DataFrame([("gate misses", 0.05, 0.05), ("boundary", 0.15, 0.15)], columns=["repair", "part", "alone"])
    given = content(losses=Losses(Ledger("Dice", 0.8, 1.0, entries)))
    assert leads(given) == ["Most is lost to boundary: 0.150 of 0.200."]
    assert advice(given)[0].section == "lost"


def test_a_wide_gap_and_next_to_none_are_told_by_member() -> None:
    gaps = pd.DataFrame(
        [("x", 0.9, 0.7), ("y", 0.75, 0.7), ("z", 0.7, 0.7)], columns=["member", "training", "validation"]
    )
    assert leads(content(members=Members(gaps=gaps))) == [
        "x overfits: 0.900 in training, 0.700 in validation.",
        "z has room: 0.700 in training, 0.700 in validation.",
    ]


def test_labels_that_stand_out_are_named_up_to_three() -> None:
    rows = [(f"s{n}", "a", 0, 4, "why", 0.9, 0.9, 0.81, excess) for n, excess in enumerate((20, 15, 9, 7, 5, 1))]
    columns = ["scan", "class", "first", "last", "why", "agreement", "disagreement", "score", "excess"]
    frame = pd.DataFrame(rows, columns=columns)
    assert leads(content(suspects=Suspects(frame))) == ["Look at 4 labels: s0, s1, s2, ...."]
    assert leads(content(suspects=Suspects(frame[:1]))) == ["Look at 1 label: s0."]
    assert leads(content(suspects=Suspects(frame[4:]))) == []


def test_a_search_that_fitted_noise_is_told() -> None:
    given = content(headline=Headline("Dice", Estimate(0.78), Estimate(0.8)))
    assert leads(given) == ["The search has fitted noise: 0.020 of the tuned score is not there on other cases."]


def test_the_weakest_class_is_told_where_it_is_far_below_the_mean() -> None:
    def of(worst: float) -> Content:
        return content(scores=Scores(by_class=pd.DataFrame({"class": ["a", "b"], "score": [0.9, worst]})))

    assert leads(of(0.7)) == ["b is the weakest class: 0.700, the mean is 0.800."]
    assert leads(of(0.85)) == []


def test_a_member_that_adds_nothing_beyond_noise_is_told() -> None:
    adds = pd.DataFrame(
        [("x", 0.7, 0.1, 0.05), ("y", 0.7, 0.01, -0.01)], columns=["member", "score", "adds", "adds_low"]
    )
    given = content(members=Members(adds=adds))
    assert leads(given) == ["y: no gain beyond noise."]
    assert leads(replace(given, members=Members(adds=adds[:1]))) == []


def test_a_few_distances_that_hold_the_sum_are_told() -> None:
    def of(distances: list[float]) -> Content:
        frame = pd.DataFrame({"distance": distances}).assign(scan="s", side="found", z=0, y=0, x=0)
        return content(losses=Losses(outliers=frame.assign(**{"class": "a"})))

    assert leads(of([0.9, *[0.05] * 9])) == ["A tenth of the Hausdorff distances holds 67% of their sum."]
    assert leads(of([0.1] * 10)) == []
    assert leads(of([0.9, 0.05])) == []
