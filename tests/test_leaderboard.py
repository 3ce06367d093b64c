"""The book of submissions: records beside them, lines that are kept and brought up to date, and the table of it."""

import json
import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest

from casefold import leaderboard
from casefold.core import ConfigError, DataError
from casefold.leaderboard import (
    COLUMNS,
    Record,
    add,
    book_frame,
    read_book,
    read_record_of,
    write_record,
    write_vote_record,
)
from casefold.recipe import save_recipe
from toy_recipe import recipe, rung

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of the letters abc
MIX = recipe(rung(), rung(cross_fitted=0.125, seconds_a_scan=1.0), tuned_on={"objective": "dice_slice"})


@pytest.fixture(autouse=True)
def commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaderboard, "surroundings", lambda: {"commit": "c0ffee"})


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "submission.csv"
    path.write_text("abc")
    return path


def test_a_record_lies_beside_its_submission_and_says_what_made_it(csv: Path) -> None:
    assert write_record(csv, MIX) == csv.with_name("submission.csv.json")
    record = read_record_of(csv)
    assert len(record.recipe) == 16
    assert record == Record(ABC, "toy", "mix", record.recipe, "dice_slice", 0.25, "c0ffee")


def test_a_recipe_is_the_same_without_the_rungs_that_were_not_used(csv: Path) -> None:
    def digest(**changes: object) -> str:
        write_record(csv, replace(MIX, **changes))  # type: ignore[arg-type]
        return read_record_of(csv).recipe

    whole = digest()
    assert digest(rungs=MIX.rungs[:1]) == whole
    assert digest(rungs=(rung(levels={"a": 128, "b": 201}),)) != whole


def test_what_was_shed_is_noted_and_leaves_the_score_unknown(csv: Path) -> None:
    write_record(csv, MIX)
    whole = read_record_of(csv)
    write_record(csv, MIX, ["rung 1 for 2 scans", "1 scan is left"])
    assert read_record_of(csv) == replace(whole, cross_fitted=None, note="rung 1 for 2 scans; 1 scan is left")


def test_without_a_record_only_the_hash_is_known_and_that_is_said(csv: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_record_of(csv) == Record(ABC)
    assert "has no record submission.csv.json beside it, so what it was made from is not known" in caplog.text


def test_a_submission_that_was_changed_is_not_what_its_record_says(csv: Path, caplog: pytest.LogCaptureFixture) -> None:
    csv.write_text("abd")
    write_record(csv, MIX)
    csv.write_text("abc")
    assert read_record_of(csv) == Record(ABC)
    assert "was changed since" in caplog.text


@pytest.mark.parametrize("content", ["{", '{"sha256": 3}', '{"made": "by hand"}', "[]"])
def test_a_damaged_record_is_refused(csv: Path, content: str) -> None:
    csv.with_name("submission.csv.json").write_text(content)
    with pytest.raises(DataError, match=r"submission\.csv\.json is (damaged|no record)"):
        read_record_of(csv)


def test_a_bundle_is_known_by_its_sums_and_its_recipe(tmp_path: Path, csv: Path) -> None:
    (tmp_path / "checksums.txt").write_text("abc")
    save_recipe(MIX, tmp_path / "recipe.yaml")
    write_record(csv, MIX)
    assert read_record_of(tmp_path) == replace(read_record_of(csv), commit="")


def test_what_is_no_submission_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder without checksums\.txt; give a submission's CSV, or a bundle's"):
        read_record_of(tmp_path)
    with pytest.raises(DataError, match=r"there is no file .*none\.csv"):
        read_record_of(tmp_path / "none.csv")


def test_a_vote_names_its_voters(tmp_path: Path, csv: Path) -> None:
    other, out = tmp_path / "other.csv", tmp_path / "vote.csv"
    other.write_text("x")
    out.write_text("abc")
    write_record(csv, MIX)
    made = read_record_of(csv).recipe
    write_vote_record(out, [csv, csv])
    assert read_record_of(out) == Record(ABC, "toy", "vote of mix, mix", f"{made}+{made}", commit="c0ffee")
    write_vote_record(out, [csv, other])
    assert read_record_of(out) == Record(ABC, "", "vote of mix, other.csv", f"{made}+?", commit="c0ffee")


def test_a_line_ties_scores_to_the_making(tmp_path: Path, csv: Path) -> None:
    book = tmp_path / "toy" / "leaderboard.csv"
    write_record(csv, MIX)
    record = read_record_of(csv)
    entry = add(book, csv, record, public=0.889, note="first try")
    assert read_book(book) == [entry]
    assert book.read_text().splitlines() == [
        ",".join(COLUMNS),
        f"{entry.date},submission.csv,{ABC},0.889,,0.250000,dice_slice,mix,{record.recipe},c0ffee,first try",
    ]


def test_the_same_submission_keeps_its_line(tmp_path: Path, csv: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = tmp_path / "leaderboard.csv"
    first = add(book, csv, Record(ABC), public=0.889, note="first try")
    add(book, tmp_path / "b.csv", Record("b"), public=0.5)
    with caplog.at_level(logging.INFO):
        entry = add(book, csv, Record(ABC, recipe="r", cross_fitted=0.75, note="shed"), private=0.88)
    assert entry == replace(first, private="0.88", recipe="r", cross_fitted="0.750000")
    assert [line.sha256 for line in read_book(book)] == [ABC, "b"]
    assert read_book(book)[0] == entry
    assert add(book, csv, Record(ABC, note="shed"), private=0.88, note="late").note == "late; shed"
    assert "submission.csv is in" in caplog.text and "brought up to date" in caplog.text


def test_a_line_wants_a_score_that_is_a_number(tmp_path: Path, csv: Path) -> None:
    with pytest.raises(ConfigError, match=r"give the score that submission\.csv got: --public, --private or both"):
        add(tmp_path / "book.csv", csv, Record(ABC))
    with pytest.raises(ConfigError, match="a score is a number, not --public nan"):
        add(tmp_path / "book.csv", csv, Record(ABC), public=math.nan, private=1.0)
    assert not (tmp_path / "book.csv").exists()


def test_the_table_counts_and_takes_the_gap(tmp_path: Path, csv: Path) -> None:
    book = tmp_path / "leaderboard.csv"
    add(book, csv, Record(ABC, cross_fitted=0.75), public=0.875, private=0.5)
    add(book, csv, Record("b"), public=0.25)
    frame = book_frame(read_book(book))
    assert frame[["number", "public", "private", "cross_fitted", "gap"]].iloc[0].tolist() == [
        1,
        0.875,
        0.5,
        0.75,
        0.125,
    ]
    assert frame["number"].tolist() == [1, 2] and frame[["private", "cross_fitted", "gap"]].iloc[1].isna().all()


def test_no_book_is_no_line(tmp_path: Path) -> None:
    assert read_book(tmp_path / "leaderboard.csv") == []
    assert list(book_frame([])) == ["number", *COLUMNS[:6], "gap", *COLUMNS[6:]]


def test_a_strange_book_is_refused(tmp_path: Path) -> None:
    book = tmp_path / "leaderboard.csv"
    book.write_text("file,score\na,1\n")
    with pytest.raises(DataError, match=r"should have the columns date,file,.*, but has \['file', 'score'\]"):
        read_book(book)
    book.write_text(",".join(COLUMNS) + "\n" + "d,f,s,high" + "," * (len(COLUMNS) - 4) + "\n")
    with pytest.raises(DataError, match=r"a score that is no number: .*'high'"):
        book_frame(read_book(book))


def test_a_record_is_plain_json(csv: Path) -> None:
    content = json.loads(write_record(csv, MIX).read_text())
    assert list(content) == ["sha256", "dataset", "ensemble", "recipe", "objective", "cross_fitted", "commit", "note"]
