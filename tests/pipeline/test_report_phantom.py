"""The phantom's page through the whole pipeline, from members so small that they train in seconds; the notebooks."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml

from browser import drive
from casefold.config.experiments import Experiment, as_plain
from casefold.config.load import read_yaml
from casefold.config.paths import Paths
from casefold.pipeline.project import open_project
from casefold.pipeline.reporting import report_step
from casefold.report.content import Content
from toy_members import cls, seg3d, seg25d

STEPS = """
  const max = Number(part("slice").max);
  const other = told.start.slice < max ? told.start.slice + 1 : told.start.slice - 1;
  told.slid = await after(() => choose("slice", other, "input"));
  told.back = await after(() => choose("slice", told.start.slice, "input"));
  told.members = [];
  for (const option of part("source").options) {
    told.members.push(await after(() => choose("source", option.value, "change")));
  }
  told.ensemble = await after(() => choose("source", "ensemble", "change"));
  told.classes = [];
  for (const tick of box.querySelectorAll(".viewer-class")) {
    told.classes.push(await after(() => tick.click()));
    told.classesBack = await after(() => tick.click());
  }
  told.scans = part("scan").options.length;
  told.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
"""
HERE = Path(__file__).resolve().parents[2]
TRAIN = {"lr": 0.01, "epochs": 2}
MEMBERS: dict[str, Experiment] = {
    "cls/toy_cls": cls(train=TRAIN),
    "seg25d/toy_2d": seg25d(train=TRAIN),
    "seg3d/toy_3d": seg3d(train=TRAIN, data={"patch": (8, 48, 48)}),
}
DEMO: dict[str, Any] = {
    "name": "demo",
    "dataset": "demo",
    "members": list(MEMBERS),
    "gate": {"members": ["toy_cls"], "levels": [0, 64]},
    "tune": {"levels": [40, 90, 140], "weight_steps": 1, "objective": "uw_score", "peaks": [], "rungs": 1},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, Path, Content]:
    root = tmp_path_factory.mktemp("phantom")
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    dataset = {**read_yaml(HERE / "configs/datasets/demo.yaml"), "cases": 4, "test_cases": 1}
    dataset |= {"drop_scans": [], "dropped_slices": None}
    contents = {"datasets/demo": {name: value for name, value in dataset.items() if value is not None}}
    contents |= {"ensembles/demo": DEMO, **{name: as_plain(config) for name, config in MEMBERS.items()}}
    for name, content in contents.items():
        path = paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return paths, *report_step(open_project(paths, "demo", jobs=1, device="cpu"))


@pytest.mark.long
def test_the_phantoms_page_has_every_part(made: tuple[Paths, Path, Content]) -> None:
    _, path, content = made
    text = path.read_text(encoding="utf-8")
    sections = ["score", "scores", "lost", "viewer", "thresholds", "members", "suspects", "picks"]
    assert [name for name in sections if f'<section id="{name}">' not in text] == []
    assert len(text.encode()) < 25_000_000
    table = pd.read_csv(path.parent / "scores.csv").set_index("what")
    assert content.headline.cross_fitted.value == pytest.approx(table.loc["recipe", "cross_fitted"], abs=1e-9)
    names = ["dice_slice", "dice_case", "uw_score", "uw_distance"]
    wanted = table.loc["recipe, cross-fitted", names].tolist()
    assert content.scores.ways.iloc[0][names].tolist() == pytest.approx(wanted, abs=1e-9)
    assert set(content.curves.gate["class"]) == set(content.classes)
    assert content.members.training.groupby(["member", "fold"]).size().tolist() == [2] * 6
    assert content.members.gaps["training"].between(0, 1).all() and len(content.members.gaps) == 6
    assert content.members.costs["disk_mb"].min() > 0 and content.members.costs["per_scan_s"].notna().all()
    shares = content.members.fields.set_index("member")["share"]
    assert shares["toy_2d"] == pytest.approx(shares["toy_cls"]) and 0 < shares["toy_2d"] < shares["toy_3d"] < 1


@pytest.mark.long
def test_the_phantoms_page_can_be_driven_in_a_browser(made: tuple[Paths, Path, Content], tmp_path: Path) -> None:
    told = drive(made[1].read_text(encoding="utf-8"), STEPS, tmp_path / "page.html")
    assert (told["faults"], told["console"], told["wide"]) == ([], [], 0)
    start = told["start"]
    assert abs(told["slid"]["slice"] - start["slice"]) == 1 and told["slid"]["pixels"] != start["pixels"]
    assert told["back"] == start
    assert [one["source"] for one in told["members"]] == ["ensemble", "toy_2d", "toy_3d"]
    assert len({one["pixels"] for one in told["members"]}) > 1
    assert told["ensemble"] == start
    assert len(told["classes"]) == 3 and any(one["pixels"] != start["pixels"] for one in told["classes"])
    assert told["classesBack"] == start
    assert told["scans"] == len(made[2].viewer)


@pytest.mark.long
@pytest.mark.parametrize("name", ["01_look", "02_oof_dice"])
def test_a_notebook_runs_and_is_saved_without_outputs(
    name: str, made: tuple[Paths, Path, Content], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for root, path in zip(("DATA", "STORE", "RUNS", "CONFIGS", "FOLDS"), vars(made[0]).values(), strict=True):
        monkeypatch.setenv(f"CASEFOLD_{root}", str(path))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(Image=Path))  # Jupyter's, which is not needed
    monkeypatch.chdir(tmp_path)
    cells = json.loads((HERE / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    codes = [one for one in cells if one["cell_type"] == "code"]
    assert codes and all(one["outputs"] == [] and one["execution_count"] is None for one in codes)
    known: dict[str, Any] = {}
    for number, one in enumerate(codes):
        exec(compile("".join(one["source"]), f"{name} cell {number}", "exec"), known)
    assert os.listdir(tmp_path) == (["look.png"] if name == "01_look" else [])
