"""A truncation member from its training to a submission, and where it would be misread."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import toy
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.config.postprocess import Truncate
from casefold.core import ConfigError
from casefold.infer import infer, load_ensemble_models
from casefold.pipeline.evaluation import oof_step
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.submitting import submit_step
from casefold.pipeline.tuning import tune_step
from casefold.recipe import Recipe
from toy_members import cls, seg25d

CUT = {"name": "cut_off", "min_slices": 2}
MEMBERS = {
    "cls/toy_ends": cls(
        name="toy_ends", target=CUT, data={"window": (-2, -1, 0, 1, 2, 3)}, train={"epochs": 6, "lr": 0.01}
    ),
    "seg25d/toy_2d": seg25d(train={"epochs": 8, "batch_size": 8, "lr": 0.01}),
}
TRUNCATE = {"name": "truncate", "member": "toy_ends", "foot": "first"}
ENSEMBLE = {
    "name": "cut",
    "dataset": "toy",
    "members": list(MEMBERS),
    "tune": {"weight_steps": 1, "levels": [60, 100, 128], "peaks": [], "post": []},
    "post": [TRUNCATE],
}


def written(root: Path, **changes: Any) -> Project:
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_config(paths.configs, folds={"kind": "case", "count": 2})
    configs = {name: as_plain(config) for name, config in MEMBERS.items()} | {"ensembles/cut": ENSEMBLE | changes}
    for name, content in configs.items():
        path = paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return open_project(paths, "cut", jobs=1, device="cpu")


@dataclass(frozen=True)
class Line:
    """What training, tuning and submitting with a truncation member left."""

    project: Project
    oof: pd.DataFrame
    recipe: Recipe


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    root = tmp_path_factory.mktemp("cut")
    toy.write_raw(root / "data" / "toy")
    project = written(root)
    return Line(project, oof_step(project), tune_step(project)[0])


def test_it_is_scored_by_its_own_truth(line: Line) -> None:
    frame = line.oof.set_index(["member", "fold"])
    assert frame["cut_off_f1"].notna().tolist() == [False] * 3 + [True] * 3
    assert "presence_f1" not in frame
    manifest = yaml.safe_load((line.project.run("toy_ends", "0") / "manifest.json").read_text())
    assert list(manifest["score"]) == ["valid_f1"]


def test_the_recipe_reads_it_and_what_it_says_is_emptied(line: Line) -> None:
    """`left` begins on slice 1 and `right` on slice 3; at level 1 something is found of both before that, too."""
    rung = line.recipe.rung(0)
    assert rung.post == (Truncate(member="toy_ends", foot="first"),)
    assert rung.members == ["toy_2d", "toy_ends"]
    low = replace(line.recipe, rungs=(replace(rung, levels={"left": 1, "right": 1}, post=rung.post),))
    bare = replace(low, rungs=(replace(low.rungs[0], post=()),))
    runs = {name: [line.project.run(name, fold) for fold in "01"] for name in rung.members}
    scan = line.project.store().scan("case10_day3")
    found, whole = (infer(load_ensemble_models(recipe, runs, "cpu"), scan).masks for recipe in (low, bare))
    for index, first in enumerate((1, 3)):
        assert whole[index, :first].any()
        assert not found[index, :first].any()
        np.testing.assert_array_equal(found[index, first:], whole[index, first:])


def test_it_submits(line: Line, tmp_path: Path) -> None:
    toy.write_scan(tmp_path / "new", toy.ToyScan("case50_day1", slices=5))
    out = submit_step(line.project, tmp_path / "new", tmp_path / "submission.csv", None)
    assert len(pd.read_csv(out)) == 5 * len(toy.CLASSES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gate": {"members": ["toy_ends"]}}, "gate.members: toy_ends says where labels are cut off, .*: no gate"),
        ({"post": [TRUNCATE | {"foot": None}]}, "toy_ends, whose target is cut_off, wants foot: first, not null"),
        ({"post": [TRUNCATE | {"foot": "last"}]}, "toy_ends, whose target is cut_off, wants foot: first, not last"),
        ({"post": [TRUNCATE | {"member": "toy_2d"}]}, "toy_2d, whose target is presence, wants foot: null, not first"),
        (
            {"post": [TRUNCATE | {"member": "toy_end"}]},
            r"truncate by toy_end \(did you mean 'toy_ends'\?\), which",
        ),
    ],
)
def test_it_can_not_be_misread(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        written(tmp_path, **changes)
