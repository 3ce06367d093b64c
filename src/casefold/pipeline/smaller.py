"""The smaller forms of a trained member: pruned, narrowed, halved, exported; each written as a run that can predict."""

import gzip
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from casefold.bundle.weights import halved
from casefold.config.experiments import Experiment, as_plain
from casefold.config.load import dump, save
from casefold.core import ConfigError, nearest_word
from casefold.files import hash_value
from casefold.models.build import PaddedNet, build
from casefold.models.engines import check_packages, export_onnx, input_shape
from casefold.models.narrowing import narrowed, narrower
from casefold.models.pruning import convolutions, levels, zero_least
from casefold.models.weights import WeightsInfo, load_weights, read_info, save_weights

AS_TRAINED, ALL = "as trained", "all"
WEIGHTS, ONNX = "weights.safetensors", "net.onnx"
ZEROS = "on paper: the compressed file alone; zeros are kept and multiplied like other numbers"
WAYS = {
    "global": ZEROS,
    "pair": ZEROS,
    "structured": "file, time and memory: the net is narrower",
    "half": "the file alone: it is computed as before",
    "onnx": "what ONNX Runtime, in fp32, does better than torch",
}  # and what each saves
MB = 1e6


@dataclass(frozen=True)
class Form:
    """A form of a member: how it was made smaller, by how much, and on which level of its net."""

    way: str = AS_TRAINED
    amount: float = 0.0
    level: str = ALL


@dataclass(frozen=True)
class Trained:
    """A trained member that is to be made smaller."""

    config: Experiment
    net: PaddedNet
    info: WeightsInfo

    @classmethod
    def read(cls, config: Experiment, run: Path) -> "Trained":
        """From its run."""
        info = read_info(run / WEIGHTS)
        net = build(config, info.modalities, len(info.classes))
        load_weights(net, run / WEIGHTS)
        return cls(config, net.eval(), info)

    @property
    def image(self) -> Tensor:
        """A blank image (1, channel, *spatial) of the size that the net reads, or of a small one where any will do."""
        shape = input_shape(self.net, self.config, self.info.modalities)
        return torch.zeros(1, *(shape or (self.info.modalities, *(2 * least for least in self.net.multiple))))


def forms(trained: Trained, amounts: Sequence[float], ways: Sequence[str]) -> list[Form]:
    """The member as it is, then each way at each amount; `pair` for each level of the net."""
    found = [Form()]
    for way in ways:
        if way in ("half", "onnx"):
            found.append(Form(way))
        elif way == "pair":
            found += [Form(way, amount, level) for level in levels(trained.net, trained.image) for amount in amounts]
        else:
            found += [Form(way, amount) for amount in amounts]
    return found


def refuse_way(trained: Trained, way: str) -> None:
    """Raise ConfigError for an unknown way, and for one that this member or this machine does not have."""
    if way not in WAYS:
        raise ConfigError(
            f"there is no way {way!r} to compress{nearest_word(way, list(WAYS))}; known: {', '.join(WAYS)}"
        )
    if way == "structured":
        narrower(trained.config, 0.5)
    if way == "onnx":
        check_packages("onnx")
        if input_shape(trained.net, trained.config, trained.info.modalities) is None:
            raise ConfigError(f"{trained.config.name} reads whole scans of any size, but ONNX wants one")


def write_form(trained: Trained, form: Form, run: Path, name: str | None = None) -> dict[str, float]:
    """Write a form as a run, config and weights, and say how large it is.

    name: the member's, if it is to be another. The cases that it has seen are those of the member. Under `onnx` an ONNX
    file lies beside the weights, and its size is what counts.
    """
    config, net = _smaller(trained, form)
    config = config if name is None else type(config).model_validate(as_plain(config) | {"name": name})
    info = replace(trained.info, member=config.name, config_hash=hash_value(dump(config)))
    state = net.state_dict()
    save(config, run / "config.yaml")
    save_weights(halved(state) if form.way == "half" else state, info, run / WEIGHTS)
    if form.way == "onnx":
        export_onnx(net, config, info.modalities, run / ONNX)
    content = (run / (ONNX if form.way == "onnx" else WEIGHTS)).read_bytes()
    weights = list(net.parameters())
    return {
        "parameters": sum(weight.numel() for weight in weights),
        "nonzero": sum(int(weight.count_nonzero()) for weight in weights),
        "mb": len(content) / MB,
        "gzip_mb": len(gzip.compress(content, 6)) / MB,
    }


def _smaller(trained: Trained, form: Form) -> tuple[Experiment, PaddedNet]:
    if form.way == "structured":
        config = narrower(trained.config, form.amount)
        narrow = build(config, trained.info.modalities, len(trained.info.classes))
        blank = torch.zeros(1, trained.image.shape[1], *trained.net.multiple)  # the least that both nets take
        try:
            return config, narrowed(trained.net, narrow, blank).eval()
        except ConfigError as e:
            raise ConfigError(f"structured pruning by {form.amount:g}: {e}") from e
    net = deepcopy(trained.net)
    if form.way == "global":
        zero_least(net, convolutions(net), form.amount)
    elif form.way == "pair":
        zero_least(net, levels(net, trained.image)[form.level], form.amount)
    return trained.config, net
