"""Weights on disk: safetensors with what they were made from in the header, loaded strictly.

torch is imported where tensors are, for it takes a process 260 MB, and many only read headers.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from casefold.core import DataError
from casefold.files import hash_file, write_bytes

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class WeightsInfo:
    """What a weights file says of itself.

    seen_cases: every case the weights learnt from, by any way; under a `time` table seen_scans takes its place.
    """

    member: str
    fold: str
    config_hash: str
    modalities: int
    classes: tuple[str, ...]
    seen_cases: tuple[str, ...]
    seen_scans: tuple[str, ...] = ()
    selected_on_fold: bool = False


def save_weights(state: "dict[str, Tensor]", info: WeightsInfo, path: Path) -> None:
    """Write tensors and info as one safetensors file, atomically."""
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    write_bytes(path, save(tensors, {"casefold": json.dumps(asdict(info))}))


def read_info(path: Path) -> WeightsInfo:
    """The info of a weights file; raises DataError for a missing, cut or foreign file."""
    try:
        with safe_open(path, "np") as stream:
            metadata: dict[str, str] = stream.metadata() or {}
    except (OSError, SafetensorError) as e:
        what = "put the file back, or train that fold again with --redo"
        raise DataError(f"weights {path} can't be read ({e}); {what}") from e
    if "casefold" not in metadata:
        raise DataError(f"{path} holds no casefold header, so nobody knows which cases it has seen")
    content: dict[str, Any] = json.loads(metadata["casefold"])
    for name in ("classes", "seen_cases", "seen_scans"):
        content[name] = tuple(content[name])
    return WeightsInfo(**content)


def load_weights(net: "nn.Module", path: Path) -> tuple[WeightsInfo, str]:
    """Load strictly into `net`; gives the info and the file's hash. Raises DataError naming what does not fit."""
    from safetensors.torch import load_file

    info = read_info(path)
    try:
        net.load_state_dict(load_file(path))
    except RuntimeError as e:
        raise DataError(f"{path} does not fit its network: {e}") from e
    return info, hash_file(path)
