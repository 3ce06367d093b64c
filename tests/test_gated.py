"""Behind the gate only what it lets through is predicted: fewer slices asked, the same masks and labels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casefold import infer as inferring
from casefold.config.external import Entry, Manifest
from casefold.config.postprocess import FillGaps, Overlap, SmallComponents, Truncate
from casefold.core import DataError, Grid, Masks, Prediction, Scan
from casefold.infer import Loaded, infer
from casefold.intensity import scan_statistics
from casefold.models.build import Outputs, build
from casefold.oof.external import Outside
from casefold.predict import Member, predict
from casefold.recipe import GateRule, Rung
from toy_external import external
from toy_members import Brightness, Given, cls, padded, seg3d, seg25d
from toy_recipe import CLASSES, recipe, rung

CPU = torch.device("cpu")
BOTH = {"a": 1, "b": 1}
BRIGHT = (False, True, True, False, True, False, False, False)
GATE = GateRule(("slices",), "presence", {"a": 128, "b": 200})


class Counted(nn.Module):
    """A network that keeps how many images it was shown."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.images = net, 0

    def forward(self, image: Tensor) -> Outputs:
        self.images += len(image)
        outputs: Outputs = self.net(image)
        return outputs


def member(config: Any, net: nn.Module | None = None) -> Member:
    """A network that was built at random, or one that is given."""
    torch.manual_seed(3)
    whole = build(config, 1, 2) if net is None else net
    return Member(config, (padded(Counted(whole), 3 if config.kind == "seg3d" else 2),), CLASSES, "0", config.name)


def scan(bright: tuple[bool, ...] = BRIGHT, size: tuple[int, int] = (12, 14)) -> Scan:
    """Noise, over 100 on bright slices and under 28 on the others."""
    noise = np.random.default_rng(0).integers(0, 28, (1, len(bright), *size))
    image = (noise + 100 * np.array(bright)[None, :, None, None]).astype(np.uint16)
    names = tuple(f"case1_day0_slice_{z + 1:04d}" for z in range(len(bright)))
    grid = Grid(image.shape[1:])
    return Scan("case1", "case1_day0", image, grid, CLASSES, names, statistics=scan_statistics(image))


def ensemble(chosen: Rung) -> Loaded:
    """Two segmenters at random, of slices and of volumes, behind a classifier that sees how bright a slice is."""
    whole = replace(chosen, weights={"flat": {"a": 2, "b": 1}, "deep": BOTH}, levels={"a": 126, "b": 124})
    members = {
        "slices": member(cls(name="slices"), Brightness(4.0)),
        "flat": member(seg25d(name="flat", data={"window": (-1, 0, 1)}, model={"presence_head": "classes"},
                              predict={"flips": ("x",), "batch_size": 3})),
        "deep": member(seg3d(name="deep", data={"patch": (2, 8, 8)}, predict={"batch_size": 4})),
    }  # fmt: skip
    return Loaded(recipe(whole), members, CPU)


def shown(loaded: Loaded) -> dict[str, int]:
    return {name: sum(net.net.images for net in one.nets) for name, one in loaded.members.items()}


def ungated(loaded: Loaded, one: Scan, monkeypatch: pytest.MonkeyPatch, **words: Any) -> Masks:
    """The same with every member asked for every slice."""

    def whole(member: Member, scan: Scan, device: torch.device, *_: Any) -> Prediction:
        return predict(member, scan, device)

    with monkeypatch.context() as patch:
        patch.setattr(inferring, "predict", whole)
        return infer(loaded, one, **words)


@pytest.mark.parametrize(
    ("changes", "flat"),
    [
        ({"gate": GATE}, 2 * 6),  # slices 1, 2, 4 lie in the batches 0..2 and 3..5, each flipped once
        ({"gate": GATE, "post": (FillGaps(max_slices=3), Overlap(rule="largest"))}, 2 * 6),
        ({"gate": GATE, "peaks": {"a": 130, "b": 126}, "post": (SmallComponents(min_voxels=4),)}, 2 * 6),
        ({"gate": GATE, "post": (Truncate(member="flat", level=128),)}, 2 * 8),
        ({"gate": replace(GATE, members=("flat",), levels={"a": 120, "b": 126})}, 2 * 8),
        ({"gate": GateRule(("flat",), "pixels", {"a": 80, "b": 80})}, 2 * 8),
        ({"gate": replace(GATE, levels={"a": 128, "b": 0})}, 2 * 8),
        ({}, 2 * 8),
    ],
    ids=["gate", "fill and overlap", "peaks", "truncation", "its own gate", "pixels", "one class open", "no gate"],
)
def test_what_is_gated_equals_what_is_not(changes: dict[str, Any], flat: int, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, one = ensemble(rung(**changes)), scan()
    gated = infer(loaded, one, exclusive=True)
    assert shown(loaded)["flat"] == flat
    whole = ungated(loaded, one, monkeypatch, exclusive=True)
    assert gated.masks.any() and not gated.masks.all()
    np.testing.assert_array_equal(gated.masks, whole.masks)
    np.testing.assert_array_equal(gated.labels, whole.labels)
    assert gated.near_level == whole.near_level > 0


def test_fast_is_gated_too_and_asks_for_the_open_slices_alone() -> None:
    loaded, one = ensemble(rung(gate=GATE)), scan()
    plain = infer(loaded, one)
    before = shown(loaded)
    fast = infer(loaded, one, fast=True)
    added = {name: count - before[name] for name, count in shown(loaded).items()}
    assert (before["slices"], added["slices"]) == (8, 8)  # the gate sees every slice, in its own batches
    assert (before["flat"], added["flat"]) == (2 * 6, 2 * 3)
    # tiles begin at the slices 0..6, 2 by 3 of them in a plane; those from 5 on hold no open slice. In batches of 4: 32
    assert (before["deep"], added["deep"]) == (32, 5 * 6)
    assert np.count_nonzero(plain.masks != fast.masks) <= plain.near_level


def test_a_scan_that_is_closed_whole_asks_nobody() -> None:
    loaded, one = ensemble(rung(gate=replace(GATE, levels={"a": 255, "b": 255}))), scan()
    assert not infer(loaded, one).masks.any()
    assert shown(loaded) == {"slices": 8, "flat": 0, "deep": 0}


def test_what_is_filled_on_a_closed_slice_falls_to_the_lowest_level() -> None:
    """Of three slices the gate closes the middle one, which both classes fill; the member says 204 for b there."""
    sides: NDArray[np.float64] = np.array([[[0.8] * 3], [[0.8] * 3]])
    one = member(seg25d(name="one", data={"size": (1, 3)}), Given(np.log(sides / (1 - sides)).astype(np.float32)))
    gate = member(cls(name="slices"), Brightness(4.0))
    chosen = rung(
        levels={"a": 150, "b": 160}, gate=replace(GATE, levels={"a": 128, "b": 128}),
        post=(FillGaps(max_slices=1), Overlap(rule="largest")),
    )  # fmt: skip
    loaded = Loaded(recipe(chosen), {"one": one, "slices": gate}, CPU)
    found = infer(loaded, scan((True, False, True), (1, 3)), exclusive=True)
    # q - level: 54 and 44 on the open slices, -150 and -160 on the closed one
    assert found.masks.all((2, 3)).tolist() == [[True] * 3, [False] * 3]
    assert found.labels is not None and found.labels[:, 0, 0].tolist() == [1, 1, 1]


def test_maps_made_elsewhere_are_read_whole_and_may_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scan()
    maps = np.random.default_rng(1).integers(0, 256, (2, *one.grid.shape)).astype(np.uint8)
    presence = np.where(BRIGHT, 255, 0).astype(np.uint8)[None].repeat(2, 0)
    np.savez(tmp_path / "x.npz", maps=maps, presence=presence)
    test = (Entry(scan="case1_day0", file="x.npz"),)
    mate = Outside(external(), tmp_path, Manifest(classes=CLASSES, test=test), CLASSES)
    chosen = rung(weights={"mate": BOTH, "flat": BOTH}, gate=replace(GATE, members=("mate",)))
    loaded = replace(ensemble(rung()), recipe=recipe(chosen), outside={"mate": mate})
    gated = infer(loaded, one, exclusive=True)
    assert shown(loaded)["flat"] == 2 * 6 and gated.masks.any()
    whole = ungated(loaded, one, monkeypatch, exclusive=True)
    np.testing.assert_array_equal(gated.masks, whole.masks)
    np.testing.assert_array_equal(gated.labels, whole.labels)


def test_a_gate_that_names_other_classes_is_refused() -> None:
    loaded = ensemble(rung(gate=GATE))
    other = replace(loaded.members["slices"], classes=("b", "a"))
    with pytest.raises(DataError, match=r"slices predicts \('b', 'a'\), the recipe is for \('a', 'b'\)"):
        infer(replace(loaded, members=loaded.members | {"slices": other}), scan())


def test_an_ensemble_can_do_with_fewer_folds() -> None:
    loaded = ensemble(rung(gate=GATE))
    flat = loaded.members["flat"]
    two = replace(loaded, members=loaded.members | {"flat": replace(flat, nets=(*flat.nets, *flat.nets))})
    fewer = two.with_folds(1)
    assert {name: len(one.nets) for name, one in fewer.members.items()} == {"slices": 1, "flat": 1, "deep": 1}
    assert (fewer.recipe, fewer.device) == (two.recipe, two.device)
    np.testing.assert_array_equal(infer(fewer, scan()).masks, infer(loaded, scan()).masks)
