"""Unstructured pruning: the least weights of the convolutions that are named, together, become 0."""

from typing import Any

import pytest
import torch
from torch import nn
from toy_nets import NETS, built, image_for, own, volume

from casefold.models.pruning import convolutions, levels, zero_least


def two() -> nn.Sequential:
    """Two convolutions with weights 1, -2, 3 and -4, 5, 6."""
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.ConvTranspose2d(3, 1, 1))
    with torch.no_grad():
        for number, values in ((0, [1.0, -2.0, 3.0]), (2, [-4.0, 5.0, 6.0])):
            layer: Any = net[number]
            layer.weight.copy_(torch.tensor(values).view_as(layer.weight))
    return net


@pytest.mark.parametrize(
    ("names", "amount", "left"),
    [
        (["0", "2"], 0.5, [0, 0, 0, -4, 5, 6]),  # together, the first loses all
        (["2"], 0.34, [1, -2, 3, 0, 5, 6]),
        (["0", "2"], 0.0, [1, -2, 3, -4, 5, 6]),
        (["0", "2"], 0.7, [0, 0, 0, 0, 5, 6]),
    ],
)
def test_the_least_weights_of_the_named_become_zero(names: list[str], amount: float, left: list[float]) -> None:
    net = two()
    biases = [net[0].bias.clone(), net[2].bias.clone()]  # type: ignore[operator]
    zero_least(net, names, amount)
    assert [value for name in ("0", "2") for value in net.get_submodule(name).weight.flatten().tolist()] == left  # type: ignore[operator]
    assert [torch.equal(one, layer.bias) for one, layer in zip(biases, (net[0], net[2]), strict=True)] == [True, True]  # type: ignore[arg-type]
    assert sorted(net.state_dict()) == ["0.bias", "0.weight", "2.bias", "2.weight"]


def test_a_level_is_an_encoder_block_with_its_decoder_block() -> None:
    config = own("plain_unet", (8, 16), (8, 16), channels=(2, 2, 2), strides=(2, 2), convolutions=1, norm="none").config
    net = built(config)
    assert convolutions(net) == [
        *("net.first.body.0", "net.down.0.1.body.0", "net.down.1.1.body.0"),
        *("net.enlarge.0", "net.enlarge.1", "net.up.0.body.0", "net.up.1.body.0", "net.last"),
    ]
    assert levels(net, image_for(config, (8, 16))) == {
        "8 x 16": ["net.first.body.0", "net.enlarge.0", "net.up.0.body.0", "net.last"],
        "4 x 8": ["net.down.0.1.body.0", "net.enlarge.1", "net.up.1.body.0"],
        "2 x 4": ["net.down.1.1.body.0"],
    }


def test_every_convolution_of_a_3d_net_is_of_one_level() -> None:
    config = volume({"arch": "residual_unet", "channels": (8, 16), "strides": (2,)})
    net = built(config)
    found = levels(net, image_for(config, (4, 8, 8)))
    assert [*found] == ["4 x 8 x 8", "2 x 4 x 4"]
    assert sorted(name for names in found.values() for name in names) == sorted(convolutions(net))
    assert [name.split(".")[1] for name in found["2 x 4 x 4"]] == ["down"] * 3


def test_what_follows_a_global_pooling_is_of_no_level() -> None:
    net, config = built(NETS["unet"].config), NETS["unet"].config  # squeeze and excitation in its encoder
    found = levels(net, image_for(config, (64, 64)))
    assert [*found] == ["64 x 64", "32 x 32", "16 x 16", "8 x 8", "4 x 4", "2 x 2"]
    pooled = set(convolutions(net)) - {name for names in found.values() for name in names}
    assert pooled and all(".se." in name for name in pooled)
