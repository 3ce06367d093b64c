"""Members that see a scan cropped or in another plane: the whole grid, 0 outside, every voxel in its place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casefold.config.inputs import BodyCrop
from casefold.config.load import save
from casefold.core import DataError, Grid, Scan
from casefold.intensity import scan_statistics
from casefold.models.build import Outputs, build
from casefold.models.weights import WeightsInfo, save_weights
from casefold.predict import Member, SharedSlices, load_member, predict
from casefold.views import Box, FindBox, find_box, stored_box, write_boxes
from toy_members import Brightness, Given, cls, padded, ramp_scan, seg3d, seg25d

CPU = torch.device("cpu")
SHAPE = (5, 24, 30)
BODY = {"name": "body", "margin_px": 2}
YOLO = {"name": "detector", "member": "yolo"}
# What the crop leaves of `scan()`, and the size of a slice of it in each plane.
BOX = Box((0, 5), (6, 20), (3, 23))
SIZES = {"axial": (14, 20), "coronal": (5, 20), "sagittal": (5, 14)}


class Bright(Brightness):
    """Brightness without presence, which a plane but the axial one can't say."""

    def forward(self, image: Tensor) -> Outputs:
        return {"maps": super().forward(image)["maps"]}


def scan() -> Scan:
    """Noise, and 300 and more in rows 8..17 and columns 5..20."""
    image = np.random.default_rng(0).integers(0, 20, (1, *SHAPE)).astype(np.uint16)
    image[:, :, 8:18, 5:21] += np.random.default_rng(1).integers(300, 600, (1, 5, 10, 16)).astype(np.uint16)
    names = tuple(f"s{z}" for z in range(5))
    return Scan("case1", "case1_day0", image, Grid(SHAPE), ("blob",), names, statistics=scan_statistics(image))


def member(config: Any, *nets: nn.Module, detectors: tuple[FindBox, ...] = ()) -> Member:
    axes = 3 if config.kind == "seg3d" else 2
    return Member(config, tuple(padded(net, axes) for net in nets), ("blob",), "0", "abc", detectors=detectors)


def said(config: Any, *nets: nn.Module, **words: Any) -> NDArray[np.uint8]:
    found = predict(member(config, *nets), scan(), CPU, **words)
    assert found.maps is not None
    return found.maps[0]


def brightness() -> NDArray[np.uint8]:
    """What Brightness(2) says of the whole scan, normalised by its own percentiles."""
    return said(seg25d(data={"size": SHAPE[1:]}), Bright(2.0))


def within(box: Box, maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    kept = np.zeros_like(maps)
    kept[box.slices] = maps[box.slices]
    return kept


def test_the_scan_is_cropped_as_the_tests_say() -> None:
    assert find_box(BodyCrop(name="body", margin_px=2), scan()) == BOX


@pytest.mark.parametrize("flips", [(), ("x", "y", "xy")], ids=["as it is", "flipped"])
@pytest.mark.parametrize("plane", SIZES)
def test_slices_of_any_plane_come_back_voxel_by_voxel(plane: str, flips: tuple[str, ...]) -> None:
    config = seg25d(data={"crop": BODY, "plane": plane, "size": SIZES[plane]}, predict={"flips": flips})
    np.testing.assert_array_equal(said(config, Bright(2.0)), within(BOX, brightness()))
    depth, height, width = SHAPE
    size = {"axial": (height, width), "coronal": (depth, width), "sagittal": (depth, height)}[plane]
    whole = seg25d(data={"plane": plane, "size": size}, predict={"flips": flips, "batch_size": 7})
    np.testing.assert_array_equal(said(whole, Bright(2.0)), brightness())


def test_a_window_lies_along_the_plane() -> None:
    config = seg25d(data={"plane": "sagittal", "window": (-1, 0), "size": (5, 24)})
    shifted = brightness()[:, :, [0, *range(29)]]  # the first channel is the slice before
    np.testing.assert_array_equal(said(config, Bright(2.0)), shifted)


@pytest.mark.parametrize("patch", [None, (5, 14, 20), (2, 8, 8)], ids=str)
def test_volumes_are_cropped_before_they_are_cut_in_patches(patch: tuple[int, int, int] | None) -> None:
    config = seg3d(data={"crop": BODY, "patch": patch}, train={"batch_size": 1})
    np.testing.assert_array_equal(said(config, Bright(2.0)), within(BOX, brightness()))


def test_a_net_sees_the_crop_alone() -> None:
    seen: list[torch.Size] = []

    class Looking(nn.Module):
        def forward(self, image: Tensor) -> Outputs:
            seen.append(image.shape)
            return {"maps": image[:, :1]}

    half = seg3d(data={"crop": BODY, "patch": None, "zoom": (1.0, 0.5, 0.5)}, train={"batch_size": 1})
    said(half, Looking())
    said(seg25d(data={"crop": BODY, "plane": "coronal", "size": (8, 32), "window": (0, 1)}), Looking())
    assert seen == [(1, 1, 5, 7, 10), (14, 2, 8, 32)]


CONFIGS = {
    "coronal": seg25d(data={"crop": BODY, "plane": "coronal", "size": (32, 32)}, predict={"flips": ("x",)}),
    "sagittal, whole": seg25d(data={"plane": "sagittal", "window": (-1, 0, 1)}, predict={"batch_size": 3}),
    "axial, cropped": seg25d(data={"crop": BODY}, model={"presence_head": "any"}, predict={"batch_size": 2}),
    "volume": seg3d(data={"crop": BODY, "patch": (2, 8, 8)}),
    "cls": cls(data={"crop": BODY}),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_wanted_slices_are_axial_in_every_view(config: Any) -> None:
    torch.manual_seed(1)
    one, wanted = Member(config, (build(config, 1, 1),), ("blob",), "0", ""), np.array([False, True, False, True, True])
    whole, part, fast = (
        predict(one, scan(), CPU, **words) for words in ({}, {"slices": wanted}, {"slices": wanted, "fast": True})
    )
    none = predict(one, scan(), CPU, np.zeros(5, np.bool_))
    for what in ("maps", "presence"):
        every, some, quick, nothing = (getattr(found, what) for found in (whole, part, fast, none))
        assert (every is None) == (some is None) == (quick is None) == (nothing is None)
        if every is not None:
            assert every.any((0, *range(2, every.ndim))).all() and not some[:, ~wanted].any() and not nothing.any()
            np.testing.assert_array_equal(some[:, wanted], every[:, wanted])
            assert np.abs(quick.astype(int) - some).max() <= 1


LEFT, RIGHT = Box((0, 5), (0, 24), (0, 20)), Box((1, 2), (0, 24), (10, 30))


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("kind", ["slices", "volumes"])
def test_folds_with_other_boxes_are_each_put_back_before_their_mean(kind: str, average: str) -> None:
    """0.4 left of column 20 and 0.8 right of column 10: 0.2, 0.6 and 0.4; outside a box 0 counts too."""
    predicting: dict[str, Any] = {"average": average, "flips": ("x",)}
    if kind == "slices":
        config: Any = seg25d(data={"crop": YOLO, "plane": "coronal", "size": (5, 20)}, predict=predicting)
    else:
        config = seg3d(data={"crop": YOLO, "patch": None}, train={"batch_size": 1}, predict=predicting)
    nets = Bright(0.0, float(np.log(0.4 / 0.6))), Bright(0.0, float(np.log(0.8 / 0.2)))
    both = member(config, *nets, detectors=(lambda _: LEFT, lambda _: RIGHT))
    maps = predict(both, scan(), CPU).maps
    assert maps is not None and maps.dtype == np.uint8
    assert maps[0, 3, 7].tolist() == [51] * 10 + [153] * 10 + [102] * 10
    assert (maps == maps[:, :1, :1]).all()  # the boxes are of all slices
    alone = both.first_folds(1)
    assert len(alone.detectors) == 1
    assert predict(alone, scan(), CPU).maps[0, 0, 0].tolist() == [102] * 20 + [0] * 10  # type: ignore[index]


def test_presence_of_folds_with_other_boxes_is_their_mean() -> None:
    config = cls(data={"crop": YOLO})
    nets = [Given(None, np.array([np.log(p / (1 - p))], np.float32)) for p in (0.2, 0.6)]
    both = member(config, *nets, detectors=(lambda _: LEFT, lambda _: RIGHT))
    found = predict(both, scan(), CPU)
    assert found.maps is None and found.presence is not None
    assert found.presence.tolist() == [[102] * 5]


def test_a_network_without_its_detector_does_not_predict() -> None:
    one = member(seg25d(data={"crop": YOLO}), Bright(), Bright(), detectors=(lambda _: LEFT,))
    message = "toy_2d is cropped by the detector yolo of each fold, but of its 2 networks 1 have one"
    with pytest.raises(DataError, match=message):
        predict(one, scan(), CPU)


def test_members_share_what_they_see_alike_and_nothing_else() -> None:
    shared, found = SharedSlices(), []
    for crop in (None, BODY, {**BODY, "margin_px": 4}, BODY):
        for plane in SIZES:
            config = seg25d(data={"crop": crop, "plane": plane, "size": (16, 16)})
            found.append((predict(member(config, Bright(2.0)), scan(), CPU, shared=shared), said(config, Bright(2.0))))
    for together, alone in found:
        assert together.maps is not None
        np.testing.assert_array_equal(together.maps[0], alone)


def test_a_box_is_found_once_for_all_members() -> None:
    shared, asked = SharedSlices(), []

    def find() -> Box:
        asked.append(1)
        return LEFT

    crop = BodyCrop(name="body")
    assert [shared.box(crop, find), shared.box(BodyCrop(name="body"), find)] == [LEFT, LEFT] and asked == [1]
    shared.box(BodyCrop(name="body", margin_px=9), find)
    assert asked == [1, 1]


def test_a_loaded_member_asks_the_detector_of_each_fold(tmp_path: Path) -> None:
    config = seg25d(data={"crop": YOLO})
    for fold in (0, 1):
        run = tmp_path / "toy_2d" / f"fold{fold}"
        save(config, run / "config.yaml")
        info = WeightsInfo("toy_2d", str(fold), "", 1, ("blob",), ("case9",))
        save_weights(build(config, 1, 1).state_dict(), info, run / "weights.safetensors")
        write_boxes(tmp_path / "yolo" / f"fold{fold}", {"case1_day0": (LEFT, RIGHT)[fold]})
    runs = [tmp_path / "toy_2d" / f"fold{fold}" for fold in (0, 1)]
    stored = load_member(runs, CPU, detect=stored_box)
    assert [find(scan()) for find in stored.detectors] == [LEFT, RIGHT]
    maps = predict(stored, scan(), CPU).maps
    assert maps is not None and maps.shape == (1, *SHAPE) and maps.any((0, 1, 2)).all()
    with pytest.raises(DataError, match=r"yolo.fold0.boxes\.json has no box of scan case2_day0"):
        predict(stored, replace(scan(), name="case2_day0"), CPU)
    asked = []

    def detect(run: Path, new: Scan, device: torch.device) -> Box:
        asked.append((run.parent.name, run.name, new.name, device))
        return LEFT

    predict(load_member(runs, CPU, detect=detect), ramp_scan(SHAPE, "case7_day0"), CPU)
    assert asked == [("yolo", "fold0", "case7_day0", CPU), ("yolo", "fold1", "case7_day0", CPU)]
