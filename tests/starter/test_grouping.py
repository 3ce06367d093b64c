"""How to fold: what tables and names say of cases that belong together."""

from pathlib import Path

import pytest

from casefold.core import ConfigError
from casefold.starter.grouping import add_folds
from casefold.starter.guess import Guess
from casefold.starter.survey import survey

CASES = [f"case{number}" for number in range(1, 13)]


def folds(folder: Path, cases: list[str]) -> tuple[object, str, str]:
    guess = Guess()
    add_folds(guess, cases, survey(folder))
    return guess.fields["folds"]


def write_table(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n")


def test_by_case(tmp_path: Path) -> None:
    value, why, check = folds(tmp_path, ["case10", "case2", "case2"])
    assert value == {"kind": "case", "count": 2, "seed": 2022}
    assert (why, check) == ("3 labelled scans of 2 cases, the first are case2, case10", "")
    assert folds(tmp_path, CASES)[0] == {"kind": "case", "count": 5, "seed": 2022}
    with pytest.raises(
        ConfigError, match=r"all labelled scans are of one case, \['a'\]; folds are by case and want at"
    ):
        folds(tmp_path, ["a", "a"])


def test_a_column_that_says_whose_the_cases_are_is_the_group(tmp_path: Path) -> None:
    write_table(tmp_path / "info.csv", "case,patient_id,age", *(f"{case},p{int(case[4:]) // 4},30" for case in CASES))
    value, why, _ = folds(tmp_path, CASES)
    assert value == {"kind": "group", "file": "info.csv", "column": "patient_id", "count": 4, "seed": 2022}
    assert why.endswith("\ninfo.csv says whose they are: 4 different in `patient_id`")


def test_a_column_of_few_values_may_be_a_hospital(tmp_path: Path) -> None:
    write_table(tmp_path / "info.csv", "case,site", *(f"{case},{'AB'[int(case[4:]) % 2]}" for case in CASES))
    value, _, check = folds(tmp_path, CASES)
    assert value == {"kind": "case", "count": 5, "seed": 2022}
    assert check == (
        "is `site` of info.csv a group (A, B)? Then {kind: group, file: info.csv, column: site, count: 2, seed: 2022}"
    )


def test_a_part_of_the_names_may_be_a_hospital(tmp_path: Path) -> None:
    _, _, check = folds(tmp_path, [f"TCGA_{'CS' if number % 2 else 'DU'}_{number}" for number in range(8)])
    assert check == (
        "part 2 of the cases' names repeats (CS, DU): a hospital, a scanner? To fold by it: "
        "{kind: group, pattern: '^[0-9A-Za-z]+[^0-9A-Za-z]+([0-9A-Za-z]+)', count: 2, seed: 2022}"
    )


def test_a_part_of_another_name_of_each_case(tmp_path: Path) -> None:
    rows = (f"{case},TCGA_{'CS' if index % 2 else 'DU'}_{index}" for index, case in enumerate(CASES))
    write_table(tmp_path / "cases.csv", "case,other", *rows)
    _, _, check = folds(tmp_path, CASES)
    assert check == (
        "part 2 of `other` of cases.csv repeats (CS, DU): a hospital, a scanner? "
        "To fold by it, write a CSV of case and group"
    )


def test_owners_of_images_that_are_not_called_cases(tmp_path: Path) -> None:
    write_table(tmp_path / "meta.csv", "image,patient", *(f"x{index},p{index // 3}" for index in range(9)))
    _, _, check = folds(tmp_path, CASES)
    assert check == (
        "meta.csv has `patient`, 3 different in 9 rows: where several of the 12 cases are one's, "
        "fold by a CSV of case and group"
    )
