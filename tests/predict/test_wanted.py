"""Some slices alone: what they get, what the others get, which batches run for it; and the fast batches beside them."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from casefold.core import DataError, Prediction, Scan
from casefold.data import slices as reading
from casefold.models.build import Outputs, build
from casefold.predict import Member, SharedSlices, predict
from casefold.predict.volumes import read_slices
from toy_members import Brightness, cls, padded, ramp_scan, seg3d, seg25d

CPU = torch.device("cpu")
SHAPE = (9, 20, 18)
CONFIGS = {
    "seg25d": seg25d(data={"window": (-1, 0, 1)}, model={"presence_head": "any"}, predict={"batch_size": 4}),
    "seg25d, flips": seg25d(predict={"flips": ("x", "xy"), "average": "logits", "batch_size": 2}),
    "seg25d, softmax, bf16": seg25d(model={"activation": "softmax"}, train={"precision": "bf16"}),
    "seg3d, patches": seg3d(data={"patch": (2, 8, 8)}, predict={"flips": ("xyz",), "batch_size": 3}),
    "seg3d, softmax": seg3d(data={"patch": (2, 8, 8), "overlap": 0.0}, model={"activation": "softmax"}),
    "seg3d, whole": seg3d(data={"patch": None}, train={"batch_size": 1}),
    "seg3d, fewer slices": seg3d(data={"zoom": (0.5, 0.5, 0.75), "patch": (2, 8, 8), "overlap": 0.0}),
    "seg3d, more slices": seg3d(data={"zoom": (2.5, 0.5, 0.5), "patch": (2, 8, 8)}, predict={"flips": ("z",)}),
    "cls": cls(predict={"flips": ("x",), "batch_size": 2}),
}


class Recorder(nn.Module):
    """A net that keeps the sizes of its batches, and whose answer for one image depends on the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, image: Tensor) -> Outputs:
        self.batches.append(len(image))
        return {"maps": image[:, :1] + image.mean()}


def wanted(*chosen: int, depth: int = SHAPE[0]) -> Any:
    return np.isin(np.arange(depth), chosen)


def built(config: Any) -> Member:
    """Two folds, two classes."""
    torch.manual_seed(1)
    return Member(config, (build(config, 1, 2), build(config, 1, 2)), ("left", "right"), "mean", "abc")


def recorded(config: Any, scan: Scan, **words: Any) -> tuple[list[int], Prediction]:
    net = Recorder()
    member = Member(config, (padded(net, 3 if config.kind == "seg3d" else 2),), ("blob",), "0", "abc")
    return net.batches, predict(member, scan, CPU, **words)


@pytest.mark.parametrize("chosen", [(4,), (0, 1, 8), range(9)], ids=str)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_wanted_slices_get_the_bytes_of_the_whole_and_others_0(config: Any, chosen: Any) -> None:
    member, scan, slices = built(config), ramp_scan(SHAPE), wanted(*chosen)
    whole, part = predict(member, scan, CPU), predict(member, scan, CPU, slices)
    for all_of_it, found in ((whole.maps, part.maps), (whole.presence, part.presence)):
        assert (all_of_it is None) == (found is None)
        if all_of_it is not None and found is not None:
            assert (all_of_it > 0).all() and not found[:, ~slices].any()
            np.testing.assert_array_equal(found[:, slices], all_of_it[:, slices])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_fast_batches_are_within_1_of_the_plain_ones(config: Any) -> None:
    member, scan, slices = built(config), ramp_scan(SHAPE), wanted(0, 3, 4, 5, 8)
    plain, fast = predict(member, scan, CPU, slices), predict(member, scan, CPU, slices, fast=True)
    for one, other in ((plain.maps, fast.maps), (plain.presence, fast.presence)):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert np.abs(one.astype(int) - other).max() <= 1
            assert not other[:, ~slices].any()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_where_nothing_is_wanted_no_network_runs(config: Any) -> None:
    scan = ramp_scan(SHAPE)
    member = Member(config, (padded(nn.Identity(), 0),), ("left", "right"), "0", "abc")
    found, whole = predict(member, scan, CPU, wanted()), predict(built(config), scan, CPU)
    for none, all_of_it in ((found.maps, whole.maps), (found.presence, whole.presence)):
        assert (none is None) == (all_of_it is None)
        if none is not None and all_of_it is not None:
            assert none.shape == all_of_it.shape and not none.any()


def test_a_batch_without_a_wanted_slice_is_left_out_and_the_others_run_whole() -> None:
    config, scan = seg25d(data={"size": (4, 5)}, predict={"batch_size": 3}), ramp_scan((8, 4, 5))
    batches, whole = recorded(config, scan)
    assert batches == [3, 3, 2]
    batches, part = recorded(config, scan, slices=wanted(4, 7, depth=8))
    assert batches == [3, 2]
    assert whole.maps is not None and part.maps is not None
    np.testing.assert_array_equal(part.maps[:, [4, 7]], whole.maps[:, [4, 7]])


def test_fast_batches_hold_wanted_slices_and_their_flips() -> None:
    config, scan = seg25d(data={"size": (4, 5)}, predict={"flips": ("x", "y")}), ramp_scan((8, 4, 5))
    # 8 images a call: 2 slices, each as it is and flipped twice
    assert recorded(config, scan, slices=wanted(0, 2, 3, 5, 7, depth=8), fast=True)[0] == [6, 6, 3]
    assert recorded(config, scan, slices=wanted(0, 2, 3, 5, 7, depth=8))[0] == [8, 8, 8]
    single = seg25d(data={"size": (4, 5)}, predict={"batch_size": 3})
    assert recorded(single, scan, fast=True)[0] == [8]


@pytest.mark.parametrize(("flips", "passes"), [((), 1), (("z",), 2)], ids=["as it is", "flipped"])
def test_tiles_without_a_wanted_slice_are_left_out(flips: tuple[str, ...], passes: int) -> None:
    # 4 tiles along z, of 2 slices each, by 2 along x
    config = seg3d(data={"patch": (2, 4, 4), "overlap": 0.0}, predict={"batch_size": 3, "flips": flips})
    scan = ramp_scan((8, 4, 8))
    assert recorded(config, scan)[0] == [3, 3, 2] * passes
    only = wanted(0, depth=8)  # in the first two tiles, or when flipped in the last two
    batches, part = recorded(config, scan, slices=only)
    assert batches == [3, 2][:passes]
    assert recorded(config, scan, slices=only, fast=True)[0] == [2, 2][:passes]
    assert part.maps is not None and part.maps[:, 0].all() and not part.maps[:, 1:].any()


def test_what_is_read_on_the_networks_grid_by_hand() -> None:
    some = wanted(2, depth=8)
    np.testing.assert_array_equal(read_slices(some, 8), some)
    # half as deep: 2.5 / 2 - 0.5 = 0.75 lies between 0 and 1; one more is 2
    assert read_slices(some, 4).tolist() == [True, True, True, False]
    # twice as deep: 2.5 * 2 - 0.5 = 4.5 lies between 4 and 5; 3 and 6 stand beside them
    assert np.flatnonzero(read_slices(some, 16)).tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("slices", "came"), [(np.ones(3, np.bool_), r"bool of shape \(3,\)"), (np.ones(9, int), r"int64 of shape \(9,\)")]
)
def test_other_wishes_are_refused(slices: Any, came: str) -> None:
    with pytest.raises(DataError, match=rf"of scan case1_day0 should be bool of shape \(9,\), but are {came}"):
        predict(built(CONFIGS["cls"]), ramp_scan(SHAPE), CPU, slices)


def test_members_that_read_alike_normalise_a_slice_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    real = reading.fit_planes

    def count(planes: Tensor, data: Any, name: str, spacing_mm: Any) -> Tensor:
        made.append(data.size)
        return real(planes, data, name, spacing_mm)

    monkeypatch.setattr(reading, "fit_planes", count)
    scan, shared = ramp_scan((5, 4, 5)), SharedSlices()
    windows: list[tuple[int, ...]] = [(0,), (-1, 0, 1), (-4, -2, 0, 2, 4)]
    found = []
    for size in ((8, 8), (16, 16)):
        for window in windows:
            member = Member(
                seg25d(data={"size": size, "window": window}), (padded(Brightness(), 2),), ("blob",), "0", ""
            )
            found.append((predict(member, scan, CPU, shared=shared), predict(member, scan, CPU)))
    # 5 slices for each size together; alone, 5 for each member
    assert (made.count((8, 8)), made.count((16, 16))) == (5 + 3 * 5, 5 + 3 * 5)
    for together, alone in found:
        np.testing.assert_array_equal(together.maps, alone.maps)
