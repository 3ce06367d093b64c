"""A team mate's member through every step: imported by any of them, tuned, and read at submission."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

import toy
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.core import ConfigError, DataError, StaleError
from casefold.pipeline.evaluation import oof_step
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.pipeline.submitting import submit_step
from casefold.pipeline.training import plan, train_step
from casefold.pipeline.tuning import tune_step
from casefold.train.loop import Habits
from toy_external import HIS, add_test, external, his, write_mate
from toy_faults import times
from toy_members import seg25d

TEST_SCAN = toy.ToyScan("case41_day0", slices=5, width=24, height=30)
ENSEMBLE = {
    "name": "mix",
    "dataset": "toy",
    "members": ["external/mate"],
    "tune": {"levels": [100, 200], "peaks": [], "post": [], "averages": ["probabilities"], "rungs": 1},
}


@dataclass(frozen=True)
class Line:
    """A project whose only member is the mate's, and his folder."""

    paths: Paths
    project: Project
    mate: Path


@pytest.fixture
def line(tmp_path: Path) -> Line:
    paths = Paths(*(tmp_path / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"))
    toy.write_scan(paths.raw("toy") / "test", TEST_SCAN)
    toy.write_config(paths.configs)
    for name, content in (
        ("external/mate", as_plain(external())),
        ("seg25d/toy_2d", as_plain(seg25d())),
        ("ensembles/mix", ENSEMBLE),
        ("ensembles/both", ENSEMBLE | {"name": "both", "members": ["external/mate", "seg25d/toy_2d"]}),
    ):
        path = paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    project = open_project(paths, "mix", jobs=1, device="cpu")
    store = prepare_step(project)
    mate = write_mate(paths.data / "mate", store, folds_step(project, store))
    return Line(paths, project, mate)


def test_from_his_files_to_a_submission(line: Line, tmp_path: Path) -> None:
    frame = oof_step(line.project)
    assert frame["fold"].tolist() == ["0", "1", "2", "all"]
    # `left` is 255 inside and 64 outside, `right` 128 inside: at level 128 all of both, and nothing else
    assert frame["dice_scan"].tolist() == [1.0] * 4
    recipe, _ = tune_step(line.project)
    # of the levels that are tried, 100 alone takes `right`
    assert (recipe.members, recipe.rungs[0].levels["right"]) == (["mate"], 100)
    maps = np.zeros((2, 5, 30, 24), np.float16)
    maps[HIS.index("right"), 2, 3, 4:9] = 1
    add_test(line.mate, TEST_SCAN.name, maps)
    path = submit_step(line.project, None, tmp_path / "submission.csv", None)
    rows = [row for row in path.read_text().splitlines()[1:] if not row.endswith(",")]
    assert rows == ["case41_day0_slice_0003,right,77 5"]  # the first pixel is number 3 * 24 + 4 + 1


def test_a_submission_wants_maps_of_every_test_scan(line: Line, tmp_path: Path) -> None:
    tune_step(line.project)
    with pytest.raises(DataError, match=r"1 of 1 scans can't be predicted.*\n.*mate has no maps of scan case41_day0"):
        submit_step(line.project, None, tmp_path / "submission.csv", None)


def test_other_test_maps_are_read_anew(line: Line, tmp_path: Path) -> None:
    tune_step(line.project)
    maps = np.zeros((2, 5, 30, 24), np.float16)
    add_test(line.mate, TEST_SCAN.name, maps)
    empty = submit_step(line.project, None, tmp_path / "submission.csv", None).read_text()
    maps[0, 2] = 1
    np.savez(line.mate / f"test_{TEST_SCAN.name}.npz", maps=maps)
    assert submit_step(line.project, None, tmp_path / "submission.csv", None).read_text() != empty


def test_nothing_is_planned_for_it_beside_what_is_trained(line: Line) -> None:
    project = open_project(line.paths, "both", ["train.epochs=7"], jobs=1, device="cpu")
    assert [(job.config.name, job.fold) for job in plan(project, ["0", "1"], (), Habits())] == [
        ("toy_2d", "0"),
        ("toy_2d", "1"),
    ]
    assert project.trained["toy_2d"].train.epochs == 7 and list(project.members) == ["mate", "toy_2d"]
    with pytest.raises(ConfigError, match="train: unknown word"):
        open_project(line.paths, "both", ["mate.train.epochs=7"])


def test_redo_imports_what_has_changed(line: Line) -> None:
    train_step(line.project, ["0"])
    member = line.project.paths.member("toy", "mate")
    before, store = times(member), line.project.store()
    train_step(line.project, None)
    assert times(member) == before
    np.savez(line.mate / "case7_day1.npz", maps=1 - his(store.scan("case7_day1")))
    with pytest.raises(StaleError, match=r"oof\.case7_day1: .* with --redo"):
        train_step(line.project, ["0"])
    train_step(line.project, ["0"], redo=True)
    kept = [path for path in member.parent.iterdir() if path.name.startswith("mate.")]
    assert [times(path) for path in kept] == [before] and times(member) != before
