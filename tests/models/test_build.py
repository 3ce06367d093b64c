"""Any size in, logits of that size out: padding exact, channels by window, map and memory format."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toy_nets import CLASSES, built, image_for

from casefold.config.experiments import Experiment
from casefold.core import ConfigError
from casefold.models.build import PaddedNet, build, map_channels, memory_format, parameters
from casefold.models.slices import SMP_ARCHS
from toy_members import ENCODER, cls, seg3d, seg25d

ANISOTROPIC = {"channels": (4, 4, 8), "strides": ((1, 2, 2), 2)}
SEGMENTERS: list[Any] = [
    *(pytest.param(seg25d(model={"arch": arch}), (35, 50), (64, 64), id=arch) for arch in SMP_ARCHS),
    pytest.param(seg25d(model={"encoder": "mobilenet_v2"}), (32, 33), (32, 64), id="an encoder of smp"),
    pytest.param(seg25d(data={"window": (-1, 0, 1)}), (64, 31), (64, 32), id="three slices"),
    pytest.param(seg25d(model={"activation": "softmax"}), (35, 50), (64, 64), id="softmax"),
    pytest.param(seg3d(), (9, 35, 50), (10, 36, 50), id="seg3d"),
    pytest.param(seg3d(model=ANISOTROPIC), (9, 35, 50), (10, 36, 52), id="seg3d, a stride by axis"),
    pytest.param(seg3d(model={"activation": "softmax", "norm": "batch"}), (3, 5, 7), (4, 6, 8), id="seg3d, softmax"),
]


def edge_padded(image: Tensor, size: tuple[int, ...]) -> Tensor:
    """The far border repeated until the size is reached."""
    short = [(0, wanted - have) for wanted, have in zip(size, image.shape[2:], strict=True)]
    return torch.from_numpy(np.pad(image.numpy(), [(0, 0), (0, 0), *short], mode="edge"))


@pytest.mark.parametrize(("config", "size", "inner"), SEGMENTERS)
def test_maps_have_the_size_that_came(config: Any, size: tuple[int, ...], inner: tuple[int, ...]) -> None:
    net, image = built(config).eval(), image_for(config, size)
    channels = CLASSES + (config.model.activation == "softmax")
    with torch.inference_mode():
        maps = net(image)["maps"]
        by_hand = net.net(edge_padded(image, inner))
    assert maps.shape == (2, channels, *size)
    assert maps.isfinite().all()
    assert by_hand.shape == (2, channels, *inner)
    assert torch.equal(maps, by_hand[(..., *(slice(length) for length in size))])


@pytest.mark.parametrize(("config", "axes"), [(cls(), 2), (seg25d(), 2), (seg3d(), 3)], ids=["cls", "seg25d", "seg3d"])
def test_modalities_are_channels_of_every_slice_of_the_window(config: Any, axes: int) -> None:
    windows = 1
    if axes == 2:
        windows, config = 3, config.model_copy(update={"data": config.data.model_copy(update={"window": (-2, 0, 2)})})
    net = built(config, modalities=2).eval()
    first = next(value for value in net.state_dict().values() if value.ndim == axes + 2)
    assert first.shape[1] == 2 * windows
    with torch.inference_mode():
        assert set(net(image_for(config, (32,) * axes, modalities=2))) == {
            "presence" if config.kind == "cls" else "maps"
        }


def test_a_classifier_takes_any_size_as_it_is() -> None:
    net, image = built(cls()).eval(), image_for(cls(), (35, 50))
    with torch.inference_mode():
        presence = net(image)["presence"]
        assert torch.equal(presence, net.net(image))
    assert presence.shape == (2, CLASSES)


class Halved(nn.Module):
    """Maps that are the image, and the means of every two columns."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"maps": image, "maps@1": F.avg_pool2d(image, (1, 2))}


def test_coarser_maps_stay_small_but_those_of_a_padded_image_are_enlarged_and_cropped() -> None:
    net = PaddedNet(Halved(), (1, 4), lambda outputs: outputs)
    whole = net(torch.tensor([[[[0.0, 2.0, 4.0, 6.0]]]]))
    assert {name: value.flatten().tolist() for name, value in whole.items()} == {"maps": [0, 2, 4, 6], "maps@1": [1, 5]}
    padded = net(torch.tensor([[[[0.0, 2.0, 4.0]]]]))
    # 0 2 4 4 has the means 1 and 4; four columns lie 1/4 and 3/4 of the way between them, or beyond
    assert {name: value.flatten().tolist() for name, value in padded.items()} == {
        "maps": [0, 2, 4],
        "maps@1": [1, 1 + 3 / 4, 1 + 3 * 3 / 4],
    }


def test_softmax_has_a_background_channel_in_front() -> None:
    assert (map_channels("sigmoid", 3), map_channels("softmax", 3)) == (3, 4)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="no network is known for Experiment"):
        build(Experiment(name="x", train={"epochs": 1}), 1, 1)


def test_parameters_by_hand() -> None:
    net = build(seg3d(), 1, CLASSES)
    down, bottom = 27 * 1 * 4 + 4, 27 * 4 * 8 + 8
    up = 27 * (4 + 8) * CLASSES + CLASSES
    slopes = 1 + 1  # one PReLU below, none after the last convolution
    assert parameters(net) == down + bottom + up + slopes


def test_slices_are_kept_channels_last() -> None:
    assert memory_format(build(seg25d(), 1, 1)) == torch.channels_last
    assert memory_format(build(seg3d(), 1, 1)) == torch.contiguous_format
    assert ENCODER in seg25d().model.encoder
