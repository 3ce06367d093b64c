"""From a member's `sampler:` to what training shows and what its loss counts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from casefold.config.experiments import Experiment
from casefold.core import ConfigError, StaleError
from casefold.files import write_json
from casefold.folds import FoldTable
from casefold.losses import total_loss
from casefold.store import Store
from casefold.train.run import Job, datasets, is_done, train
from toy_members import cls, seg3d, seg25d

NAMES = ["case10_day3", "case31_day4", "case7_day1", "case7_day13"]  # 6, 8, 8 and 8 slices, 4 of each non-empty
RAMP = {"from": 0.8, "to": 0.4}
CLASSES = {"sigmoid": ["bce", "mse", "focal", "border_ce", "dice", "tversky", "lovasz", "hausdorff_dt"],
           "softmax": ["ce", "mse", "focal", "border_ce", "dice", "tversky", "lovasz", "hausdorff_dt"]}  # fmt: skip


def made(config: Experiment, table: FoldTable, store: Store) -> tuple[Any, Any]:
    return datasets(Job(config, table, "0", store.root, Path("none"), "cpu"), store, NAMES, 0, 1)


def test_slices_follow_their_sampler(toy_table: FoldTable, toy_store: Store) -> None:
    train = {"epochs": 3, "batch_size": 1}
    # 16 of 30 slices are not empty: 16 / 0.8 = 20, 16 / 0.6 = 26.7, 16 / 0.4 = 40, but there are but 30
    _, sampler = made(seg25d(sampler={"positive_share": RAMP}, train=train), toy_table, toy_store)
    assert [sampler.length(epoch) for epoch in range(3)] == [20, 27, 30]
    # 1, 0.5 and 0 of 14 empty ones
    ramp = {"from": 1, "to": 0}
    _, sampler = made(cls(sampler={"empty_share": ramp}, train=train), toy_table, toy_store)
    assert [sampler.length(epoch) for epoch in range(3)] == [30, 23, 16]
    # by case, 30 slices of 3 cases are 10 of each, though case7 has 16
    items, sampler = made(seg25d(sampler={"by": "case"}, train=train), toy_table, toy_store)
    shown = [items[key]["name"].partition("_")[0] for batch in sampler for key in batch]
    assert sorted(shown) == ["case10"] * 10 + ["case31"] * 10 + ["case7"] * 10


def test_patches_follow_their_sampler(toy_table: FoldTable, toy_store: Store) -> None:
    config = seg3d(
        data={"patch": (1, 1, 1)},
        sampler={"by": "case", "per_scan": 20, "positive_share": {"from": 1, "to": 0}},
        train={"epochs": 2, "batch_size": 60},
    )
    items, sampler = made(config, toy_table, toy_store)
    assert len(items) == 60 and sampler.length(0) == 1  # of 3 cases
    held = [sum(bool(items[epoch, index]["maps"].any()) for index in range(60)) for epoch in (0, 1)]
    assert held[0] == 60 and held[1] < 20


def loss_of(name: str, activation: str, batch: dict[str, Tensor], logits: Tensor) -> float:
    config = seg25d(losses=[{"name": name}], model={"activation": activation})
    return float(total_loss(config.losses, {"maps": logits}, batch, activation)[0])


@pytest.mark.parametrize(("activation", "name"), [(a, name) for a, names in CLASSES.items() for name in names])
def test_a_slice_near_an_edge_has_no_part_in_a_loss_on_maps(
    activation: str, name: str, toy_table: FoldTable, toy_store: Store
) -> None:
    """Slice 2 is beside the first of `right` alone: under sigmoid what is said of `left` there still counts."""
    config = seg25d(sampler={"ignore_edges": 1}, model={"activation": activation})
    items, _ = made(config, toy_table, toy_store)
    pair = [items[0, items.items.index(("case31_day4", z))] for z in (2, 6)]  # the second lies near no edge
    batch = {key: torch.stack([item[key] for item in pair]) for key in ("maps", "keep")}
    batch["maps"][1, 0, 8:12, 8:16] = batch["maps"][1, 1, 12:16, 8:16] = 1  # regions want something to be compared with
    channels = 2 + (activation == "softmax")
    logits = torch.randn(2, channels, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = loss_of(name, activation, batch, logits)

    def changed(item: int, channel: int) -> bool:
        other = logits.clone()
        other[item, channel, 10:20, 10:20] += 5
        return loss_of(name, activation, batch, other) != plain

    left, right = channels - 2, channels - 1
    assert [changed(0, left), changed(0, right)] == [activation == "sigmoid", False]
    assert changed(1, left) and changed(1, right)


def test_a_classifier_has_no_edges_to_ignore(toy_table: FoldTable, toy_store: Store) -> None:
    message = r"toy_cls: sampler\.ignore_edges 2 leaves slices out of the losses on maps, but a classifier has none"
    with pytest.raises(ConfigError, match=message):
        made(cls(sampler={"ignore_edges": 2}), toy_table, toy_store)


def test_a_run_with_every_knob_ends(toy_table: FoldTable, toy_store: Store, tmp_path: Path) -> None:
    config = seg25d(
        data={"train_patch": (24, 16)},
        sampler={"by": "case", "positive_share": RAMP, "ignore_edges": 1},
        model={"presence_head": "any"},
        losses=[{"name": "bce"}, {"name": "dice"}, {"name": "bce", "on": "presence"}],
        train={"epochs": 2, "batch_size": 8, "mix": {"mixup": 0.5, "cutmix": 0.5, "cutmix_alpha": 0.4}},
    )
    manifest = train(Job(config, toy_table, "0", toy_store.root, tmp_path / "toy_2d" / "fold0", "cpu"))
    assert manifest["state"] == "done" and 0 <= manifest["score"]["valid_dice"] <= 1


def test_a_run_from_before_a_field_was_there_is_still_done(
    toy_table: FoldTable, toy_store: Store, tmp_path: Path
) -> None:
    """What it left out is null today; a value makes it stale."""
    job = Job(seg25d(), toy_table, "0", toy_store.root, tmp_path, "cpu")
    inputs = job.inputs(toy_store)
    del inputs["config"]["data"]["train_patch"], inputs["config"]["train"]["mix"]["cutmix_alpha"]
    write_json(tmp_path / "manifest.json", {"state": "done", "inputs": inputs})
    assert is_done(job, toy_store)
    with pytest.raises(StaleError, match=r"other inputs: config\.data\.train_patch: None -> \[16, 16\]\."):
        is_done(replace(job, config=seg25d(data={"train_patch": (16, 16)})), toy_store)
