"""What a network runs in: torch, or on the CPU OpenVINO or ONNX Runtime, optional packages that are often faster."""

import importlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casefold.config.experiments import Cls, Experiment, Seg3d, Seg25d
from casefold.core import ConfigError, nearest_word
from casefold.models.build import Outputs, PaddedNet
from casefold.models.precision import resolve

logger = logging.getLogger(__name__)
Call = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]
OPSET = 17
PACKAGES: dict[str, tuple[str, ...]] = {"torch": (), "openvino": ("openvino",), "onnx": ("onnxruntime", "onnx")}


def by_engine(engine: str, net: PaddedNet, config: Experiment, modalities: int, device: torch.device) -> PaddedNet:
    """A trained network that runs in an engine, at the size at which the member reads; `torch` gives it back.

    Raises ConfigError for an unknown engine, one without its package, and another device than the CPU. A member that
    reads whole scans, each of another size, stays in torch with a warning.
    """
    if engine not in ENGINES:
        raise ConfigError(f"there is no engine {engine!r}{nearest_word(engine, list(ENGINES))}; known: {[*ENGINES]}")
    convert = ENGINES[engine]
    if convert is None:
        return net
    if device.type != "cpu":
        raise ConfigError(f"the engine {engine} is for the CPU; on {device.type} take `torch`")
    shape = input_shape(net, config, modalities)
    if shape is None:
        logger.warning("%s reads whole scans of any size: it stays in torch, not in %s", config.name, engine)
        return net
    example = torch.zeros(2, *shape)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        names = list(net.outputs(net.net(example)))
        call = convert(_Flat(net), example, resolve(config.train.precision, device))
    return PaddedNet(_EngineNet(call, names), net.multiple, _as_named)


def export_onnx(net: PaddedNet, config: Experiment, modalities: int, path: Path) -> None:
    """Write a trained network as ONNX in fp32, at the size at which the member reads, in batches of any size.

    Raises ConfigError without the packages that the engine needs, and for a member that reads whole scans.
    """
    check_packages("onnx")
    shape = input_shape(net, config, modalities)
    if shape is None:
        raise ConfigError(f"{config.name} reads whole scans of any size, but ONNX wants one; give data.patch")
    flat, example = _Flat(net), torch.zeros(2, *shape)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        _export_onnx(flat, example, path, list(net.outputs(net.net(example))))


def open_onnx(path: Path, multiple: tuple[int, ...]) -> PaddedNet:
    """What `export_onnx` wrote, in ONNX Runtime, with as many threads as torch has; multiple: the exported net's."""
    call, names = _session(path)
    return PaddedNet(_EngineNet(call, names), multiple, _as_named)


def check_packages(engine: str) -> None:
    """Raise ConfigError where an engine lacks one of its packages."""
    for name in PACKAGES[engine]:
        _package(name, engine)


class _Flat(nn.Module):
    """A network whose outputs come in a tuple, as engines want them; no longer in training."""

    def __init__(self, net: PaddedNet) -> None:
        super().__init__()
        self.net, self.outputs = net.net, net.outputs
        self.eval()  # all of it, or the exporter would set it back to training

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.outputs(self.net(image)).values())


class _EngineNet(nn.Module):
    """A compiled network as a module."""

    def __init__(self, call: Call, names: list[str]) -> None:
        super().__init__()
        self.call, self.names = call, names

    def forward(self, image: Tensor) -> Outputs:
        outputs = self.call(image.float().contiguous().numpy())
        return {name: torch.from_numpy(output) for name, output in zip(self.names, outputs, strict=True)}


def _as_named(outputs: Outputs) -> Outputs:
    return outputs


def input_shape(net: PaddedNet, config: Experiment, modalities: int) -> tuple[int, ...] | None:
    """Channels and sizes of what the net inside sees, padded; None where they differ from scan to scan."""
    size: tuple[int, ...] | None
    if isinstance(config, Seg3d):
        channels, size = modalities, config.data.patch
    elif isinstance(config, Seg25d | Cls):
        channels, size = modalities * len(config.data.window), config.data.size
    else:
        raise ConfigError(f"no engine is known for {type(config).__name__}")
    if size is None:
        return None
    return channels, *(-(-length // multiple) * multiple for length, multiple in zip(size, net.multiple, strict=True))


def _package(name: str, engine: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise ConfigError(
            f"the engine {engine} needs the package {name}, which can't be imported ({e}); install it, or take `torch`"
        ) from e


def _openvino(net: nn.Module, example: Tensor, precision: str) -> Call:
    ov = _package("openvino", "openvino")
    model = ov.convert_model(net, example_input=example)
    model.reshape([-1, *example.shape[1:]])
    compiled = ov.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32"}.get(precision, precision),
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request = compiled.create_infer_request()

    def call(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        found = request.infer([image])
        return [np.array(found[output], np.float32) for output in compiled.outputs]

    return call


def _onnx(net: nn.Module, example: Tensor, precision: str) -> Call:
    """In fp32, whatever the precision; ONNX Runtime has no bf16 on the CPU."""
    check_packages("onnx")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        _export_onnx(net, example, path)
        return _session(path)[0]


def _export_onnx(net: nn.Module, example: Tensor, path: Path, names: Sequence[str] | None = None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on itself and on shapes that are fixed here
        torch.onnx.export(
            net, (example,), str(path), input_names=["image"], output_names=names,
            dynamic_axes={"image": {0: "batch"}}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip


def _session(path: Path) -> tuple[Call, list[str]]:
    ort = _package("onnxruntime", "onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def call(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return list(session.run(None, {"image": image}))

    return call, [output.name for output in session.get_outputs()]


# None: the network stays as it is.
ENGINES: dict[str, Callable[[nn.Module, Tensor, str], Call] | None] = {
    "torch": None,
    "openvino": _openvino,
    "onnx": _onnx,
}
