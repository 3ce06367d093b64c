"""Every net of the shipped configs at full size, on no device: a name that a library no longer takes is found."""

from pathlib import Path
from typing import Any

import pytest
import torch

from casefold.config.load import load_experiment
from casefold.models.build import build, map_channels

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
KINDS = ("cls", "seg25d", "seg3d", "smoke")
MEMBERS = sorted(f"{kind}/{path.stem}" for kind in KINDS for path in (CONFIGS / kind).glob("*.yaml"))
CLASSES = 3
ON_CPU = ("swinunetr", "mit_")  # while these are built, numbers are read from a tensor
MODALITIES = {"brats": 4, "camvid": 3, "rgb": 3}  # by the first word of a name; of the others 1


@pytest.mark.parametrize("member", MEMBERS)
def test_a_full_net_is_built_and_gives_maps_of_the_size_that_came(member: str) -> None:
    config: Any = load_experiment(CONFIGS, member)
    modalities = MODALITIES.get(config.name.partition("_")[0], 1)
    names = (getattr(config.model, "arch", ""), getattr(config.model, "encoder", ""))
    with torch.device("cpu" if any(name.startswith(ON_CPU) for name in names) else "meta"):
        net = build(config, modalities, CLASSES).eval().to("meta")
    with torch.device("meta"):
        size = config.data.patch if config.kind == "seg3d" else config.data.size
        channels = modalities * len(getattr(config.data, "window", (0,)))
        with torch.inference_mode():
            outputs = net(torch.empty(1, channels, *size))
    if config.kind == "cls":
        assert outputs["presence"].shape == (1, CLASSES)
    else:
        assert outputs["maps"].shape == (1, map_channels(config.model.activation, CLASSES), *size)
