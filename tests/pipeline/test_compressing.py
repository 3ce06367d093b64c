"""compress: a table of smaller forms, each predicted with; the narrowed one can be kept as a run of its own."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from typer.testing import CliRunner

import toy
from casefold.cli import app
from casefold.config.experiments import as_plain
from casefold.config.load import read_yaml
from casefold.config.paths import Paths
from casefold.core import HALF, ConfigError
from casefold.models.build import Outputs, PaddedNet
from casefold.models.weights import read_info
from casefold.oof import join, read_prediction
from casefold.pipeline import compressing, smaller
from casefold.pipeline.compressing import compress_step, keep_step
from casefold.pipeline.evaluation import Tally
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.training import train_step
from toy_members import cls, padded, seg3d

MEMBERS: dict[str, Any] = {"seg3d/toy_3d": seg3d(train={"epochs": 4, "lr": 0.03}), "cls/toy_cls": cls()}


def write(paths: Paths, name: str, content: dict[str, Any]) -> None:
    path = paths.configs / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An ensemble of a 3D member, trained on fold 0 by the first that asks, and a classifier."""
    root = tmp_path_factory.mktemp("compress")
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"))
    toy.write_config(paths.configs, folds={"kind": "case", "count": 2})
    for name, config in MEMBERS.items():
        write(paths, name, as_plain(config))
    write(paths, "ensembles/mix", {"name": "mix", "dataset": "toy", "members": list(MEMBERS)})
    return open_project(paths, "mix", jobs=1, device="cpu")


class Nothing(nn.Module):
    """A net that sees neither class anywhere."""

    def forward(self, image: Tensor) -> Outputs:
        return {"maps": torch.full((len(image), 2, *image.shape[2:]), -9.0)}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured in this process, which is quicker."""
    monkeypatch.setattr(compressing, "_measured_alone", lambda *words: compressing.measure(*words))


def test_each_form_is_made_and_predicted_with(project: Project, here: None) -> None:
    table = compress_step(project, "toy_3d", 0, [0.5], ["global", "pair", "structured", "half"])
    # 1620 weights of convolutions, of which 648 give maps of the full size, 108 + 864 of half of it; 16 other numbers
    assert table[["way", "level", "amount", "parameters", "nonzero"]].to_numpy().tolist() == [
        ["as trained", "all", 0.0, 1636, 1636],
        ["global", "all", 0.5, 1636, 826],
        ["pair", "4 x 16 x 16", 0.5, 1636, 1312],
        ["pair", "2 x 8 x 8", 0.5, 1636, 1150],
        ["structured", "all", 0.5, 604, 604],
        ["half", "all", 0.0, 1636, 1636],
    ]
    by_way = table.groupby("way")[["mb", "gzip_mb"]].first()
    assert by_way.loc["global", "mb"] == by_way.loc["as trained", "mb"]
    assert by_way.loc["global", "gzip_mb"] < 0.8 * by_way.loc["as trained", "gzip_mb"]
    assert by_way.loc["structured", "mb"] == pytest.approx(
        by_way.loc["as trained", "mb"] - 4 * (1636 - 604) / 1e6, abs=1e-4
    )
    assert by_way.loc["half", "mb"] == pytest.approx(by_way.loc["as trained", "mb"] - 2 * 1620 / 1e6, abs=1e-4)
    assert (table["ms_a_scan"] > 0).all()
    assert list(table["saves"].str.partition(":")[0])[:3] == ["", "on paper", "on paper"]


def test_dice_is_that_of_the_held_out_predictions(project: Project, here: None) -> None:
    table = compress_step(project, "toy_3d", 0, [], ["half"])
    store = project.store()
    tally = Tally(store.classes)
    for name, path in join(project.run("toy_3d", "0").parent, project.table(store), store, [0]).items():
        maps = read_prediction(path).maps
        assert maps is not None
        tally.add(store.scan(name), maps >= HALF)
    expected = tally.row()
    assert expected["dice_case"] > 0.05
    assert table.loc[0, ["dice_case", "dice left", "dice right"]].tolist() == [
        expected["dice_case"], expected["dice left"], expected["dice right"],
    ]  # fmt: skip
    assert table["dice_case"][1] == pytest.approx(expected["dice_case"], abs=0.01)


def test_what_was_measured_is_not_measured_again(project: Project, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compress_step(project, "toy_3d", 0, [0.25], ["global"])
    calls: list[Path] = []
    real = compressing.measure
    monkeypatch.setattr(compressing, "measure", lambda run, *words: (calls.append(run), real(run, *words))[1])
    again = compress_step(project, "toy_3d", 0, [0.25, 0.75], ["global"])
    assert len(calls) == 1
    assert again["amount"].tolist() == [0.0, 0.25, 0.75]
    assert again.loc[:1, ["ms_a_scan", "dice_case"]].equals(first[["ms_a_scan", "dice_case"]])
    assert list(project.run("toy_3d", "0").parents[1].glob(".compress_*")) == []


def test_a_process_of_its_own_measures(project: Project) -> None:
    run = project.run("toy_3d", "0")
    train_step(project, ["0"], ["toy_3d"])
    found = compressing._measured_alone(run, project.store().root, ["case2_day0"])
    assert {*found} == {"ms_a_scan", "peak_mb", "dice_case", "dice left", "dice right"}
    assert 50 < found["peak_mb"] < 4000


def test_the_narrowed_net_is_a_run_of_its_own(project: Project, here: None) -> None:
    kept = keep_step(project, "toy_3d", 0, 0.5, "toy_slim")
    assert kept == project.run("toy_slim", "0")
    info, origin = (
        read_info(kept / "weights.safetensors"),
        read_info(project.run("toy_3d", "0") / "weights.safetensors"),
    )
    assert (info.member, info.fold, info.seen_cases) == ("toy_slim", "0", origin.seen_cases)
    assert read_yaml(kept / "config.yaml")["model"]["channels"] == [2, 4]
    assert json.loads((kept / "manifest.json").read_text())["narrowed"]["member"] == "toy_3d"
    store = project.store()
    held = project.table(store).split(store, 0)[1]
    assert list(join(kept.parent, project.table(store), store, [0])) == held
    write(project.paths, "seg3d/toy_slim", {k: v for k, v in read_yaml(kept / "config.yaml").items() if k != "schema"})
    write(project.paths, "ensembles/slim", {"name": "slim", "dataset": "toy", "members": ["seg3d/toy_slim"]})
    slim = open_project(project.paths, "slim", jobs=1, device="cpu")
    manifest = train_step(slim, ["0"])["seg3d/toy_slim 0"]  # it counts as trained
    assert manifest["weights_hash"] == json.loads((kept / "manifest.json").read_text())["weights_hash"]
    with pytest.raises(ConfigError, match=r"fold0 is there already; take another name, or move it away"):
        keep_step(project, "toy_3d", 0, 0.5, "toy_slim")


def test_of_onnx_the_exported_file_is_measured(project: Project, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def export(net: Any, config: Any, modalities: int, path: Path) -> None:
        path.write_bytes(bytes(2500))

    def nothing(path: Path, multiple: tuple[int, ...]) -> PaddedNet:
        assert (path.stat().st_size, multiple) == (2500, (2, 2, 2))
        return padded(Nothing(), 3)

    monkeypatch.setattr(smaller, "check_packages", lambda engine: None)
    monkeypatch.setattr(smaller, "export_onnx", export)
    monkeypatch.setattr(compressing, "open_onnx", nothing)
    table = compress_step(project, "toy_3d", 0, [], ["onnx", "half"])
    assert table[["way", "mb", "parameters"]].to_numpy().tolist()[1] == ["onnx", 0.0025, 1636]
    assert table["dice_case"][1] == 0 < table["dice_case"][2]


def test_the_verb_prints_table_savings_and_run(project: Project, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "store", "runs", "configs", "folds"):
        monkeypatch.setenv(f"CASEFOLD_{name.upper()}", str(getattr(project.paths, name)))

    def run(*words: str) -> str:
        return CliRunner().invoke(app, ["compress", "mix", "--member", "toy_3d", "--jobs", "1", *words]).output

    lines = run("--amounts", "0.5", "--way", "global", "--way", "structured", "--keep", "slim2").splitlines()
    words = "way amount level parameters nonzero mb gzip_mb ms_a_scan peak_mb dice_case dice left dice right"
    assert [" ".join(lines[-7].split()), lines[-5].split()[:5], lines[-3:]] == [
        words,
        ["global", "0.5000", "all", "1636", "826"],
        [
            "global saves on paper: the compressed file alone; zeros are kept and multiplied like other numbers",
            "structured saves file, time and memory: the net is narrower",
            str(project.run("slim2", "0")),
        ],
    ]
    assert "--keep saves one net: give one share, --amounts 0.5, not 5" in run("--keep", "slim3")
    assert "--amounts takes shares parted by commas, 0.2,0.5, not 'half'" in run("--amounts", "half")


@pytest.mark.parametrize(
    ("member", "amounts", "ways", "message"),
    [
        ("toy_cls", [0.5], [], r"toy_cls is no network of ours with maps, .*; take one of \['toy_3d'\]"),
        ("toy_3D", [0.5], [], r"no member toy_3D \(did you mean 'toy_3d'\?\)"),
        ("toy_3d", [0.5, 1.0], [], "amounts are shares between 0 and 1, not 1"),
        ("toy_3d", [0.5], ["halve"], r"no way 'halve' to compress \(did you mean 'half'\?\); known: global, pair"),
        ("toy_3d", [0.5], ["onnx"], "the engine onnx needs the package onnxruntime, which can't be imported"),
    ],
)
def test_what_can_not_be_is_refused(
    project: Project, member: str, amounts: list[float], ways: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=message):
        compress_step(project, member, 0, amounts, ways)


def test_without_a_choice_what_can_not_be_is_left_out_and_said(
    project: Project, here: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with caplog.at_level(logging.INFO):
        table = compress_step(project, "toy_3d", 0, [])
    assert table["way"].tolist() == ["as trained", "half"]
    assert any(line.startswith("onnx is left out: the engine onnx needs") for line in caplog.messages)
