"""ultralytics: kept to itself, off the network, and its boxes in a slice's own pixels."""

import os
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from casefold.config.detectors import Yolo
from casefold.core import ConfigError
from casefold.detect import yolo
from casefold.detect.yolo import average_precision, build_yolo, found_on

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", ["yolov5", "yolov8", "yolo11", "yolo26"])
def test_every_family_is_built_and_looks(family: str) -> None:
    net = build_yolo(Yolo.model_validate({"family": family}), 2).eval()
    picture = np.random.default_rng(0).integers(0, 255, (20, 50, 3), np.uint8)
    found = found_on(net, [picture] * 3, 64, 1e-6, 0.7, 2, CPU)
    assert len(found) == 3 and all(boxes.shape[1] == 6 for boxes in found)
    boxes = found[0]
    assert len(boxes) and (boxes[:, :4] >= 0).all() and (boxes[:, 2] <= 50).all() and (boxes[:, 3] <= 20).all()
    assert set(boxes[:, 5]) <= {0.0, 1.0}
    np.testing.assert_array_equal(found[1], boxes)
    assert [one.shape for one in found_on(net, [picture], 64, 0.99, 0.7, 2, CPU)] == [(0, 6)]


def test_it_finds_the_same_under_other_arithmetic() -> None:
    net = build_yolo(Yolo(), 1).eval()
    picture = np.random.default_rng(0).integers(0, 255, (20, 50, 3), np.uint8)
    alone = found_on(net, [picture], 64, 1e-6, 0.7, 2, CPU)[0]
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(found_on(net, [picture], 64, 1e-6, 0.7, 2, CPU)[0], alone)


def test_nothing_else_is_changed_and_nobody_is_told() -> None:
    build_yolo(Yolo(), 1)
    from ultralytics.utils import ONLINE
    from ultralytics.utils.events import Events

    assert not ONLINE and not Events().enabled
    assert Image.open.__module__ == "PIL.Image" and torch.save.__module__ == "torch.serialization"
    assert cv2.getNumThreads() > 0 and f"{np.float64(0.25)} {np.array([0.25])}" == "0.25 [0.25]"
    assert os.environ["YOLO_CONFIG_DIR"] and os.environ["YOLO_AUTOINSTALL"] == "0"


def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    yolo._import.cache_clear()
    monkeypatch.setitem(sys.modules, "ultralytics.nn.tasks", None)
    with pytest.raises(ConfigError, match=r"a detector wants the package `ultralytics` \(AGPL-3\.0\), .* install it"):
        build_yolo(Yolo(), 1)


def test_average_precision_of_none_that_are_there_is_nan() -> None:
    nothing = np.zeros(0)
    assert np.isnan(average_precision(np.zeros(0, np.bool_), nothing, nothing, nothing))
    assert average_precision(np.zeros(0, np.bool_), nothing, nothing, np.zeros(3)) == 0
