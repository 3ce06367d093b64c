"""From the boxes of slices to the one of a scan."""

from pathlib import Path

import numpy as np
import pytest
import torch

from casefold.config.load import save
from casefold.core import DataError
from casefold.detect import detect_box, scan_box
from casefold.models.weights import WeightsInfo, save_weights
from casefold.views import Box, whole_box
from toy_detector import Level, detect, stand_in
from toy_members import ramp_scan

SHAPE = (6, 20, 30)


def found(**slices: list[list[float]]) -> list[np.ndarray]:
    """Boxes x0, y0, x1, y1 by slice (s0, s1 ...), of six."""
    return [np.array(slices.get(f"s{z}", []), np.float32).reshape(-1, 4) for z in range(6)]


def test_the_box_holds_every_chain_and_no_lonely_one() -> None:
    boxes = found(s1=[[4.6, 3.2, 9.0, 8.0]], s2=[[6, 5, 12.1, 9]], s4=[[25, 15, 29, 19]], s5=[[0, 0, 2, 2]])
    assert scan_box(boxes, SHAPE, detect()) == Box((1, 3), (3, 9), (4, 13))


def test_two_chains_are_both_inside() -> None:
    boxes = found(s0=[[1, 1, 3, 3], [20, 10, 24, 14]], s1=[[1, 1, 3, 3], [20, 10, 24, 14]])
    assert scan_box(boxes, SHAPE, detect()) == Box((0, 2), (1, 14), (1, 24))


def test_a_margin_is_a_share_of_the_box_and_stops_at_the_border() -> None:
    boxes = found(s0=[[10, 2, 20, 18]], s1=[[10, 2, 20, 18]])
    assert scan_box(boxes, SHAPE, detect(find={"margin": 0.2})) == Box((0, 2), (0, 20), (8, 22))


def test_where_nothing_is_found_the_scan_stays_whole() -> None:
    assert scan_box(found(), SHAPE, detect()) == whole_box(SHAPE)
    assert scan_box(found(s3=[[1, 1, 5, 5]]), SHAPE, detect()) == whole_box(SHAPE)
    assert scan_box(found(s3=[[1, 1, 5, 5]]), SHAPE, detect(find={"min_slices": 1})) == Box((3, 4), (1, 5), (1, 5))


def test_a_scan_of_one_slice_needs_no_neighbours() -> None:
    assert scan_box(found(s0=[[1, 1, 5, 5]])[:1], (1, 20, 30), detect()) == Box((0, 1), (1, 5), (1, 5))


def test_slices_between_those_looked_at_belong_to_the_box() -> None:
    boxes = [np.array([[1, 1, 5, 5]], np.float32)] * 3
    assert scan_box(boxes, (5, 20, 30), detect(data={"every": 2})) == Box((0, 5), (1, 5), (1, 5))
    assert scan_box([boxes[0][:0], *boxes[1:]], (6, 20, 30), detect(data={"every": 2})) == Box((2, 6), (1, 5), (1, 5))


def test_a_box_past_the_border_is_cut_and_one_without_area_is_a_pixel() -> None:
    boxes = found(s0=[[-3, 19.5, 31, 25]], s1=[[28, 19, 28, 19]])
    assert scan_box(boxes, SHAPE, detect()) == Box((0, 2), (19, 20), (0, 30))


def test_a_new_scan_is_looked_at_by_the_runs_weights_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    cpu, run = torch.device("cpu"), tmp_path / "yolo" / "fold0"
    with pytest.raises(DataError, match=r"there is no detector .*fold0/weights\.safetensors"):
        detect_box(run, ramp_scan(), cpu)
    save(detect(), run / "config.yaml")
    info = WeightsInfo("yolo", "0", "", 1, ("blob",), ("case9",))
    save_weights(Level(100.0).state_dict(), info, run / "weights.safetensors")
    # of 0..59 minmax makes 0..255, so 24 and all behind it are above 100: the last row but one of slice 1 and on
    assert detect_box(run, ramp_scan(), cpu) == Box((1, 3), (0, 4), (0, 5))
    save_weights(Level(254.0).state_dict(), info, run / "weights.safetensors")
    assert detect_box(run, ramp_scan(), cpu) == whole_box((3, 4, 5))  # one slice has it: written anew, read anew
