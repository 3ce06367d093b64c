"""The rows' twins: one from raw files to a submission, one that fails beside it, and all of them in the long test."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from casefold.cli import app
from casefold.config.load import load_dataset
from casefold.config.paths import Paths
from casefold.core import ConfigError
from casefold.pipeline import twins
from casefold.pipeline.checking import check_step
from casefold.pipeline.twins import ROWS, table, twins_step, write_twin

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def test_a_row_runs_from_raw_files_to_a_submission_and_a_failing_one_does_not_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_on_brats(small: Paths, row: str) -> dict[str, object]:
        if row == "brats_2d_3d":
            raise ValueError("on purpose")
        return real(small, row)

    real = twins._run
    monkeypatch.setattr(twins, "_run", fail_on_brats)
    frame = table(list(twins_step(CONFIGS, tmp_path, ["brats_2d_3d", "camvid"]))).set_index("row")
    assert frame["ran"].to_dict() == {"brats_2d_3d": "no", "camvid": "yes"}
    assert frame.loc["brats_2d_3d", "error"] == "ValueError: on purpose"
    assert frame.loc["camvid", "members"] == 1 and 0 <= frame.loc["camvid", "dice_case"] <= 1
    assert (frame["seconds"] > 0).all()
    written = tmp_path / "runs" / "camvid" / "ensembles" / "camvid" / "submission"
    assert len(list(written.glob("*.png"))) == 3


def test_an_unknown_row_is_refused_before_any_is_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no row is called uw_4th.* uw_1st, uw_2nd"):
        next(twins_step(CONFIGS, tmp_path, ["camvid", "uw_4th"]))
    assert list(tmp_path.iterdir()) == []


def test_the_verb_ends_with_an_exit_code_of_1_where_a_row_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(small: Paths, row: str) -> dict[str, object]:
        raise ValueError("on purpose")

    monkeypatch.setattr(twins, "_run", fail)
    monkeypatch.setenv("CASEFOLD_CONFIGS", str(CONFIGS))
    done = CliRunner().invoke(app, ["twins", "camvid", "uw_11th", "--keep", str(tmp_path)])
    assert done.exit_code == 1
    assert "camvid  no" in done.stdout and "uw_11th  no" in done.stdout


@pytest.mark.parametrize("row", ["brats_moved", "brats_joined"])
def test_the_phantom_of_two_roots_shares_training_cases_alone(tmp_path: Path, row: str) -> None:
    small = Paths(*(tmp_path / name for name in ("data", "store", "runs", "configs", "folds")))
    write_twin(CONFIGS, small, row)
    dataset = load_dataset(small.configs, row)
    roots = [small.raw(root) for root in (dataset.root, *dataset.joined)]
    cases = [{path.name for path in (root / "train").iterdir()} for root in roots]
    tests = [{path.name for path in (root / "test").iterdir()} for root in roots]
    assert [len(names) for names in cases] == [10, 10] and len(cases[0] & cases[1]) == 4
    assert all(names and not names & (cases[0] | cases[1]) for names in tests)
    assert set(check_step(small, row, jobs=1)["severity"]) <= {"warning", "note"}


@pytest.mark.long
def test_every_row_runs_in_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for line in twins_step(CONFIGS, tmp_path):
        lines.append(line)
        for path in tmp_path.rglob("last.pt"):  # three quarters of what a row leaves on the disk
            path.unlink()
    frame = table(lines)
    with capsys.disabled():
        print(f"\n{frame.to_string(index=False, float_format='{:.3f}'.format)}")
    assert frame["row"].tolist() == list(ROWS)
    assert frame.loc[frame["ran"] != "yes", ["row", "error"]].to_numpy().tolist() == []
    assert np.isfinite(frame["dice_case"].astype(float)).all()
