"""Tables of the page: heads, numbers, intervals, links, folding, escaping."""

import math

import numpy as np
import pandas as pd
import pytest

from casefold.report.table import head, heat, interval, number, row, table, words


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("truth_mm3", 'truth <span class="unit">mm³</span>'),
        ("per_1000_steps_s", '1,000 steps <span class="unit">s</span>'),
        ("uw_score", "UW score"),
        ("adds_low", "95 % interval"),
        ("low", "95 % interval"),
        ("yellow", "yellow"),
        ("dice large_bowel", "Dice, large_bowel"),
        ("mm", "mm"),
        ("a<b", "a&lt;b"),
    ],
)
def test_a_head_says_the_column_in_words_and_its_unit(column: str, text: str) -> None:
    assert head(column) == text


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("score", 0.78849, "0.788"),
        ("score", math.nan, "–"),
        ("adds", 0.004, "+0.004"),
        ("truth_change_mm3", -8479.2, "−8,479"),
        ("adds_low", -0.0031, "−0.003"),
        ("disk_mb", 61.04, "61.0"),
        ("peak_memory_gb", 0.9, "0.90"),
        ("distance_voxels", 31.2, "31"),
        ("distance_voxels", math.inf, "∞"),
        ("scans", 1234, "1,234"),
        ("z", 14.0, "14"),
    ],
)
def test_a_number_is_written_by_its_column(column: str, value: float, text: str) -> None:
    assert number(column, value) == text


def test_a_number_has_the_decimals_of_its_column() -> None:
    assert number("excess", 9.0, 14.0) == "9.0"


def test_an_interval_is_two_numbers_or_missing() -> None:
    assert interval(0.741, 0.829) == "0.741 to 0.829"
    assert interval(math.nan, 0.829) == "–"


def test_a_table_writes_heads_rows_and_what_they_sort_by() -> None:
    frame = pd.DataFrame([("a", 0.5, 0.25, 0.75)], columns=["member", "adds", "adds_low", "adds_high"])
    assert table(frame, "Adds") == (
        '<div class="table"><p class="caption">Adds</p><div class="scroll"><table aria-label="Adds">'
        '<thead><tr><th scope="col"><button type="button">member</button></th>'
        '<th scope="col" class="number"><button type="button">adds</button></th>'
        '<th scope="col" class="number"><button type="button">95 % interval</button></th></tr></thead>'
        '<tbody><tr><td>a</td><td class="number" data-sort="0.5">+0.500</td>'
        '<td class="number" data-sort="0.25">+0.250 to +0.750</td></tr></tbody></table></div></div>'
    )


def test_a_missing_number_sorts_by_nothing() -> None:
    assert '<td class="number" data-sort="">–</td>' in table(pd.DataFrame({"score": [0.5, math.nan]}), "t")


def test_an_empty_frame_gives_nothing() -> None:
    assert (
        table(pd.DataFrame(), "t")
        == ""
        == heat(pd.DataFrame(), "t", "", by_row=True)
        == row([table(pd.DataFrame(), "t")])
    )


def test_more_rows_than_the_first_are_folded_away() -> None:
    made = table(pd.DataFrame({"n": range(1500)}), "t", first=3)
    assert made.count('<tr class="more">') == 1497
    assert "The first 3 of 1,500 rows." in made
    assert "Show all" not in table(pd.DataFrame({"n": range(3)}), "t", first=3)


def test_a_scan_of_the_viewer_leads_there_and_to_its_slice() -> None:
    frame = pd.DataFrame({"scan": ["one", "two"], "z": [7, 8]})
    made = table(frame, "t", shown={"one"})
    assert '<td><a href="#viewer" data-scan="one" data-z="7">one</a></td>' in made
    assert "<td>two</td>" in made


def test_a_class_whose_name_reads_like_an_interval_stays_a_class() -> None:
    frame = pd.DataFrame({"member": ["a"], "low": [0.5], "high_gap": [0.25], "high": [1.0]})
    made = table(frame, "Weights", heads={name: name for name in frame.columns})
    assert [part.split("<")[0] for part in made.split('<button type="button">')[1:]] == [
        "member",
        "low",
        "high_gap",
        "high",
    ]
    assert [part.split("<")[0].split(">")[1] for part in made.split("data-sort")[1:]] == ["0.500", "0.250", "1.000"]


def test_flags_are_said_and_what_is_not_there_is_a_dash() -> None:
    made = table(pd.DataFrame({"motion": [True, False], "site": pd.array(["x", pd.NA], dtype="string")}), "t")
    assert made.endswith(
        "<tbody><tr><td>yes</td><td>x</td></tr><tr><td>no</td><td>–</td></tr></tbody></table></div></div>"
    )


def test_names_are_escaped_everywhere() -> None:
    bad = '<b>&"'
    frame = pd.DataFrame({bad: [bad], "scan": [bad]})
    square = pd.DataFrame([[1]], index=[bad], columns=[bad])
    for made in (table(frame, bad, shown={bad}), heat(square, bad, bad, by_row=True), words(bad)):
        assert "<b>" not in made
        assert '&"' not in made
        assert "&lt;b&gt;&amp;&#34;" in made


def test_heat_is_the_share_of_the_row_or_the_number_itself() -> None:
    counts = pd.DataFrame([[3, 1], [0, 0]], index=["a", "b"], columns=["a", "b"])
    assert [part[:5] for part in heat(counts, "t", "", by_row=True).split("--share:")[1:]] == [
        "0.750",
        "0.250",
        "0.000",
        "0.000",
    ]
    shares = pd.DataFrame([[1.0, np.nan]], columns=["a", "b"])
    assert [part.split('"')[0] for part in heat(shares, "t", "", by_row=False).split("--share:")[1:]] == [
        "1.000",
        "0.000",
    ]


def test_backticks_are_code() -> None:
    assert words("set `a<b` so") == "set <code>a&lt;b</code> so"
