"""run.sh: its verbs, and when it sets up its environment; Python itself is played by a script that notes its words."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
STEPS = [
    *"demo init look check prepare folds train full runs augment oof report tune compare submit score".split(),
    *"bundle compress study pseudo twins lb diff vote".split(),
]
VERBS = [*STEPS, "test", "help", "fold0"]
ROOTS = ("DATA", "STORE", "RUNS", "CONFIGS", "FOLDS")

# `-P -c`: which environment is active; `-P -`: the set-up; anything else is the step itself.
PYTHON = """#!/usr/bin/env bash
case "$1 ${2:-}" in
"-P -c") printf '%s\\n' "$ACTIVE" "$0" ;;
"-P -") cat >/dev/null; echo "set up" >>"$ACTIVE/log"; exit "${SETUP_STATUS:-0}" ;;
"-c import pip") ;;
*) echo "$*"; env | grep ^CASEFOLD_ | sort; pwd ;;
esac
"""


def run(script: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CASEFOLD_", "VIRTUAL_ENV", "CONDA_"))
    }
    return subprocess.run(
        [script, *words], cwd=script.parents[1], env={**kept, **environment}, capture_output=True, text=True
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with run.sh in it and an active environment beside it, whose Python is PYTHON."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("run.sh", "requirements.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    python = tmp_path / "active" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def step(checkout: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    active = checkout.parent / "active"
    path = f"{active / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return run(checkout / "run.sh", *words, ACTIVE=str(active), PATH=path, **environment)


@pytest.mark.parametrize("words", [["help"], [], ["--help"]])
def test_help_names_every_verb_with_an_example(words: list[str]) -> None:
    done = run(REPOSITORY / "run.sh", *words)
    assert done.returncode == 0
    assert [verb for verb in VERBS if f"  ./run.sh {verb}" not in done.stdout] == []


@pytest.mark.parametrize("verb", ["subimt", "fold", "foldx", "fold-1", "../oof"])
def test_an_unknown_verb_is_named_and_the_known_are_listed(verb: str) -> None:
    done = run(REPOSITORY / "run.sh", verb, "lgg")
    assert done.returncode == 2
    assert f"unknown verb '{verb}'" in done.stderr
    assert [known for known in VERBS if known not in done.stderr] == []


@pytest.mark.parametrize("verb", STEPS)
def test_a_step_is_the_command_of_the_same_name(checkout: Path, verb: str) -> None:
    done = step(checkout, verb, "lgg", "--set", "train.note=two words")
    assert done.stdout.splitlines()[0] == f"-P -m casefold.cli {verb} lgg --set train.note=two words"


@pytest.mark.parametrize("number", [0, 4, 12])
def test_a_fold_is_passed_on_by_number(checkout: Path, number: int) -> None:
    assert step(checkout, f"fold{number}", "lgg").stdout.splitlines()[0] == f"-P -m casefold.cli fold {number} lgg"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], ["-m pytest -n 2 --dist loadfile"]),
        (["--all"], ["-m pytest -n 2 --dist loadfile", "-m pytest -m long"]),
        (["-k", "rle"], ["-m pytest -k rle"]),
        (["--all", "tests/test_rle.py"], ["-m pytest -m  tests/test_rle.py"]),
    ],
)
def test_tests_run_in_two_processes_and_the_long_ones_after_them(
    checkout: Path, words: list[str], wanted: list[str]
) -> None:
    lines = [line for line in step(checkout, "test", *words).stdout.splitlines() if line.startswith("-m")]
    assert lines == ["-m ruff check .", "-m mypy", *wanted]


def test_roots_lie_beside_run_sh_and_the_caller_stays_where_he_is(checkout: Path) -> None:
    lines = step(checkout, "score", "lgg", CASEFOLD_DATA="elsewhere").stdout.splitlines()
    roots = dict(line.split("=") for line in lines[1:-1])
    wanted = {f"CASEFOLD_{root}": str(checkout / root.lower()) for root in ROOTS}
    assert roots == {**wanted, "CASEFOLD_DATA": "elsewhere"}
    assert lines[-1] == str(checkout.parent)


def test_set_up_happens_once_and_again_when_requirements_change(checkout: Path) -> None:
    log = checkout.parent / "active" / "log"
    step(checkout, "oof", "lgg")
    step(checkout, "oof", "lgg")
    assert log.read_text() == "set up\n"
    with (checkout / "requirements.txt").open("a") as stream:
        stream.write("more\n")
    step(checkout, "oof", "lgg")
    assert log.read_text() == "set up\n" * 2


def test_an_interrupted_set_up_stops_the_step_and_is_done_again(checkout: Path) -> None:
    done = step(checkout, "oof", "lgg", SETUP_STATUS="130")
    assert (done.returncode, done.stdout) == (130, "")
    assert step(checkout, "oof", "lgg").returncode == 0
    assert (checkout.parent / "active" / "log").read_text() == "set up\n" * 2


def test_a_second_opencv_that_has_to_stay_does_not_stop_the_step(checkout: Path) -> None:
    assert step(checkout, "oof", "lgg", SETUP_STATUS="3").returncode == 0
    assert not (checkout.parent / "active" / "share" / "casefold.stamp").exists()


def test_without_a_python_of_3_11_the_error_says_so(checkout: Path) -> None:
    bare = checkout.parent / "bare"
    bare.mkdir()
    for tool in ("bash", "cat", "cksum", "dirname", "env", "mkdir"):
        (bare / tool).symlink_to(shutil.which(tool) or tool)
    done = run(checkout / "run.sh", "oof", "lgg", PATH=str(bare))
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
