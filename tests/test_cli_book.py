"""lb, diff and vote on the command line: what is printed and what is written."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import toy
from casefold.cli import app
from casefold.leaderboard import write_record
from toy_recipe import recipe, rung

HEAD = "id,class,predicted\n"
A, B = "case1_day0_slice_0001", "case1_day0_slice_0002"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Roots by environment, with the toy data set's config; three submissions, the first with a record."""
    for name in ("data", "store", "runs", "configs", "folds"):
        monkeypatch.setenv(f"CASEFOLD_{name.upper()}", str(tmp_path / name))
    toy.write_config(tmp_path / "configs")
    for name, runs in (("a", "2 3"), ("b", "3 4"), ("c", "")):
        (tmp_path / f"{name}.csv").write_text(f"{HEAD}{A},left,{runs}\n{B},left,\n")
    write_record(tmp_path / "a.csv", recipe(rung(), tuned_on={"objective": "dice_case"}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return result.output


def test_scores_are_written_down_listed_and_drawn(folder: Path) -> None:
    told = run("lb", "add", "a.csv", "--public", "0.25", "--note", "first")
    assert told.startswith("a.csv: recipe ") and told.endswith(", cross-fitted 0.250000\n")
    unknown = run("lb", "add", "b.csv", "--public", "0.5", "--of", "toy")
    assert unknown.endswith("b.csv: recipe unknown, commit unknown, cross-fitted unknown\n")
    listed = run("lb", "toy").splitlines()
    assert listed[0] == f"{folder}/runs/toy/leaderboard.csv"
    assert (
        listed[1].split()
        == "number date file public private cross_fitted gap objective ensemble recipe commit note".split()
    )
    assert "0.2500" in listed[2] and listed[2].endswith("first") and "b.csv" in listed[3]
    assert listed[4] == f"{folder}/runs/toy/leaderboard.png" and Path(listed[4]).is_file()
    assert run("lb").splitlines() == listed == run("lb", "show", "toy").splitlines()


def test_without_a_score_of_both_kinds_nothing_is_drawn(folder: Path) -> None:
    run("lb", "add", "b.csv", "--private", "0.5", "--of", "toy")
    assert run("lb").endswith("nothing to draw: no submission has a cross-fitted score and one of a leaderboard\n")
    assert not (folder / "runs/toy/leaderboard.png").exists()


def test_what_the_book_wants_to_know_is_asked_for(folder: Path) -> None:
    assert "which data set b.csv is of is not known; name it, or its ensemble, with --of" in run(
        "lb", "add", "b.csv", "--public", "1", code=1
    )
    (folder / "configs/datasets/other.yaml").write_text((folder / "configs/datasets/toy.yaml").read_text())
    assert "a.csv is of the data set toy, not of other; leave --of out" in run(
        "lb", "add", "a.csv", "--public", "1", "--of", "other", code=1
    )
    assert "ConfigError: give the score that a.csv got" in run("lb", "add", "a.csv", code=1)
    assert "no submission is written down in" in run("lb", code=1)
    assert "no submission is written down in" in run("lb", "toy", code=1)
    assert "'toi' is neither an ensemble nor a data set" in run("lb", "toi", code=1)


@pytest.mark.parametrize("verb", ["add", "show"])
def test_the_books_own_verbs_have_an_example(verb: str) -> None:
    assert f". Example: casefold lb {verb} " in " ".join(run("lb", verb, "--help").split())


def test_diff_prints_dice_and_flips_and_writes_what_differs(folder: Path) -> None:
    told = run("diff", "a.csv", "b.csv", "--csv", "out.csv").splitlines()
    assert [line.split() for line in told[-3:]] == [
        "scan dice left only first only second".split(),
        ["case1_day0", "0.5714", "0", "0"],  # 2 x 2 / (3 + 4)
        ["all", "0.5714", "0", "0"],
    ]
    assert (folder / "out.csv").read_text() == f"scan,id,class,both,first,second\ncase1_day0,{A},left,2,3,4\n"
    assert run("diff", "c.csv", "a.csv").splitlines()[-1] == f"left: 1 slices only in a.csv: {A}"
    assert run("diff", "a.csv", "c.csv").splitlines()[-1] == f"left: 1 slices only in a.csv: {A}"


def test_vote_writes_a_submission(folder: Path) -> None:
    assert run("vote", "a.csv", "b.csv", "c.csv", "--out", "v.csv").endswith(
        "v.csv: 2 rows, voted by a.csv, b.csv, c.csv\n"
    )
    assert (folder / "v.csv").read_text() == f"{HEAD}{A},left,3 2\n{B},left,\n"
    assert "a vote wants two submissions or more, not 1" in run("vote", "a.csv", "--out", "v.csv", code=1)
    assert "ConfigError: v.csv is among the files that vote" in run("vote", "a.csv", "v.csv", "--out", "v.csv", code=1)
