"""Runs of slices, and the table of findings."""

import pytest
from bodies import body, scan

from casefold.check.findings import Finding, as_table, gather_notes, natural, on_slices, runs, span


@pytest.mark.parametrize(
    ("numbers", "wanted"), [([], []), ([4], [[4]]), ([7, 1, 2, 0, 9, 8], [[0, 1, 2], [7, 8, 9]]), ([3, 5], [[3], [5]])]
)
def test_runs_have_no_gap(numbers: list[int], wanted: list[list[int]]) -> None:
    assert runs(numbers) == wanted


def test_a_span_is_one_name_or_the_first_to_the_last() -> None:
    assert span(["a"]) == "a" and span(["a", "b", "c"]) == "a to c"


def test_neighbouring_slices_are_one_finding_with_the_largest_value() -> None:
    found = on_slices("saturated", scan(body()), {2: 10.0, 3: 30.0, 4: 20.0, 8: 7.0}, "{:.0f} %")
    assert found == [
        Finding("saturated", "case1", "case1_day0", "case1_day0_slice_0003 to case1_day0_slice_0005", "30 %"),
        Finding("saturated", "case1", "case1_day0", "case1_day0_slice_0009", "7 %"),
    ]


def test_numbers_sort_as_numbers() -> None:
    assert sorted(["case10_day2", "case2_day13", "case2_day2", "preview"], key=natural) == [
        "case2_day2",
        "case2_day13",
        "case10_day2",
        "preview",
    ]


def test_the_table_has_the_worst_first_and_says_what_to_do_in_one_line() -> None:
    table = as_table(
        [
            Finding("blank end", "case1", "case1_day0", "z", "every pixel has one value"),
            Finding("rle", "case10", "case10_day0", "b", "a run\ngoes  past the end"),
            Finding("motion", "case1", "case1_day0", "z", "moved"),
            Finding("rle", "case2", "case2_day0", "slice_10", "second"),
            Finding("rle", "case2", "case2_day0", "slice_9", "first"),
        ]
    )
    assert table[["severity", "scan", "where"]].values.tolist() == [
        ["error", "case2_day0", "slice_9"],
        ["error", "case2_day0", "slice_10"],
        ["error", "case10_day0", "b"],
        ["warning", "case1_day0", "z"],
        ["note", "case1_day0", "z"],
    ]
    assert table["what"][2] == "a run goes past the end; mend the row; was the mask drawn at another size?"


def test_a_note_that_most_of_many_scans_have_is_one_line() -> None:
    notes = [Finding("blank end", f"case{n}", f"case{n}_day0", f"slice {n}", "flat") for n in range(30)]
    warnings = [Finding("motion", f"case{n}", f"case{n}_day0", f"slice {n}", "moved") for n in range(30)]
    wanted = Finding("blank end", "", "", "", "30 of 40 scans, as slice 0: flat")
    assert gather_notes(notes + warnings, 40) == [wanted, *warnings]
    assert gather_notes(notes, 60) == notes
    assert gather_notes(notes[:20], 20) == notes[:20]


def test_nothing_found_is_an_empty_table_with_its_columns() -> None:
    table = as_table([])
    assert table.empty and list(table.columns) == ["severity", "kind", "case", "scan", "where", "what"]
