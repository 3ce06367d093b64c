"""Engines: a converted network stands where the torch one stood; what can't be is refused by name.

Neither OpenVINO nor ONNX Runtime is needed here; something that calls the network stands for them.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casefold.config.load import save
from casefold.core import ConfigError
from casefold.models import engines
from casefold.models.build import build
from casefold.models.engines import by_engine
from casefold.models.weights import WeightsInfo, save_weights
from casefold.predict import load_member, predict
from toy_members import cls, ramp_scan, seg3d, seg25d

CPU = torch.device("cpu")


class StandIn:
    """An engine that runs the network as it is, and keeps what it was given."""

    def __init__(self) -> None:
        self.converted: list[tuple[tuple[int, ...], str]] = []
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, net: nn.Module, example: Tensor, precision: str) -> engines.Call:
        self.converted.append((tuple(example.shape), precision))

        def call(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            assert image.dtype == np.float32 and image.flags.c_contiguous
            self.asked.append(image.shape)
            return [output.numpy() for output in net(torch.from_numpy(image))]

        return call


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()
    monkeypatch.setitem(engines.ENGINES, "stand_in", made)
    return made


def write_run(folder: Path, config: Any) -> Path:
    torch.manual_seed(0)
    info = WeightsInfo(config.name, "0", "", 1, ("a", "b"), ("case9",))
    save(config, folder / "config.yaml")
    save_weights(build(config, 1, 2).state_dict(), info, folder / "weights.safetensors")
    return folder


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        # 30 x 40 is padded to the next multiples of 32; three slices are three channels
        (seg25d(data={"size": (30, 40), "window": (-1, 0, 1)}, model={"presence_head": "classes"}), (3, 32, 64)),
        (cls(predict={"flips": ("x",)}), (1, 32, 32)),
        (seg3d(data={"patch": (3, 8, 8)}), (1, 4, 8, 8)),
    ],
    ids=["seg25d", "cls", "seg3d"],
)
def test_a_member_in_an_engine_says_what_it_says_in_torch(
    config: Any, shape: tuple[int, ...], stand_in: StandIn, tmp_path: Path
) -> None:
    run = write_run(tmp_path, config)
    scan = ramp_scan((5, 20, 18))
    plain, found = (predict(load_member([run], CPU, engine), scan, CPU) for engine in ("torch", "stand_in"))
    assert stand_in.converted == [((2, *shape), "fp32")]
    assert stand_in.asked and {size[1:] for size in stand_in.asked} == {shape}
    assert found.weights_hash == plain.weights_hash
    for one, other in ((plain.maps, found.maps), (plain.presence, found.presence)):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert np.abs(one.astype(int) - other).max() <= 1


def test_whole_scans_stay_in_torch_with_a_warning(stand_in: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    config = seg3d(data={"patch": None}, train={"batch_size": 1})
    net = build(config, 1, 2)
    with caplog.at_level(logging.WARNING):
        assert by_engine("stand_in", net, config, 1, CPU) is net
    assert caplog.messages == ["toy_3d reads whole scans of any size: it stays in torch, not in stand_in"]
    assert stand_in.converted == []


@pytest.mark.parametrize(
    ("engine", "package", "message"),
    [
        ("openvino", "openvino", "the engine openvino needs the package openvino, which can't be imported"),
        ("onnx", "onnxruntime", "the engine onnx needs the package onnxruntime, which can't be imported"),
    ],
)
def test_an_absent_package_is_named(
    engine: str, package: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"{message} .*; install it, or take `torch`"):
        load_member([write_run(tmp_path, cls())], CPU, engine)


def test_an_unknown_engine_lists_the_known_ones() -> None:
    config = cls()
    with pytest.raises(ConfigError, match=r"there is no engine 'opnvino' \(did you mean 'openvino'\?\); .*'onnx'"):
        by_engine("opnvino", build(config, 1, 2), config, 1, CPU)


def test_engines_are_for_the_cpu(stand_in: StandIn) -> None:
    config = cls()
    with pytest.raises(ConfigError, match="the engine stand_in is for the CPU; on cuda take `torch`"):
        by_engine("stand_in", build(config, 1, 2), config, 1, torch.device("cuda"))
