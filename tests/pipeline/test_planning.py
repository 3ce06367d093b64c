"""--dry-run and --time: what a run would take, and as many epochs as fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from casefold.config.ensembles import Ensemble
from casefold.config.paths import Paths
from casefold.core import CasefoldError, ConfigError
from casefold.folds import FoldTable
from casefold.pipeline import planning
from casefold.pipeline.planning import fit_epochs, measure, parse_time, preflight_table, with_fitted_epochs
from casefold.pipeline.project import Project
from casefold.pipeline.training import plan
from casefold.store import Store
from casefold.train.loop import Habits
from casefold.train.preflight import Preflight
from toy_members import cls, seg3d, seg25d


@pytest.fixture
def project(toy_paths: Paths, toy_config: Any, toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> Project:
    paths = Paths(toy_paths.data, toy_paths.store, tmp_path / "runs", toy_paths.configs, toy_paths.folds)
    members = {"toy_3d": seg3d(train={"lr": 0.01}), "toy_cls": cls(train={"lr": 0.01})}
    ensemble = Ensemble(name="both", dataset="toy", members=("seg3d/toy_3d", "cls/toy_cls"))
    return Project(paths, ensemble, toy_config, members, jobs=1, device="cpu")


def found(**changes: Any) -> Preflight:
    """10 epochs of 20 steps of half a second with a tenth for loading, and 3 validations of 4 seconds."""
    shapes = {"image": (4, 1, 8, 8), "maps": (4, 2, 8, 8)}
    content = {"title": "seg25d/a 0", "shapes": shapes, "parameters": 100, "first_loss": 1.0, "last_loss": 0.5,
               "steps_an_epoch": 20, "step_s": 0.5, "step_cpu_s": 0.6, "load_s": 0.1, "validation_s": 4.0,
                   "peak_mb": 300.0, "epochs": 10,
               "validations": 3}  # fmt: skip
    return Preflight(**(content | changes))


@pytest.mark.parametrize(
    ("text", "seconds"), [("8h", 28800.0), ("90m", 5400.0), ("1h30m", 5400.0), ("1.5h", 5400.0), ("45s", 45.0)]
)
def test_a_time(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "8", "8 h", "h8", "8hours"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--time takes hours and minutes as 8h, 90m or 1h30m, not"):
        parse_time(text)


def test_the_projection_by_hand() -> None:
    assert found().epoch_s == pytest.approx(12.0)
    assert found().total_s == pytest.approx(10 * 12 + 4 * 4)  # three validations and OOF
    # the last validation and OOF take 8 s; an epoch takes 12 s and its share, 2 of 10, of the other two validations
    assert found().epochs_within(8 + 5 * 12.8 + 1) == 5
    assert found().epochs_within(1.0) == 1


def test_each_member_is_measured_once_and_nothing_is_written(project: Project) -> None:
    jobs = plan(project, ["0", "1"], [], Habits())
    measured = measure(jobs)
    assert sorted(measured) == ["toy_3d", "toy_cls"]
    volume, slices = measured["toy_3d"], measured["toy_cls"]
    assert volume.shapes["image"] == (4, 1, 4, 16, 16) and volume.shapes["maps"] == (4, 2, 4, 16, 16)
    assert slices.shapes["image"] == (4, 1, 32, 32) and slices.shapes["presence"] == (4, 2)
    assert volume.last_loss < volume.first_loss and slices.last_loss < slices.first_loss
    assert not project.paths.runs.exists()
    table = preflight_table(jobs, measured, processes=2)
    assert table["member"].tolist() == ["toy_3d", "toy_cls", "all", "2 at a time"]
    assert table["runs"].tolist()[:3] == [2.0, 2.0, 4.0]
    assert table["image"].tolist()[:2] == ["4x1x4x16x16", "4x1x32x32"]


def test_a_step_is_measured_on_the_part_that_training_sees(project: Project) -> None:
    config = seg25d(data={"train_patch": (32, 16)}, train={"lr": 0.01})
    found = measure(plan(replace(project, members={"toy_2d": config}), ["0"], [], Habits()))["toy_2d"]
    assert (found.shapes["image"], found.shapes["maps"]) == ((4, 1, 32, 16), (4, 2, 32, 16))


def test_a_loss_that_does_not_fall_is_refused(project: Project) -> None:
    still = Project(project.paths, project.ensemble, project.dataset, {"toy_3d": seg3d(train={"lr": 1e-30})}, 1, "cpu")
    with pytest.raises(CasefoldError, match="seg3d/toy_3d 0: 12 steps on one batch did not lower its loss"):
        measure(plan(still, ["0"], [], Habits()))


def test_epochs_fill_the_time_in_the_members_shares(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {"toy_3d": found(validation_s=0.0), "toy_cls": found(validation_s=0.0, epochs=5)}
    monkeypatch.setattr(planning, "measure", lambda jobs: measured)
    jobs = plan(project, ["0", "1"], [], Habits())
    # both folds take 2 x (120 + 60) s; 0.9 of an hour is nine times that
    fitted = fit_epochs(project, jobs, "1h")
    assert {name: config.train.epochs for name, config in fitted.members.items()} == {"toy_3d": 90, "toy_cls": 45}
    monkeypatch.setattr(planning, "measure", None)  # the same command measures nothing again
    assert fit_epochs(project, jobs, "1h").members == fitted.members == with_fitted_epochs(project).members


def test_without_a_fitted_time_the_configs_stand(project: Project) -> None:
    assert with_fitted_epochs(project) is project
