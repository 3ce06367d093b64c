"""Boxes and where they come from."""

from pathlib import Path

import pytest
import torch

from casefold.config.inputs import CentreCrop, DetectorCrop
from casefold.core import ConfigError, DataError
from casefold.views import (
    Box,
    crop_of,
    detector_run,
    find_box,
    read_boxes,
    refuse_without_boxes,
    stored_box,
    whole_box,
    write_boxes,
)
from toy_members import cls, ramp_scan, seg3d, seg25d

CPU = torch.device("cpu")
CROP = DetectorCrop(name="detector", member="yolo", margin_px=1)


def test_a_box_knows_its_shape_and_what_it_cuts() -> None:
    box = Box((1, 3), (0, 4), (2, 7))
    assert box.shape == (2, 4, 5)
    assert box.slices == (slice(1, 3), slice(0, 4), slice(2, 7))
    assert whole_box((2, 3, 4)) == Box((0, 2), (0, 3), (0, 4))


@pytest.mark.parametrize("part", [(3, 3), (4, 2), (-1, 2)])
def test_a_box_without_a_voxel_is_refused(part: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=f"along y: {part[0]} to {part[1]}"):
        Box((0, 2), part, (0, 4))


def test_boxes_are_read_as_they_were_written(tmp_path: Path) -> None:
    boxes = {"case1_day0": Box((0, 3), (1, 4), (2, 5)), "case1_day1": Box((1, 2), (0, 1), (0, 1))}
    write_boxes(tmp_path, boxes)
    assert read_boxes(tmp_path) == boxes
    assert stored_box(tmp_path, ramp_scan(), CPU) == boxes["case1_day0"]
    with pytest.raises(DataError, match=r"boxes\.json has no box of scan case2_day0"):
        stored_box(tmp_path, ramp_scan(name="case2_day0"), CPU)


@pytest.mark.parametrize("content", ['{"a": [[0, 1], [0, 1]]}', '{"a": 3}', "[1]", '{"a": [[0, 1], [0, 1], ["b", 1]]}'])
def test_other_files_of_boxes_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(DataError, match=r"boxes\.json should hold \[\[z0, z1\], \[y0, y1\], \[x0, x1\]\] by scan"):
        read_boxes(tmp_path)


@pytest.mark.parametrize(
    ("shape", "share", "wanted"),
    [
        ((3, 256, 256), 0.875, Box((0, 3), (16, 240), (16, 240))),
        ((1, 10, 7), 0.5, Box((0, 1), (2, 7), (1, 5))),  # of 7 pixels 3.5 are 4, one less in front than behind
        ((2, 4, 4), 0.01, Box((0, 2), (1, 2), (1, 2))),
    ],
)
def test_the_middle_of_every_slice(shape: tuple[int, int, int], share: float, wanted: Box) -> None:
    assert find_box(CentreCrop(name="centre", share=share), ramp_scan(shape)) == wanted


def test_a_detectors_box_is_for_all_slices_and_its_margin_stops_at_the_edge() -> None:
    found = find_box(CROP, ramp_scan((3, 4, 9)), lambda scan: Box((1, 2), (0, 3), (2, 6)))
    assert found == Box((0, 3), (0, 4), (1, 7))
    with pytest.raises(ConfigError, match=r"scan case1_day0 can't be cut by the detector yolo, which is not given"):
        find_box(CROP, ramp_scan())


def test_the_detector_of_a_run_lies_beside_it_under_the_same_fold() -> None:
    run = Path("runs/lgg/members/upp/fold2")
    assert detector_run(CROP, run) == Path("runs/lgg/members/yolo/fold2")


def test_members_of_every_kind_can_be_cropped() -> None:
    crop = {"name": "detector", "member": "yolo", "margin_px": 1}
    assert [crop_of(kind(data={"crop": crop})) for kind in (cls, seg25d, seg3d)] == [CROP] * 3
    assert crop_of(seg3d()) is None


def test_a_crop_without_the_box_of_a_scan_is_refused() -> None:
    boxes = {"a": whole_box((1, 1, 1))}
    refuse_without_boxes(None, ["a", "b"], {})
    refuse_without_boxes(CROP, ["a"], boxes)
    with pytest.raises(DataError, match=r"data\.crop detector cuts every scan to its box, but none is given for \['b'"):
        refuse_without_boxes(CROP, ["a", "b", "c"], boxes)
