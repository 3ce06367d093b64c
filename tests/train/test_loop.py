"""The loop: schedule and EMA in literal numbers, NaN that stops, and killed-and-gone-on equal to never killed."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from casefold.config.experiments import Experiment, Seg3d
from casefold.core import CasefoldError, ConfigError, StaleError
from casefold.data.sampler import BatchSampler
from casefold.files import hash_file, read_record, write_json
from casefold.folds import FoldTable
from casefold.models.weights import read_info
from casefold.oof import join, read_prediction
from casefold.store import Store
from casefold.train import loop
from casefold.train import run as running
from casefold.train.loop import Habits, fit, make_fabric
from casefold.train.run import Job, is_done, mean_score, move_aside, scan_score, train
from casefold.train.step import DivergedError
from toy_members import padded, seg3d, seg25d

MEMBERS = {
    "seg25d": seg25d(
        train={"epochs": 2, "batch_size": 8, "average": {"name": "ema", "decay": 0.5}},
        model={"presence_head": "any", "dropout": 0.5},
        losses=[{"name": "bce"}, {"name": "bce", "on": "presence"}],
        augment="light",
    ),
    "seg3d": seg3d(train={"epochs": 2, "average": {"name": "none"}}, model={"dropout": 0.2}, augment="medium"),
}


class Killed(BaseException):
    """What no handler may catch."""


def job_for(config: Experiment, table: FoldTable, store: Store, run: Path, fold: str = "0") -> Job:
    return Job(config, table, fold, store.root, run, "cpu")


class Slices(torch.utils.data.Dataset[dict[str, Any]]):
    """Four slices of one voxel; the one that is asked for is not a number."""

    def __init__(self, broken: int | None = None) -> None:
        self.broken = broken

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        _, index = key
        image = torch.full((1, 1, 1), math.nan if index == self.broken else 1.0)
        return {"image": image, "maps": torch.ones(1, 1, 1), "keep": torch.ones(1, 1, 1), "name": f"case1_day0/{index}"}


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.0))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"maps": image * self.weight}


def fit_slices(dataset: Slices, run: Path, **train_changes: Any) -> tuple[Any, Any, list[dict[str, Any]]]:
    config = seg25d(train={"batch_size": 2, **train_changes}, losses=[{"name": "bce"}])
    reported: list[dict[str, Any]] = []
    sampler = BatchSampler(np.ones(4, bool), 1.0, 2, seed=0)
    net = padded(Scale(), 2)
    weights, progress = fit(
        make_fabric(config, "cpu"), config, net, dataset, sampler, run, Habits(), None, reported.append, "t", {}
    )
    return weights, progress, reported


@pytest.mark.parametrize(("accumulate", "epochs", "steps"), [(1, 2, 3), (1, 1, 1), (1, 2, 4), (2, 2, 2), (2, 1, 1)])
def test_steps_cut_the_last_epoch_short(accumulate: int, epochs: int, steps: int, tmp_path: Path) -> None:
    """Four slices in batches of 2: two batches an epoch."""
    changes = {"accumulate": accumulate, "epochs": epochs, "steps": steps, "schedule": {"name": "constant"}}
    _, progress, reported = fit_slices(Slices(), tmp_path, **changes)
    assert (progress.step, progress.epoch, [row["epoch"] for row in reported]) == (
        steps, epochs, list(range(1, epochs + 1)),
    )  # fmt: skip
    _, again, reported = fit_slices(Slices(), tmp_path, **changes)
    assert (again.step, reported) == (steps, [])


def test_a_run_killed_after_its_last_step_still_ends_its_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"epochs": 2, "steps": 3}
    monkeypatch.setattr(loop.Clock, "save_is_due", lambda self, habits, step: step == 3)
    whole, _, _ = fit_slices(Slices(), tmp_path / "whole", **changes)
    real = loop._save

    def killed(fabric: Any, state: Any, run: Path) -> None:
        real(fabric, state, run)
        if state.progress.step == 3:
            raise Killed

    monkeypatch.setattr(loop, "_save", killed)
    with pytest.raises(Killed):
        fit_slices(Slices(), tmp_path / "killed", **changes)
    monkeypatch.setattr(loop, "_save", real)
    weights, progress, reported = fit_slices(Slices(), tmp_path / "killed", **changes)
    assert (progress.step, progress.epoch, [row["epoch"] for row in reported]) == (3, 2, [2])
    assert torch.equal(weights.state_dict()["net.weight"], whole.state_dict()["net.weight"])


@pytest.mark.parametrize(("steps", "message"), [(2, "which has the steps 3 to 4"), (5, "which has the steps 3 to 4")])
def test_steps_that_do_not_end_in_the_last_epoch_are_refused(steps: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"train.steps: {steps} do not end in the last of 2 epochs, {message}"):
        fit_slices(Slices(), tmp_path, epochs=2, steps=steps)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_slices(tmp_path: Path) -> None:
    sampler = BatchSampler(np.ones(4, bool), 1.0, 2, seed=0)
    batches = [[index for _, index in batch] for batch in sampler]
    names = [f"case1_day0/{index}" for index in batches[1]]
    with pytest.raises(DivergedError) as caught:
        fit_slices(Slices(broken=batches[1][0]), tmp_path)
    assert str(caught.value).startswith(f"the loss became nan in epoch 1, batch 1, on {names}; lower train.lr")
    assert not (tmp_path / "last.pt").exists()


def test_an_epoch_by_hand(tmp_path: Path) -> None:
    weights, progress, reported = fit_slices(
        Slices(), tmp_path, lr=0.1, weight_decay=0.0, clip_norm=None, average={"name": "none"}
    )
    (row,) = reported
    assert (row["epoch"], row["step"], progress.epoch, progress.step) == (1, 2, 1, 2)
    # Adam's first two steps on a steady slope are of the length lr: 0.1 x 1/2 (warm-up), then 0.1 x 1
    assert weights.net.weight.item() == pytest.approx(0.15, abs=1e-3)
    second = math.log(1 + math.exp(-0.05))
    assert row["loss"] == row["maps.bce"] == pytest.approx((math.log(2) + second) / 2, abs=1e-6)
    assert row["gradient_norm"] == pytest.approx((0.5 + 1 / (1 + math.exp(0.05))) / 2, abs=1e-6)
    assert row["predicted_positive"] == 0.5  # no voxel above 0 at the first step, all at the second
    assert row["lr"] == pytest.approx(0.0, abs=1e-9)
    logged = pd.read_csv(tmp_path / "log.csv")
    assert logged["loss"].tolist() == [row["loss"]]
    assert list(pd.read_csv(tmp_path / "timing.csv")) == [
        "epoch", "wall_s", "cpu_s", "wait_s", "items", "peak_mb", "samples_a_s", "waiting"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", sorted(MEMBERS))
def test_killed_and_called_again_equals_never_killed(
    kind: str, toy_store: Store, toy_table: FoldTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = MEMBERS[kind]
    straight, broken = (job_for(config, toy_table, toy_store, tmp_path / name / "fold0") for name in ("a", "b"))
    manifest = train(straight)

    def kill(message: str, *details: Any) -> None:
        raise Killed(message % details)

    with monkeypatch.context() as patched:
        patched.setattr(running.logger, "info", kill)  # the first thing after an epoch is saved is to report it
        with pytest.raises(Killed, match="epoch 1"):
            train(broken)
    assert json.loads((broken.run / "manifest.json").read_text())["state"] == "running"
    assert pd.read_csv(broken.run / "log.csv")["epoch"].tolist() == [1]
    assert not is_done(broken, toy_store) and not (broken.run / "weights.safetensors").exists()

    again = train(broken)
    assert again["weights_hash"] == manifest["weights_hash"] == hash_file(straight.run / "weights.safetensors")
    for name in ("weights.safetensors", "log.csv", "config.yaml"):
        assert (broken.run / name).read_bytes() == (straight.run / name).read_bytes(), name
    held = toy_table.split(toy_store, 0)[1]
    assert sorted(path.stem for path in (broken.run / "oof").iterdir()) == sorted(held)
    for name in held:
        one, other = (read_prediction(job.run / "oof" / f"{name}.npz") for job in (straight, broken))
        np.testing.assert_array_equal(one.maps, other.maps)
    assert pd.read_csv(broken.run / "log.csv")["epoch"].tolist() == [1, 2]
    assert again["score"] == manifest["score"] and list(again["score"]) == ["valid_dice"]

    before = {path: path.stat().st_mtime_ns for path in sorted(broken.run.rglob("*"))}
    assert train(broken) == again
    assert {path: path.stat().st_mtime_ns for path in sorted(broken.run.rglob("*"))} == before


def small(**changes: Any) -> Experiment:
    """A member that is trained in a moment: one scan is a batch, four patches in all."""
    return seg3d(train={"epochs": 1, **changes}, data={"patch": (2, 8, 8), "overlap": 0.0})


def test_the_weights_know_what_they_have_seen(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    for fold in ("0", "1", "2", "full"):
        name = "full" if fold == "full" else f"fold{fold}"
        manifest = train(job_for(small(), toy_table, toy_store, tmp_path / name, fold))
        info = read_info(tmp_path / name / "weights.safetensors")
        seen = [case for case, held in toy_table.fold_of.items() if str(held) != fold]
        assert sorted(info.seen_cases) == sorted(manifest["seen_cases"]) == sorted(seen)
        assert (info.member, info.fold, info.classes, info.modalities) == ("toy_3d", fold, ("left", "right"), 1)
        assert not info.selected_on_fold and info.seen_scans == ()
    assert len(join(tmp_path, toy_table, toy_store)) == 8
    assert manifest["score"] == {} and not (tmp_path / "full" / "oof").exists()


def test_a_changed_config_is_refused_by_the_name_of_the_field(
    toy_store: Store, toy_table: FoldTable, tmp_path: Path
) -> None:
    train(job_for(small(), toy_table, toy_store, tmp_path / "fold0"))
    weights = hash_file(tmp_path / "fold0" / "weights.safetensors")
    changed = job_for(small(lr=0.5), toy_table, toy_store, tmp_path / "fold0")
    with pytest.raises(
        StaleError, match=r"fold0 was trained from other inputs: config\.train\.lr: 0\.0003 -> 0\.5\. G"
    ):
        train(changed)
    swapped = FoldTable("case", {case: 2 - fold for case, fold in toy_table.fold_of.items()})
    with pytest.raises(StaleError, match="other inputs: folds: "):
        train(job_for(small(), swapped, toy_store, tmp_path / "fold0"))
    assert hash_file(tmp_path / "fold0" / "weights.safetensors") == weights


def test_a_run_from_before_a_field_was_in_the_schema_is_done(
    toy_store: Store, toy_table: FoldTable, tmp_path: Path
) -> None:
    run = tmp_path / "fold0"
    train(job_for(small(), toy_table, toy_store, run))
    manifest = read_record(run / "manifest.json")
    del manifest["inputs"]["config"]["train"]["label_smoothing"]
    write_json(run / "manifest.json", manifest)
    assert train(job_for(small(), toy_table, toy_store, run))["state"] == "done"
    manifest["inputs"]["config"]["train"]["label_smoothing"] = 0.1
    write_json(run / "manifest.json", manifest)
    with pytest.raises(StaleError, match=r"config\.train\.label_smoothing: 0\.1 -> 0\.0"):
        train(job_for(small(), toy_table, toy_store, run))


def test_a_run_that_was_killed_does_not_go_on_under_another_config(
    toy_store: Store, toy_table: FoldTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*words: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(running.logger, "info", kill)
        with pytest.raises(Killed):
            train(job_for(small(), toy_table, toy_store, tmp_path / "fold0"))
    with pytest.raises(StaleError, match=r"config\.train\.epochs: 1 -> 2"):
        train(job_for(small(epochs=2), toy_table, toy_store, tmp_path / "fold0"))


def test_redo_moves_the_old_run_aside(
    toy_store: Store, toy_table: FoldTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.time, "strftime", lambda form: "20220401-000000")
    job = job_for(small(), toy_table, toy_store, tmp_path / "fold0")
    first = train(job)
    aside = ["fold0.20220401-000000", "fold0.20220401-000000+"]  # also twice in a second
    for count in (1, 2):
        move_aside(job.run)
        assert not job.run.exists()
        assert train(job)["weights_hash"] == first["weights_hash"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["fold0", *aside[:count]]
    move_aside(tmp_path / "never_there")


def test_a_fold_beyond_the_table_is_refused(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no fold 3: the table has folds 0 to 2"):
        train(job_for(small(), toy_table, toy_store, tmp_path / "fold3", "3"))
    assert list(tmp_path.iterdir()) == []


def test_no_scan_to_train_on_is_refused(toy_store: Store, tmp_path: Path) -> None:
    alone = FoldTable("case", dict.fromkeys(set(toy_store.case_of.values()), 0))
    with pytest.raises(CasefoldError, match="seg3d/toy_3d 0: no scan is left to train on"):
        train(job_for(small(), alone, toy_store, tmp_path / "fold0"))


def test_validation_scores_whole_scans(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    from toy_members import oof_prediction, write_oof

    run = write_oof(tmp_path, toy_store, toy_table) / "fold0"
    scan = toy_store.scan("case2_day0")
    maps = np.where(scan.class_masks(), np.uint8(128), np.uint8(127))
    perfect = oof_prediction(run, toy_store, scan.name, 0, maps=maps)
    assert mean_score([scan_score(scan, perfect)]) == {"valid_dice": 1.0}
    maps = maps.copy()
    maps[1] = 0
    half = oof_prediction(run, toy_store, scan.name, 0, maps=maps)
    assert mean_score([scan_score(scan, half), scan_score(scan, perfect)]) == {"valid_dice": (1 + 0 + 1 + 1) / 4}
    presence = np.array([[0, 255, 255, 255, 0, 0, 0, 0], [0, 0, 0, 128, 127, 0, 0, 200]], np.uint8)
    there = oof_prediction(run, toy_store, scan.name, 0, maps=None, presence=presence)
    # of 3 + 2 slices 3 + 1 are found, and one of `right` is said where it is not
    assert mean_score([scan_score(scan, there)]) == {"valid_f1": 2 * 4 / (2 * 4 + 2)}
    assert math.isnan(mean_score([])["valid_f1"])


def test_training_needs_no_logger_to_be_set_up(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.INFO, "casefold"):
        fit_slices(Slices(), tmp_path)
    assert caplog.records == []


@pytest.mark.parametrize(("patch", "precision"), [((16, 32, 32), "bf16"), ((8, 32, 32), "fp32"), (None, "fp32")])
def test_a_level_two_voxels_deep_is_never_trained_in_bf16_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, patch: tuple[int, int, int] | None, precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    model = {"arch": "unet", "channels": (4, 8, 16, 32), "strides": ((1, 2, 2), 2, 2)}
    config = Seg3d(kind="seg3d", name="deep", data={"patch": patch}, model=model, train={"epochs": 1, "batch_size": 1})
    assert loop._safe_precision(config, torch.device("cpu")) == precision


def test_bf16_asked_for_by_name_where_it_is_wrong_is_refused() -> None:
    model = {"arch": "unet", "channels": (4, 8, 16, 32), "strides": ((1, 2, 2), 2, 2)}
    train = {"epochs": 1, "batch_size": 1, "precision": "bf16"}
    config = Seg3d(kind="seg3d", name="deep", data={"patch": (8, 32, 32)}, model=model, train=train)
    with pytest.raises(ConfigError, match="gives wrong gradients where a level of the net is two voxels deep"):
        loop._safe_precision(config, torch.device("cpu"))
