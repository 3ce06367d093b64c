"""The shape of the house: who may import whom, how big a room is, and what stands without trainer and plotting."""

import ast
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "casefold"
# A room may import from itself and from those before it. A package is one room.
ROOMS = (
    "core files processes config rle filters readers intensity store views prepare folds data models losses metrics "
    "detect predict oof train postprocess recipe ensemble infer tune submission rerun voting starter check leaderboard "
    "analysis report bundle pipeline cli_open cli_training cli_report cli_submission cli"
).split()
NOTEBOOK = (
    "core processes config rle readers store views data models detect predict postprocess recipe ensemble infer "
    "submission rerun"
).split()
BLOCKED = (
    "casefold.train casefold.report casefold.pipeline casefold.tune "
    "lightning_fabric lightning pytorch_lightning tensorboard wandb matplotlib tqdm"
).split()
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def room_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def imported_rooms(path: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and room of every import from casefold, those inside functions and under TYPE_CHECKING too."""
    package = ".".join(("casefold", *Path(path).parts[:-1]))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            if parts[0] == "casefold" and len(parts) > 1 and not parts[1].startswith("__"):
                yield node.lineno, parts[1]


def backward_arrows(path: str, source: str) -> list[str]:
    room = room_of(path)
    faults = []
    for line, other in imported_rooms(path, source):
        if other not in ROOMS:
            faults.append(f"{path}:{line} imports the unknown room {other}")
        elif room == "__init__" or ROOMS.index(other) > ROOMS.index(room):
            faults.append(f"{path}:{line} backward arrow {room} -> {other}")
    return faults


@pytest.mark.parametrize("path", MODULES)
def test_imports_go_one_way(path: str) -> None:
    assert room_of(path) in [*ROOMS, "__init__"], f"{path}: a new room needs its place in ROOMS and in the README"
    assert backward_arrows(path, (PACKAGE / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("predict.py", "from casefold.train.loop import fit", "predict.py:1 backward arrow predict -> train"),
        ("oof.py", "def f():\n    from casefold import train", "oof.py:2 backward arrow oof -> train"),
        ("train/loop.py", "from ..cli import app", "train/loop.py:1 backward arrow train -> cli"),
        ("core.py", "import casefold.files", "core.py:1 backward arrow core -> files"),
        ("rle.py", "from casefold.attic import x", "rle.py:1 imports the unknown room attic"),
    ],
)
def test_a_backward_arrow_is_found(path: str, source: str, fault: str) -> None:
    assert backward_arrows(path, source) == [fault]


def test_a_forward_arrow_is_none() -> None:
    source = (
        "import torch\nfrom casefold import __version__, oof\nfrom .state import save\nfrom casefold.core import Scan"
    )
    assert backward_arrows("train/loop.py", source) == []


def test_modules_are_small() -> None:
    lines = {path: len((PACKAGE / path).read_text().splitlines()) for path in MODULES}
    assert {path: count for path, count in lines.items() if count > 350} == {}
    assert statistics.median(count for path, count in lines.items() if not path.endswith("__init__.py")) <= 130


def test_no_drawer_for_odds_and_ends() -> None:
    assert [path for path in MODULES if Path(path).stem in {"utils", "util", "helpers", "common", "misc"}] == []


def run_python(source: str, *words: str) -> None:
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", source, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Imports a module and, of a package, all below it.
IMPORT_WHOLE = """
import importlib, pkgutil, sys

def import_whole(name):
    module = importlib.import_module("casefold." + name)
    for below in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
        importlib.import_module(below.name)
"""

# torch and monai import tqdm and matplotlib for themselves, so only casefold's own imports are refused.
BLOCK = """
import builtins
from importlib.util import resolve_name

real, blocked = builtins.__import__, tuple(sys.argv[1].split())

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if importer.split(".")[0] == "casefold":
        whole = resolve_name("." * level + name, globals["__package__"])
        for wanted in (whole, *(f"{whole}.{item}" for item in fromlist or ())):
            if any(wanted == word or wanted.startswith(word + ".") for word in blocked):
                raise ImportError(f"{importer} imports {wanted}")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = guarded
"""


def test_the_notebook_needs_no_trainer_logger_or_plotting() -> None:
    check = """
for name in sys.argv[2:]:
    import_whole(name)
loaded = [word for word in blocked if word.startswith("casefold.") and word in sys.modules]
assert not loaded, loaded
"""
    run_python(IMPORT_WHOLE + BLOCK + check, " ".join(BLOCKED), *NOTEBOOK)


@pytest.mark.parametrize("word", ["casefold.core", "numpy"])
def test_the_block_holds(word: str) -> None:
    with pytest.raises(AssertionError, match=f"ImportError: casefold.* imports {word}"):
        run_python(IMPORT_WHOLE + BLOCK + "import_whole('store')", word)


def test_config_needs_neither_torch_nor_timm() -> None:
    run_python(IMPORT_WHOLE + "import_whole('config')\nassert not {'torch', 'timm'} & sys.modules.keys()")
