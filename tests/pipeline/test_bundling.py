"""bundle and submit: what they leave, that both predict the same, and when another way to compute is taken."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casefold.config.external import External
from casefold.core import ConfigError, DataError
from casefold.infer import infer, load_ensemble_models
from casefold.models import engines
from casefold.models.weights import load_weights
from casefold.pipeline import bundling, shifting
from casefold.pipeline.bundling import Options, bundle_step
from casefold.pipeline.project import Project
from casefold.pipeline.shifting import Shift, shift
from casefold.pipeline.submitting import submit_step
from casefold.pipeline.tuning import recipe_path
from casefold.predict import Member, load_member
from casefold.recipe import load_recipe
from casefold.rerun.opened import open_bundle
from toy_trained import tuned_project

PLAIN = Options(python=None, half=False)
RUNS = [f"models/{member}/fold{fold}" for member in ("toy_2d", "toy_3d", "toy_cls") for fold in (0, 1)]
FILES = [
    "checksums.txt", "dataset-metadata.json", "dataset.yaml", "kaggle.ipynb", "kernel-metadata.json", "README.md",
    "recipe.yaml", *(f"{run}/{name}" for run in RUNS for name in ("config.yaml", "weights.safetensors")),
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return tuned_project(tmp_path_factory.mktemp("bundling"))


def load(project: Project, name: str, fold: int) -> Member:
    return load_member([project.run(name, str(fold))], torch.device("cpu"))


def shut(member: Member) -> Member:
    """The same member, which sees nothing anywhere."""
    for net in member.nets:
        with torch.no_grad():
            for value in net.state_dict().values():
                value.zero_()
    return member


def test_a_bundle_has_all_that_predicting_needs_and_predicts_the_same(project: Project, tmp_path: Path) -> None:
    folder, lines = bundle_step(project, tmp_path, PLAIN)
    assert folder == tmp_path / "mix"
    assert [path.name for path in tmp_path.iterdir()] == ["mix"]
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == sorted(FILES)
    assert lines[:2] == ["weights in float32, as asked", "no wheels"]
    assert re.fullmatch(r"3 members, 6 models, \d+\.\d MB in all", lines[2])
    assert re.match(
        r"50 cases as these: \d\.\d\d hours on this machine's cpu, in one process \(.* of 8 slices\)", lines[3]
    )
    opened, recipe = open_bundle(folder), load_recipe(recipe_path(project))
    assert (opened.recipe, opened.dataset) == (recipe, project.dataset)
    assert len(opened.recipe.rungs) == 2
    scan = project.store().scan("case2_day0")
    runs = {name: [project.run(name, fold) for fold in "01"] for name in recipe.members}
    for rung in (0, 1):
        masks, wanted = (
            infer(load_ensemble_models(recipe, given, "cpu"), scan, rung=rung).masks for given in (opened.runs, runs)
        )
        assert masks.any()
        assert (masks == wanted).all()


def test_another_bundle_takes_the_place_of_the_first_but_nothing_else_does(project: Project, tmp_path: Path) -> None:
    folder, _ = bundle_step(project, tmp_path, PLAIN)
    (folder / "models" / "stale").mkdir()
    bundle_step(project, tmp_path, replace(PLAIN, owner="me"))
    assert not (folder / "models" / "stale").exists()
    assert json.loads((folder / "kernel-metadata.json").read_text())["competition_sources"] == ["toy"]
    assert json.loads((folder / "dataset-metadata.json").read_text())["id"] == "me/casefold-mix"
    (folder / "checksums.txt").unlink()
    with pytest.raises(DataError, match="mix is there and is no bundle"):
        bundle_step(project, tmp_path, PLAIN)
    assert (folder / "recipe.yaml").is_file()


def test_the_same_weights_move_nothing_and_every_gate_is_asked(project: Project) -> None:
    recipe = load_recipe(recipe_path(project))
    found = shift(project, recipe, lambda name, fold: load(project, name, fold), None)
    assert (found.scans, found.move, found.flips, found.maps) == (8, 0.0, 0, 0)
    assert found.decisions == 62 * 2  # the slices of the toy scans, two classes, one rung with a gate
    assert found.objective == "dice_case"
    assert found.score == pytest.approx(recipe.rung(1).score, abs=0.2)
    assert found.is_harmless


def test_fewer_scans_are_spread_over_all(project: Project) -> None:
    recipe = load_recipe(recipe_path(project))
    found = shift(project, recipe, lambda name, fold: load(project, name, fold), 3)
    assert (found.scans, found.decisions) == (3, 2 * (8 + 8 + 8))  # the first, the fourth or fifth, the last


def test_a_member_that_sees_nothing_moves_the_score_and_the_gates(project: Project) -> None:
    recipe = load_recipe(recipe_path(project))
    found = shift(project, recipe, lambda name, fold: shut(load(project, name, fold)), None)
    assert found.move > 0.1
    assert found.maps > 100
    assert not found.is_harmless


@pytest.mark.parametrize(
    ("move", "flips", "harmless"), [(0.0, 0, True), (0.00049, 0, True), (0.0005, 0, False), (0.0, 1, False)]
)
def test_what_is_harmless(move: float, flips: int, harmless: bool) -> None:
    assert Shift(8, "dice_case", 0.7, move, flips, 100, 1).is_harmless == harmless


def test_weights_are_halved_where_that_is_harmless_and_it_is_measured_once(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def harmless(*words: object) -> Shift:
        calls.append(words)
        return Shift(8, "dice_case", 0.7, 0.0001, 0, 124, 1)

    monkeypatch.setattr(shifting, "shift", harmless)
    whole, _ = bundle_step(project, tmp_path / "whole", PLAIN)
    for name in ("one", "two"):
        folder, lines = bundle_step(project, tmp_path / name, replace(PLAIN, half=True))
        assert lines[0] == (
            "weights in float16: on 8 held-out scans dice_case 0.7000 moves by 0.000100, "
            "0 of 124 gate decisions change, maps by 1 of 255 at most"
        )
        sizes = [(f / "models/toy_2d/fold0/weights.safetensors").stat().st_size for f in (folder, whole)]
        assert sizes[0] < 0.6 * sizes[1]
    assert len(calls) == 1
    bundle_step(project, tmp_path / "one", replace(PLAIN, half=True, scans=2))
    assert len(calls) == 2


def test_weights_stay_whole_where_halving_moves_the_score(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "halve_member", shut)
    folder, lines = bundle_step(project, tmp_path, replace(PLAIN, half=True, scans=4))
    assert lines[0].startswith("weights in float32, for in float16 on 4 held-out scans dice_case ")
    name = "fold1/weights.safetensors"
    assert (folder / "models/toy_2d" / name).read_bytes() == (project.run("toy_2d", "1").parent / name).read_bytes()
    net = load(project, "toy_2d", 1).nets[0]
    assert load_weights(net, folder / "models/toy_2d" / name)[0].fold == "1"


def test_a_member_made_by_other_code_is_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "current_recipe", lambda _project: None)
    mate = replace(project, members=project.members | {"toy_3d": External(kind="external", name="toy_3d", root="m")})
    with pytest.raises(ConfigError, match=r"\['toy_3d'\] were made by other code, which no bundle can run"):
        bundle_step(mate, tmp_path, PLAIN)
    assert not (tmp_path / "mix").exists()


def engine(gain: float) -> Callable[[nn.Module, Tensor, str], engines.Call]:
    """An engine that runs the network as it is, and multiplies its logits."""

    def convert(net: nn.Module, example: Tensor, precision: str) -> engines.Call:
        def call(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            return [gain * output.numpy() for output in net(torch.from_numpy(image))]

        return call

    return convert


def test_an_engine_that_says_the_same_submits_the_same(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engines.ENGINES, "same", engine(1.0))
    scans = project.raw / "train"
    plain = submit_step(project, scans, tmp_path / "torch.csv", None).read_text()
    assert submit_step(project, scans, tmp_path / "same.csv", None, engine="same").read_text() == plain


def test_an_engine_that_changes_what_counts_is_refused_before_anything_is_written(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engines.ENGINES, "wrong", engine(-1.0))
    with pytest.raises(ConfigError, match=r"the engine wrong changes what counts: on 8 held-out scans dice_case"):
        submit_step(project, project.raw / "train", tmp_path / "wrong.csv", None, engine="wrong")
    assert not (tmp_path / "wrong.csv").exists()
