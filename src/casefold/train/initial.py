"""What a run is built on: first weights, of which what does not match is named; a detector; and what these saw."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from casefold.config.inputs import DetectorCrop
from casefold.config.training import InitFrom
from casefold.core import ConfigError, DataError
from casefold.models.weights import read_info
from casefold.train.state import UNREADABLE
from casefold.views import BOXES, detector_run

logger = logging.getLogger(__name__)
SHOWN = 5
PREFIXES = ("module.", "net.", "model.", "network.")


@dataclass(frozen=True)
class Initial:
    """Where weights come from on which a run is built, and the cases and scans that they have seen."""

    path: Path
    seen_cases: tuple[str, ...]
    seen_scans: tuple[str, ...] = ()


def find_initial(config: InitFrom, run: Path, data: Path) -> Initial:
    """The file behind `train.init_from` for a run's folder; raises ConfigError where it is missing.

    data: CASEFOLD_DATA.
    """
    if config.file is not None:
        path = data / config.file
        if not path.is_file():
            raise ConfigError(f"train.init_from.file: there is no {path}")
        return Initial(path, config.seen)
    fold = run.name if config.fold == "same" else "full" if config.fold == "full" else f"fold{config.fold}"
    path = run.parents[1] / str(config.member) / fold / "weights.safetensors"
    if not path.is_file():
        raise ConfigError(f"train.init_from: there is no {path}; train {config.member} on that fold first")
    info = read_info(path)
    return Initial(path, info.seen_cases, info.seen_scans)


def find_detector(crop: DetectorCrop, run: Path) -> Initial:
    """The detector behind `data.crop` for a run's folder, and what it has seen; raises ConfigError where it is missing.

    Its folder holds `boxes.json`, and weights that say in their header what they have seen.
    """
    folder = detector_run(crop, run)
    path = folder / "weights.safetensors"
    if not path.is_file() or not (folder / BOXES).is_file():
        raise ConfigError(f"data.crop: there is no {path} with {BOXES}; train {crop.member} on that fold first")
    info = read_info(path)
    return Initial(path, info.seen_cases, info.seen_scans)


def load_initial(net: nn.Module, path: Path) -> None:
    """Copy every tensor that fits by name and shape; the others are named in the log.

    A name may carry a prefix in either (`module.`, `net.`), as a bundle's or a wrapper's do. Raises ConfigError where
    nothing fits, DataError where the file can't be read.
    """
    given, own = _read(path), net.state_dict()
    prefix = _best_prefix(given, own)
    fitting = {
        name: given[prefix(name)]
        for name in own
        if prefix(name) in given and given[prefix(name)].shape == own[name].shape
    }
    if not fitting:
        raise ConfigError(
            f"train.init_from: no tensor of {path} fits this net, {list(given)[:SHOWN]} against {list(own)[:SHOWN]}"
        )
    left = [name for name in own if name not in fitting]
    unused = len(given) - len(fitting)
    net.load_state_dict(own | fitting)
    logger.info("%s: %d of %d tensors taken, %d of its own not used", path, len(fitting), len(own), unused)
    if left:
        logger.info(
            "left as built: %s%s",
            ", ".join(left[:SHOWN]),
            f" and {len(left) - SHOWN} more" if len(left) > SHOWN else "",
        )


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (*UNREADABLE, SafetensorError) as e:
        raise DataError(f"{path} can't be read as weights: {(str(e) or type(e).__name__).splitlines()[0]}") from e
    for key in ("state_dict", "model", "model_state_dict", "network_weights"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{path} should hold a state dict, names to tensors; it holds a {type(content).__name__}")
    return content


def _best_prefix(given: dict[str, Tensor], own: dict[str, Tensor]) -> Callable[[str], str]:
    """From the net's names to the file's: the change of prefix under which most tensors fit."""
    changes = [partial(_exchange, old, new) for old in ("", *PREFIXES) for new in ("", *PREFIXES)]

    def fits(change: Callable[[str], str]) -> int:
        return sum(change(name) in given and given[change(name)].shape == own[name].shape for name in own)

    return max(changes, key=fits)


def _exchange(old: str, new: str, name: str) -> str:
    return new + name.removeprefix(old)
