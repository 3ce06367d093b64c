"""study: a table of every member on every share, gone on with where it stopped; each part in a process of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import toy
from casefold.cli import app
from casefold.config.experiments import Experiment, Seg25d, as_plain
from casefold.config.paths import Paths
from casefold.config.studies import Study, Unlike
from casefold.core import CasefoldError, LeakError, StaleError
from casefold.files import read_json
from casefold.models.weights import read_info
from casefold.oof import read_prediction
from casefold.pipeline import studying
from casefold.pipeline.alone import alone
from casefold.pipeline.studying import measured, study_step
from casefold.store import Store
from casefold.train.machine import peak_megabytes
from toy_members import seg3d, seg25d


def flat(name: str, window: tuple[int, ...], **model: Any) -> Seg25d:
    """A member over slices with a net of our own."""
    plain = {k: v for k, v in as_plain(seg25d(name=name, data={"window": window})).items() if k != "model"}
    return Seg25d.model_validate({**plain, "model": model})


DEEP = {"channels": (4, 8, 8), "strides": (2, 2), "deep_supervision": 1}
MEMBERS: dict[str, Experiment] = {
    "seg25d/toy_2d": flat("toy_2d", (0,), arch="capsules", types=(1, 1), dims=(4, 4), strides=(2,)),
    "seg25d/toy_25d": flat("toy_25d", (-1, 0, 1), arch="plain_unet", **DEEP),
    "seg3d/toy_3d": seg3d(train={"lr": 0.03}),
}
STUDY = {
    "name": "small", "dataset": "toy", "members": list(MEMBERS), "shares": [1.0, 0.5], "budget": {"steps": 4},
    "unlike": {"rotated_deg": [90], "flipped": ["z"]},
}  # fmt: skip


def here(threads: int, task: Callable[..., Any], *words: Any) -> Any:
    """In this process, which is quicker."""
    return task(*words)


def write(paths: Paths, name: str, content: dict[str, Any]) -> None:
    path = paths.configs / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """Roots with the toy data set, the members, and the study done."""
    root = tmp_path_factory.mktemp("study")
    made = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(made.raw("toy"))
    toy.write_config(made.configs)
    for name, config in MEMBERS.items():
        write(made, name, as_plain(config))
    write(made, "studies/small", STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studying, "alone", here)
        study_step(made, Study.model_validate(STUDY), device="cpu")
    return made


def folder(paths: Paths, share: str, member: str) -> Path:
    return paths.study("toy", "small") / share / "runs" / "toy" / "members" / member / "fold0"


def test_the_table_has_a_row_a_run_and_a_column_a_test(paths: Paths) -> None:
    table = pd.read_csv(paths.study("toy", "small") / "table.csv")
    assert table[["member", "net", "input", "share", "cases"]].to_numpy().tolist() == [
        ["toy_2d", "capsules", "2D", 1.0, 4],
        ["toy_25d", "plain_unet with deep supervision", "2.5D", 1.0, 4],
        ["toy_3d", "unet", "3D", 1.0, 4],
        ["toy_2d", "capsules", "2D", 0.5, 2],
        ["toy_25d", "plain_unet with deep supervision", "2.5D", 0.5, 2],
        ["toy_3d", "unet", "3D", 0.5, 2],
    ]
    assert list(table)[5:] == [
        "parameters", "epochs", "steps", "cpu_s", "train_peak_mb", "ms_a_scan", "peak_mb", "dice", "low", "high",
        "dice left", "dice right", "rotated 90", "rotated 90 left", "rotated 90 right", "flipped z", "flipped z left",
        "flipped z right",
    ]  # fmt: skip
    assert (table["low"] <= table["dice"]).all() and (table["dice"] <= table["high"]).all()
    assert (table[["train_peak_mb", "ms_a_scan", "peak_mb"]] > 0).all(axis=None)
    runs = [folder(paths, f"share{share:g}", name) for name, share in zip(table["member"], table["share"], strict=True)]
    assert table["cpu_s"].tolist() == [read_json(run / "manifest.json")["cpu_s"] for run in runs]
    assert cv2.imread(str(paths.study("toy", "small") / "figure.png")).shape == (900, 1300, 3)


def test_the_dice_is_that_of_the_oof_files(paths: Paths) -> None:
    row = pd.read_csv(paths.study("toy", "small") / "table.csv").set_index(["member", "share"]).loc[("toy_3d", 1.0)]
    store, both = Store(paths.store / "toy"), {}
    for path in (folder(paths, "share1", "toy_3d") / "oof").glob("*.npz"):
        maps, truth = read_prediction(path).maps, store.scan(path.stem).class_masks()
        assert maps is not None
        counts = [(2 * (t & (m >= 128)).sum(), t.sum() + (m >= 128).sum()) for t, m in zip(truth, maps, strict=True)]
        both.setdefault(store.case_of[path.stem], []).append(counts)
    cases = [np.array(scans).sum(axis=0) for scans in both.values()]
    assert row["dice"] == pytest.approx(np.mean([case[:, 0] / case[:, 1] for case in cases]))


def test_a_smaller_share_saw_some_of_the_same_cases(paths: Paths) -> None:
    seen = {
        share: set(read_info(folder(paths, share, "toy_3d") / "weights.safetensors").seen_cases)
        for share in ("share0.5", "share1")
    }
    assert len(seen["share0.5"]) == 2 and seen["share0.5"] < seen["share1"] and len(seen["share1"]) == 4


def test_what_is_done_is_not_done_again(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noted(threads: int, task: Callable[..., Any], *words: Any) -> Any:
        done.append(task.__name__)
        return here(threads, task, *words)

    monkeypatch.setattr(studying, "alone", noted)
    before = pd.read_csv(paths.study("toy", "small") / "table.csv")
    study = Study.model_validate(STUDY)
    assert np.allclose(study_step(paths, study, device="cpu")["ms_a_scan"], before["ms_a_scan"])
    assert done == []
    (folder(paths, "share1", "toy_3d") / "study.json").unlink()
    study_step(paths, study, device="cpu")
    assert done == ["measured"]
    less = study.model_copy(update={"unlike": Unlike(rotated_deg=(), flipped=("z",))})
    table = study_step(paths, less, device="cpu")
    assert done == ["measured"] * 7 and "rotated 90" not in table


def test_another_config_is_refused_by_name_and_the_rest_is_kept(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studying, "alone", here)
    content = read_yaml_text(paths.configs / "seg3d" / "toy_3d.yaml")
    write(paths, "seg3d/toy_3d", content | {"augment": "light"})
    try:
        with pytest.raises(CasefoldError) as caught:
            study_step(paths, Study.model_validate(STUDY), device="cpu")
    finally:
        write(paths, "seg3d/toy_3d", content)
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 6 runs failed; the rest is kept; the same command does only these:"
    assert sorted(line.split(": ")[:2] for line in lines[1:]) == [
        ["  toy_3d on 2 cases", "StaleError"], ["  toy_3d on 4 cases", "StaleError"],
    ]  # fmt: skip
    assert "config.augment: none -> light" in lines[1] and isinstance(caught.value.__cause__, StaleError)
    kept = pd.read_csv(paths.study("toy", "small") / "table.csv")
    assert sorted(set(kept["member"])) == ["toy_25d", "toy_2d"] and len(kept) == 4


def test_a_scan_that_trained_is_not_scored(paths: Paths) -> None:
    run, store = folder(paths, "share1", "toy_3d"), Store(paths.store / "toy")
    seen = read_info(run / "weights.safetensors").seen_cases
    scan = next(name for name, case in store.case_of.items() if case in seen)
    with pytest.raises(LeakError, match=f"OOF for scan {scan}: the weights of toy_3d fold 0 have seen case"):
        measured(run, store.root, [scan], Unlike())


@pytest.mark.long
def test_the_command_trains_and_tests_in_processes_of_their_own(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "store", "runs", "configs", "folds"):
        monkeypatch.setenv(f"CASEFOLD_{name.upper()}", str(getattr(paths, name)))
    write(paths, "studies/one", STUDY | {"name": "one", "members": ["seg3d/toy_3d"], "shares": [1.0]})
    result = CliRunner().invoke(app, ["study", str(paths.configs / "studies/one.yaml"), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    out = paths.study("toy", "one")
    head = next(line for line in result.output.splitlines() if "ms_a_scan" in line).split()
    assert "left" in head and " ".join(head).endswith("dice left dice right rotated 90 flipped z")
    assert f"{out}/table.csv has the changed scans by class too; look at {out}/figure.png" in result.output
    manifest = read_json(out / "share1/runs/toy/members/toy_3d/fold0/manifest.json")
    assert manifest["pid"] != read_json(folder(paths, "share1", "toy_3d") / "manifest.json")["pid"]


def filled(megabytes: int) -> float:
    """The peak of a process that fills so much memory."""
    return float(np.ones(megabytes * 1_000_000, np.uint8).sum() * 0 + peak_megabytes())


def test_a_peak_is_that_of_the_task_alone() -> None:
    small = filled(300) and alone(1, filled, 1)
    assert small + 150 < alone(1, filled, 200) < small + 250


def read_yaml_text(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content
