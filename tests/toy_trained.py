"""An ensemble of one member of each kind, trained on the toy data set in seconds: what `bundle` starts from."""

from dataclasses import replace
from pathlib import Path

import yaml

import toy
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.tuning import recipe_path, tune_step
from casefold.recipe import GateRule, load_recipe, save_recipe
from toy_members import cls, seg3d, seg25d

MEMBERS = {
    "cls/toy_cls": cls(),
    "seg25d/toy_2d": seg25d(train={"epochs": 8, "batch_size": 8, "lr": 0.01}),
    "seg3d/toy_3d": seg3d(train={"epochs": 2, "lr": 0.01}),
}
ENSEMBLE = {
    "name": "mix",
    "dataset": "toy",
    "members": list(MEMBERS),
    "gate": {"members": ["toy_cls"], "levels": [1]},
    "tune": {"weight_steps": 2, "levels": [60, 100, 128, 160], "rungs": 2},
}


def tuned_project(root: Path) -> Project:
    """The ensemble `mix`, trained on two folds and tuned, with its roots below `root`.

    Its recipe is given a gate by toy_cls, and a second rung of toy_2d alone.
    """
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"))
    toy.write_config(paths.configs, folds={"kind": "case", "count": 2}, sample_submission="sample_submission.csv")
    configs = {name: as_plain(config) for name, config in MEMBERS.items()} | {"ensembles/mix": ENSEMBLE}
    for name, content in configs.items():
        path = paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    project = open_project(paths, "mix", jobs=1, device="cpu")
    whole = tune_step(project)[0].rung(0)
    gated = replace(whole, gate=GateRule(("toy_cls",), "presence", {"left": 90, "right": 1}), seconds_a_scan=0.5)
    alone = replace(whole, weights={"toy_2d": {"left": 1, "right": 1}}, seconds_a_scan=0.2)
    save_recipe(replace(load_recipe(recipe_path(project)), rungs=(gated, alone)), recipe_path(project))
    return project
