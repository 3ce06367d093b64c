"""Every verb explains itself with an example; faults of a user end in one message and exit code 1."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import toy
from casefold import cli_report, cli_submission
from casefold.cli import app
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from toy_members import seg3d

VERBS = [
    *"init look check prepare folds fold train full runs augment oof tune submit score demo twins".split(),
    *"report compare bundle compress study pseudo diff vote lb".split(),
]


@pytest.fixture
def workspace(toy_paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Roots by environment: the toy data set's raw files, and an ensemble of one 3D member."""
    monkeypatch.setenv("CASEFOLD_DATA", str(toy_paths.data))
    for name in ("store", "runs", "configs", "folds"):
        monkeypatch.setenv(f"CASEFOLD_{name.upper()}", str(tmp_path / name))
    toy.write_config(tmp_path / "configs", folds={"kind": "case", "count": 2})
    member = as_plain(seg3d(data={"patch": (2, 8, 8), "overlap": 0.0}))
    ensemble = {"name": "solo", "dataset": "toy", "members": ["seg3d/toy_3d"]}
    for path, content in (("seg3d/toy_3d", member), ("ensembles/solo", ensemble)):
        target = tmp_path / "configs" / f"{path}.yaml"
        target.parent.mkdir(exist_ok=True)
        target.write_text(yaml.safe_dump(content))
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return result.output


def test_the_verbs_are_those_of_run_sh() -> None:
    commands = [*app.registered_commands, *cli_report.app.registered_commands, *cli_submission.app.registered_commands]
    groups = [group.name for group in cli_submission.app.registered_groups]
    assert [*(command.callback.__name__ for command in commands if command.callback), *groups] == VERBS
    shown = run("--help")
    assert all(re.search(rf"^\s+{verb}\b", shown, re.MULTILINE) for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_has_an_example(verb: str) -> None:
    text = " ".join(run(verb, "--help").split())
    assert re.search(rf"\. Example: casefold {verb}\b", text)


def test_a_line_of_verbs(workspace: Path) -> None:
    table = run("folds", "solo").split("\n")
    assert table[0].split() == ["fold", "cases", "scans", "slices", "with", "left", "with", "right"]
    assert sum(int(row.split()[1]) for row in table[1:3]) == 6
    assert "seg3d/toy_3d 1" in run("fold", "1", "solo", "--jobs", "1", "--device", "cpu")
    assert not (workspace / "runs/toy/members/toy_3d/fold0").exists()
    assert re.search(r"^ *toy_3d +all ", run("oof", "solo", "--jobs", "1", "--device", "cpu"), re.MULTILINE)
    assert "cross-fitted" in run("tune", "solo", "--jobs", "1", "--device", "cpu")
    words = run("report", "solo", "--jobs", "1", "--device", "cpu")
    assert "score: Dice, mean over cases, cross-fitted\n" in words
    assert words.endswith(f"{workspace}/runs/toy/ensembles/solo/report.html\n")
    cases, page, table = (workspace / name for name in ("cases.csv", "page.html", "moved.csv"))
    cases.write_text("case,site\ncase2,a\ncase7,b\n")
    run("report", "solo", "--cases", str(cases), "--out", str(page), "--jobs", "1", "--device", "cpu")
    groups = pd.read_csv(workspace / "page/scores_groups.csv")
    assert groups.loc[groups["by"] == "site", "group"].tolist() == ["a", "b", "not given"]
    words = ("compare", "solo", "toy_3d", "--csv", str(table), "--jobs", "1", "--device", "cpu")
    lines = run(*words).splitlines()
    assert lines[0] == "solo (cross-fitted) minus toy_3d (level 128): Dice, mean over cases, by scan"
    assert len(lines) == 11 and lines[2].split() == ["case", "scan", "one", "other", "difference"]
    assert pd.read_csv(table).columns.tolist() == lines[2].split() and len(pd.read_csv(table)) == 8
    out = workspace / "out.csv"
    assert run("submit", "solo", "--out", str(out), "--jobs", "1", "--device", "cpu").endswith(f"{out}\n")
    assert out.read_text().startswith("id,class,predicted\ncase2_day0_slice_0001,left,")
    words = run("bundle", "solo", "--no-wheels", "--out", str(workspace / "dist"), "--jobs", "1", "--device", "cpu")
    assert re.search(r"^weights in float(16|32)[:,] .*on 8 held-out scans dice_case", words, re.MULTILINE)
    assert words.endswith(f"{workspace}/dist/solo/README.md says how it goes to Kaggle\n")
    noted = run("lb", "add", str(out), "--public", "0.5")  # by the record that submit wrote
    assert re.search(r"out\.csv: recipe \w{16}, .*, cross-fitted \d", noted)


def test_a_folder_is_begun_and_looked_at(workspace: Path, toy_paths: Paths) -> None:
    lines = run("init", str(toy_paths.raw("toy")), "--name", "fresh").splitlines()
    assert f"wrote {workspace}/configs/datasets/fresh.yaml" in lines
    assert lines[-1] == "next: ./run.sh look fresh, then ./run.sh fold0 fresh"
    again = run("init", str(toy_paths.raw("toy")), "--name", "fresh", code=1)
    assert again.startswith("ConfigError: ") and "is never overwritten" in again
    assert run("look", "fresh") == f"{workspace}/runs/fresh/look/case2_day0.png\n"
    assert run("look", "solo", "case7_day1", "--out", str(workspace / "a.png")) == f"{workspace}/a.png\n"
    assert "(did you mean 'case7_day1'?)" in run("look", "fresh", "case7_day12", code=1)


def test_what_a_user_can_mend_is_one_message(workspace: Path) -> None:
    assert re.search(r"^ConfigError: no config .*solos\.yaml \(did you mean 'solo'\?\)", run("tune", "solos", code=1))
    beyond = run("fold", "2", "solo", "--jobs", "1", code=1)
    assert "ConfigError: there is no fold 2: the table has folds 0 to 1" in beyond
    wrong = run("train", "solo", "--set", "train.learning_rate=1", code=1)
    assert "ConfigError: " in wrong and "train.learning_rate: unknown word" in wrong
    assert "Traceback" not in beyond + wrong
