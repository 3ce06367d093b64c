"""tune from OOF to recipe: planted faults are named before anything is searched, and a killed search goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import toy
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.core import DataError, LeakError
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.pipeline.tuning import honest_path, recipe_path, tune_step
from casefold.recipe import load_rungs
from casefold.tune.memory import Memory
from toy_external import change, external, his, write_mate

Maps = NDArray[np.float16]
TESTS = Path(__file__).resolve().parents[1]
ENSEMBLE = {
    "name": "pair",
    "dataset": "toy",
    "members": ["external/good", "external/mate"],
    "tune": {"levels": [60, 100, 200], "peaks": [], "averages": ["probabilities"], "weight_steps": 1, "rungs": 1},
}
KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from casefold.tune.memory import Memory
from casefold.pipeline.tuning import tune_step
from test_tuning import opened

fill = Memory.fill
def killed(self, keys, count):
    fill(self, keys, count)
    if len(list(Path(sys.argv[2]).rglob("counts/*.npy"))) >= 20:
        os.kill(os.getpid(), signal.SIGKILL)
Memory.fill = killed
tune_step(opened(Path(sys.argv[2])))
"""


def opened(root: Path) -> Project:
    """The project below a folder."""
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    return open_project(paths, "pair", jobs=1, device="cpu")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two members made elsewhere, both right."""
    paths = Paths(*(tmp_path / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"))
    toy.write_config(paths.configs)
    members = {f"external/{name}": as_plain(external(name=name, root=name)) for name in ("good", "mate")}
    for name, content in {**members, "ensembles/pair": ENSEMBLE}.items():
        path = paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    project = opened(tmp_path)
    store = prepare_step(project)
    for name in ("good", "mate"):
        write_mate(paths.data / name, store, folds_step(project, store))
    return project


def spoil(project: Project, by: Callable[[Maps], Maps]) -> None:
    """Change the mate's maps, (class, z, y, x), of every scan."""
    store = project.store()
    for name in store.labelled():
        np.savez(project.paths.data / "mate" / f"{name}.npz", maps=by(his(store.scan(name))))


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (lambda maps: maps[:, :, :, ::-1], r"mate: axis x is flipped"),
        (lambda maps: np.roll(maps, 1, axis=1), r"mate: shifted by \+1 slice along z"),
        (lambda maps: maps[::-1], r"mate: the classes left and right are swapped"),
    ],
)
def test_a_fault_in_a_members_maps_is_named_before_the_search(
    by: Callable[[Maps], Maps], words: str, project: Project
) -> None:
    spoil(project, by)
    with pytest.raises(DataError, match=rf"do not fit their scans:\n  {words}"):
        tune_step(project)
    assert not recipe_path(project).exists()
    assert not list(project.out.rglob("*.npy"))


def test_a_member_of_another_fold_is_named(project: Project) -> None:
    def other_fold(manifest: dict[str, Any]) -> None:
        manifest["oof"][0]["fold"] = (manifest["oof"][0]["fold"] + 1) % 3

    change(project.paths.data / "mate", other_fold)
    with pytest.raises(
        LeakError, match=r"mate.*scan case2_day0 was predicted by fold 0, but the fold table holds it back in 2"
    ):
        tune_step(project)
    assert not recipe_path(project).exists()


def test_a_killed_search_goes_on_to_the_same_recipe(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    path = os.pathsep.join([str(TESTS), *sys.path])
    killed = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    kept = {file.name: file.stat().st_mtime_ns for file in project.out.rglob("counts/*.npy")}
    assert len(kept) >= 20 and not recipe_path(project).exists()

    counted: list[Any] = []
    fill = Memory.fill

    def noting(self: Memory, keys: Any, count: Any) -> None:
        def noted(missing: Any) -> Any:
            counted.extend(missing)
            return count(missing)

        fill(self, keys, noted)

    monkeypatch.setattr(Memory, "fill", noting)
    recipe, scores = tune_step(project)
    after = {file.name: file.stat().st_mtime_ns for file in project.out.rglob("counts/*.npy")}
    assert kept.items() <= after.items() and len(after) == len(kept) + len(counted)

    (project.out / "recipe.yaml").unlink()
    for file in project.out.rglob("counts/*.npy"):
        file.unlink()
    again, other = tune_step(project)
    assert again == recipe
    assert other.equals(scores)


def test_each_cases_own_rung_is_kept(project: Project) -> None:
    recipe, _ = tune_step(project)
    rungs = load_rungs(honest_path(project))
    assert sorted(rungs) == ["case10", "case11", "case2", "case20", "case31", "case7"]
    # 100 alone takes `right`, which has 128, without what lies around it, which has 64, whatever case is left out
    assert {rung.levels["right"] for rung in rungs.values()} == {100} == {recipe.rungs[0].levels["right"]}
    honest_path(project).write_text("{")
    with pytest.raises(DataError, match=r"cross_fitted\.json holds no rungs by case; remove it and run `tune` again"):
        load_rungs(honest_path(project))
