"""`report` on two members whose few errors are known: every number of the page can be worked out by hand."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import toy
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.core import DataError
from casefold.files import write_json
from casefold.leaderboard import Entry, book_frame
from casefold.pipeline import report_pass
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.report_compared import compare_step
from casefold.pipeline.report_findings import board
from casefold.pipeline.report_pass import done_folds, look
from casefold.pipeline.report_record import examine, read_record_of
from casefold.pipeline.reporting import read_cases, report_step
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.pipeline.tuning import tune_step
from casefold.report.content import Content
from toy_external import external, write_mate
from toy_members import seg3d

PAIR = {
    "name": "pair",
    "dataset": "toy",
    "members": ["external/good", "external/mate"],
    "tune": {"levels": [60, 100, 200], "peaks": [], "averages": ["probabilities"], "weight_steps": 1, "rungs": 1},
}
KILLED = """
import os, signal, sys
from pathlib import Path
from casefold.config.paths import Paths
from casefold.pipeline import report_pass, reporting
from casefold.pipeline.project import open_project

def die(*given):
    os.kill(os.getpid(), signal.SIGKILL)

examine, seen = report_pass.examine, []
def look(task):
    seen.append(task.scan)
    die() if len(seen) == 4 else examine(task)

if sys.argv[2] == "scans":
    report_pass.examine = look
else:
    reporting.page = die
paths = Paths(*(Path(sys.argv[1]) / one for one in ("data", "store", "runs", "configs", "folds")))
reporting.report_step(open_project(paths, "killed", jobs=1, device="cpu"))
"""
STRAY = 0.5 * 9 / 333  # of a scan's Dice: 9 voxels too many of `right`, whose two discs have 81 each; `left` is right
MISSED = 1 / 11 / 2  # of case20's: one of the six slices of `left`, 2 * 5 / (6 + 5); `right` is right
WHOLE = 1 - (STRAY + MISSED) / 6
WITHOUT_MATE = 1 - MISSED / 6


def opened(root: Path, name: str = "pair") -> Project:
    paths = Paths(*(root / one for one in ("data", "store", "runs", "configs", "folds")))
    return open_project(paths, name, jobs=1, device="cpu")


def write_yaml(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def spoil(path: Path, label: int, z: int, side: int, p: float) -> None:
    """Set a corner of `side` voxels of one slice; label: 0 is `right`, 1 `left`."""
    maps = np.load(path)["maps"]
    maps[label, z, :side, :side] = p
    np.savez(path, maps=maps)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both members miss the first slice of `left` in case20_day5; mate finds a piece of `right` in case11_day2."""
    root = tmp_path_factory.mktemp("report")
    toy.write_raw(root / "data" / "toy")
    toy.write_config(root / "configs")
    for name in ("good", "mate"):
        write_yaml(root / f"configs/external/{name}.yaml", as_plain(external(name=name, root=name)))
    write_yaml(root / "configs/ensembles/pair.yaml", PAIR)
    project = opened(root)
    store = prepare_step(project)
    for name in ("good", "mate"):
        write_mate(root / "data" / name, store, folds_step(project, store))
        spoil(root / "data" / name / "case20_day5.npz", label=1, z=1, side=99, p=0.25)
    spoil(root / "data" / "mate" / "case11_day2.npz", label=0, z=6, side=3, p=1.0)
    return root


@pytest.fixture(scope="module")
def made(root: Path) -> tuple[Path, Content]:
    return report_step(opened(root))


def test_the_headline_is_the_cross_fitted_score_beside_what_tune_found(made: tuple[Path, Content], root: Path) -> None:
    content = made[1]
    assert content.headline.metric == "Dice, mean over cases"
    assert content.headline.cross_fitted.value == pytest.approx(WHOLE, abs=1e-12)
    assert content.headline.cross_fitted.low < WHOLE < content.headline.cross_fitted.high <= 1
    table = tune_step(opened(root))[1].set_index("what")
    assert content.headline.tuned.value == table.loc["recipe", "tuned"]
    ensemble = content.scores.ways.iloc[0]
    names = ["dice_slice", "dice_scan", "dice_case", "uw_score", "uw_distance"]
    assert ensemble[names].tolist() == pytest.approx(table.loc["recipe, cross-fitted", names].tolist(), abs=1e-12)
    assert (content.cases, content.scans, content.folds, content.members_used) == (6, 8, (0, 1, 2), ("good", "mate"))


def test_every_way_has_its_score_and_a_member_what_it_adds(made: tuple[Path, Content]) -> None:
    ways = made[1].scores.ways.set_index("what")["score"]
    assert list(ways.index) == ["ensemble pair", "good", "mate", "without good", "without mate"]
    assert ways.tolist() == pytest.approx([WHOLE, WITHOUT_MATE, WHOLE, WHOLE, WITHOUT_MATE], abs=1e-12)
    adds = made[1].members.adds.set_index("member")
    assert adds["adds"].tolist() == pytest.approx([0, -STRAY / 6], abs=1e-12)
    assert adds.loc["good", "score"] == pytest.approx(WITHOUT_MATE, abs=1e-12)
    weights = made[1].members.weights
    assert weights["weight"].tolist() == [0.5] * 4


def test_scores_stand_by_class_fold_case_and_scan(made: tuple[Path, Content]) -> None:
    held = made[1].scores
    assert held.by_class["score"].tolist() == pytest.approx([1 - 2 * MISSED / 6, 1 - 2 * STRAY / 6], abs=1e-12)
    folds = held.by_fold.pivot(index="what", columns="fold", values="score")
    assert folds.loc["ensemble pair"].tolist() == pytest.approx([1 - MISSED / 2, 1, 1 - STRAY / 2], abs=1e-12)
    assert held.by_case["case"].tolist()[:2] == ["case20", "case11"]
    worst = held.by_scan.iloc[0]
    assert (worst["scan"], worst["fold"]) == ("case20_day5", 0)
    assert (worst["score"], worst["dice left"]) == (pytest.approx(0.9, abs=1e-12), pytest.approx(0.8, abs=1e-12))
    groups = held.groups[held.groups["by"] == "number of slices"].set_index("group")
    assert groups["scans"].to_dict() == {"6": 1, "8": 7}
    volumes = held.volumes.set_index(["scan", "class"])
    assert volumes.loc[("case11_day2", "right"), ["truth_voxels", "found_voxels"]].tolist() == [162, 171]
    moved = held.changes.set_index(["scan", "class"])
    assert moved.loc[("case20_day5", "left"), ["truth_change_voxels", "found_change_voxels"]].tolist() == [0, -113]


def test_what_is_lost_is_all_along_z(made: tuple[Path, Content]) -> None:
    held = made[1].losses
    assert held.ledger is not None
    parts = held.ledger.entries.set_index("repair")["part"]
    assert parts["extent along z"] == pytest.approx(1 - WHOLE, abs=1e-12)
    assert parts.drop("extent along z").abs().max() == 0
    places = held.outliers.set_index("scan")[["class", "side", "z"]]
    assert places.to_dict("index") == {
        "case11_day2": {"class": "right", "side": "found", "z": 6.0},
        "case20_day5": {"class": "left", "side": "truth", "z": 1.0},
    }
    far = held.outliers.set_index("scan").loc["case11_day2"]
    assert (far["y"], far["x"]) == (0, 0)
    missed = held.edges.set_index(["scan", "class", "z"]).loc[("case20_day5", "left", 1)]
    assert (missed["dice"], missed["distance"], missed["truth_voxels"], missed["found_voxels"]) == (0, 0, 113, 0)
    assert missed["contrast"] > 1


def test_the_label_that_both_members_miss_is_the_first_suspect(made: tuple[Path, Content]) -> None:
    held = made[1].suspects
    assert held.members == 2
    first = held.scans.iloc[0]
    assert (first["scan"], first["class"]) == ("case20_day5", "left")
    assert first["why"] == "the label has it, members don't find it"
    assert held.slices.iloc[0][["scan", "class", "z"]].tolist() == ["case20_day5", "left", 1]


def test_curves_have_the_level_that_was_chosen(made: tuple[Path, Content]) -> None:
    held = made[1].curves
    assert held.levels == {"left": 100, "right": 100} and held.gate.empty
    at = held.sweeps.set_index(["class", "level"])["score"]
    assert at[("right", 100)] == pytest.approx((7 + 324 / 333) / 8, abs=1e-12)  # by scan
    assert at[("left", 100)] == pytest.approx((7 + 0.8) / 8, abs=1e-12)
    assert at[("right", 200)] == 0
    assert held.confusion.loc["left", "none"] == 1 and held.confusion.loc["none", "right"] == 1


def test_the_two_picks_differ_and_say_why(made: tuple[Path, Content]) -> None:
    picks = made[1].picks
    first = picks.candidates.iloc[0]
    assert first["score"] == pytest.approx(WITHOUT_MATE, abs=1e-12) and first["pick"] == "first"
    assert sorted(picks.candidates["pick"]) == ["", "", "", "first", "second"]
    assert picks.why[0] == "First: good alone. Second: ensemble pair."


def test_the_page_and_its_tables_are_written(made: tuple[Path, Content], root: Path) -> None:
    path, content = made
    assert path == root / "runs/toy/ensembles/pair/report.html"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and "case20_day5" in text
    assert len(content.warnings) == 1 and content.warnings[0].startswith(
        "The recipe is simpler than what was searched: "
    )
    assert pd.read_csv(path.with_suffix("") / "scores_by_scan.csv")["scan"][0] == "case20_day5"
    assert pd.read_csv(path.with_suffix("") / "losses_ledger.csv")["repair"].tolist()[2] == "extent along z"
    assert pd.read_csv(path.with_suffix("") / "members_agreement.csv", index_col=0).shape == (3, 3)
    assert [(one.scan, one.group) for one in content.viewer][:2] == [("case20_day5", "worst"), ("case11_day2", "worst")]
    assert len(content.viewer) == 8


def test_only_a_lost_record_is_made_again(
    made: tuple[Path, Content], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(report_pass, "examine", lambda task: (done.append(task.scan), examine(task))[1])
    assert look(opened(root)).held.scans[0] == "case2_day0" and done == []
    kept = sorted((root / "runs/toy/ensembles/pair/report_scans").glob("*/*.npz"))
    assert len(kept) == 8
    kept[0].unlink()
    look(opened(root))
    assert done == [kept[0].stem]
    kept[0].write_bytes(b"cut")
    with pytest.raises(DataError, match=r"case10_day3\.npz can't be read .*; remove it, and `report` makes it again"):
        read_record_of(kept[0])
    kept[0].unlink()


def test_what_was_handed_in_stands_beside_its_cross_fitted_score(made: tuple[Path, Content]) -> None:
    given = [
        ("a.csv", "dice_case", 0.7, "0.69", ""),
        ("b.csv", "dice_case", 0.8, "", "0.75"),
        ("c.csv", "", 0.8, "", ""),
    ]
    given += [("d.csv", "uw_score", 0.9, "0.88", "")]
    entries = [
        Entry("2026-11-30", file, file, public, private, str(cv), objective, "pair", "r", "", "")
        for file, objective, cv, public, private in given
    ]
    found = board(book_frame(entries), "dice_case")
    assert found[["submission", "cv", "lb"]].to_numpy().tolist() == [["a.csv", 0.7, 0.69], ["b.csv", 0.8, 0.75]]
    assert made[1].picks.board.empty


def test_some_folds_alone_are_told_at_the_top(made: tuple[Path, Content], root: Path, tmp_path: Path) -> None:
    write_yaml(root / "configs/ensembles/some.yaml", {**PAIR, "name": "some"})
    path, content = report_step(opened(root, "some"), [0, 1], tmp_path / "a.html")
    assert content.warnings[0] == (
        "Incomplete: without fold 2. All of this rests on 2 of 3 folds, 6 of 8 scans and 4 of 6 cases."
    )
    assert content.headline.cross_fitted.value == pytest.approx(1 - MISSED / 4, abs=1e-12)
    assert (content.folds, content.scans, content.cases) == ((0, 1), 6, 4)
    assert "Incomplete: without fold 2" in path.read_text(encoding="utf-8")
    assert (tmp_path / "a" / "scores_ways.csv").is_file()


def test_other_ensembles_are_candidates_or_it_is_said_why_not(made: tuple[Path, Content], root: Path) -> None:
    write_yaml(root / "configs/ensembles/solo.yaml", {**PAIR, "name": "solo", "members": ["external/good"]})
    tune_step(opened(root, "solo"))
    whole = look(opened(root))
    assert [way.name for way in whole.held.ways if way.kind == "other"] == ["solo"]
    assert whole.held.title(whole.held.ways[1]) == "ensemble solo"
    alone = look(opened(root, "solo"))
    assert "pair is not among the candidates: it has mate besides." in alone.notes
    assert [way for way in alone.held.ways if way not in alone.held.there] == [("without", "good")]


def test_a_table_of_cases_groups_the_scores(made: tuple[Path, Content], root: Path, tmp_path: Path) -> None:
    sites = tmp_path / "sites.csv"
    sites.write_text("case,site\ncase2,a\ncase7,a\ncase20,b\ncase11,b\n")
    groups = report_step(opened(root), None, tmp_path / "b.html", sites)[1].scores.groups
    rows = groups[groups["by"] == "site"].set_index("group")
    assert rows["scans"].to_dict() == {"a": 3, "b": 3, "not given": 2}
    assert rows.loc["b", "mean"] == pytest.approx(1 - (0.05 + STRAY) / 2, abs=1e-12)  # case20: 0.95, the mean of two
    (tmp_path / "other.csv").write_text("case,site\nx,a\n")
    with pytest.raises(DataError, match=r"names none of the cases, which are called case10, case11, case2 \.\.\."):
        report_step(opened(root), None, tmp_path / "c.html", tmp_path / "other.csv")
    (tmp_path / "twice.csv").write_text("case,site\nx,a\nx,b\n")
    with pytest.raises(DataError, match=r"more than one row for \['x'\]"):
        read_cases(tmp_path / "twice.csv")
    (tmp_path / "none.csv").write_text("patient\nx\n")
    with pytest.raises(DataError, match=r"should have a column `case`; it has patient"):
        read_cases(tmp_path / "none.csv")


def test_members_are_compared_case_by_case(made: tuple[Path, Content], root: Path) -> None:
    told, found = compare_step(opened(root).paths, "good", "mate", 1, "cpu")
    assert told == "good (level 128) minus mate (level 128): Dice, mean over cases, by scan"
    assert (found.better, found.worse, found.equal) == (1, 0, 5)
    assert found.difference == pytest.approx(STRAY / 6, abs=1e-12)
    assert found.moved["scan"][0] == "case11_day2" and found.within_noise
    told, found = compare_step(opened(root).paths, "pair", "mate", 1, "cpu")
    assert told.startswith("pair (cross-fitted) minus mate (level 128)") and found.equal == 6


def test_a_report_that_was_killed_goes_on(
    made: tuple[Path, Content], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_yaml(root / "configs/ensembles/killed.yaml", {**PAIR, "name": "killed"})
    out = root / "runs/toy/ensembles/killed"
    for when, done in (("scans", 3), ("page", 8)):
        ended = subprocess.run([sys.executable, "-c", KILLED, str(root), when], env=os.environ, check=False)
        assert ended.returncode == -signal.SIGKILL
        assert len(list((out / "report_scans").glob("*/*.npz"))) == done
        assert not (out / "report.html").exists()
    seen: list[str] = []
    monkeypatch.setattr(report_pass, "examine", lambda task: seen.append(task.scan))
    path, content = report_step(opened(root, "killed"))
    assert seen == [] and path.read_text(encoding="utf-8").endswith("</html>\n")
    assert content.headline.cross_fitted == made[1].headline.cross_fitted
    (root / "configs/ensembles/killed.yaml").unlink()


def test_folds_that_are_not_trained_are_left_out_where_others_are(root: Path) -> None:
    project = opened(root)
    mixed = replace(project, members={**project.members, "toy_3d": seg3d()})
    assert done_folds(project) is None and done_folds(mixed) is None
    for fold, state in enumerate(["done", "running", "done"]):
        write_json(mixed.run("toy_3d", str(fold)) / "manifest.json", {"state": state})
    assert done_folds(mixed) == [0, 2]
