"""Structured pruning: what adds to nothing goes and changes nothing; what is added together goes together."""

from typing import Any

import pytest
import torch
from torch import nn
from toy_nets import CLASSES, NETS, built, image_for, own, volume

from casefold.core import ConfigError
from casefold.models.build import build
from casefold.models.narrowing import narrowed, narrower
from casefold.models.wiring import wiring
from toy_members import cls, seg3d, seg25d

LEVELS: dict[str, Any] = {"channels": (8, 8, 16), "strides": ((1, 2, 2), 2)}
SWITCHES: dict[str, Any] = {"residual": True, "attention": True, "separable": True, "up": "linear"}
SHRINKABLE = {
    "plain_unet": NETS["plain_unet"],
    "plain_unet, switches": own("plain_unet", (8, 16), (8, 16), **SWITCHES, channels=(8, 8, 16), strides=(2, 2)),
    "plain_unet, strides": NETS["plain_unet, strides"],
    "3D plain_unet": NETS["3D plain_unet"],
    "3D unet": NETS["3D unet"],
    "3D unet, plain": NETS["3D unet, plain"],
    "attention_unet": NETS["attention_unet"],
    "dynunet": NETS["dynunet"],
    "segresnet, batch": NETS["segresnet, batch"],
}
GROUPED = {
    "residual_unet": volume({"arch": "residual_unet", "channels": (16, 32), "strides": (2,)}),
    "dynunet, deep": volume(
        {"arch": "dynunet", "channels": (16, 16, 32), "strides": (2, 2), "residual": True, "norm": "group",
         "deep_supervision": 1}
    ),
    "plain_unet": volume(
        {"arch": "plain_unet", "channels": (16, 16, 32), "strides": (2, 2), "norm": "group", "residual": True,
         "deep_supervision": 1}
    ),
    "segresnet": volume({"arch": "segresnet", "filters": 16, "blocks_down": (1, 1, 1), "blocks_up": (1, 1)}),
}  # fmt: skip


def kill(net: nn.Module, narrow: nn.Module, image: torch.Tensor) -> int:
    """Make filters nothing, as many of each convolution as the narrower net has less, every second one first."""
    dead = 0
    for name, units in wiring(net, image).gives.items():
        layer: Any = net.get_submodule(name)
        if layer.groups > 1:  # by channel: it gives on what it reads
            continue
        less = len(units) - narrow.get_submodule(name).out_channels  # type: ignore[operator]
        places = [*range(1, len(units), 2), *range(0, len(units), 2)][:less]
        dead += len(places)
        with torch.no_grad():
            weight = layer.weight.transpose(0, 1) if "Transpose" in type(layer).__name__ else layer.weight
            weight[places] = 0
            if layer.bias is not None:
                layer.bias[places] = 0
    return dead


@pytest.mark.parametrize("name", SHRINKABLE)
def test_filters_that_give_nothing_go_and_the_maps_stay(name: str) -> None:
    config, size = SHRINKABLE[name].config, SHRINKABLE[name].size
    net, image = built(config).eval(), image_for(config, size)
    narrow = build(narrower(config, 0.5), 1, CLASSES).eval()
    assert kill(net, narrow, image[:1]) > 0
    with torch.inference_mode():
        before = net(image)["maps"]
        after = narrowed(net, narrow, image[:1])(image)["maps"]
    assert before.std() > 0.01
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", GROUPED)
def test_under_a_group_norm_each_group_keeps_as_many(name: str) -> None:
    config = GROUPED[name]
    net, image = built(config), image_for(config, (8, 8, 8))[:1]
    narrow = narrowed(net, build(narrower(config, 0.5), 1, CLASSES), image)
    first = next(
        name
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Conv3d) and (layer.in_channels, layer.out_channels) == (1, 16)
    )
    wide, slim = (one.get_submodule(first).weight.detach() for one in (net, narrow))  # type: ignore[operator]
    places = [int((wide == own).flatten(1).all(1).nonzero()[0, 0]) for own in slim]
    assert [place // 2 for place in places] == [0, 1, 2, 3, 4, 5, 6, 7]  # of 8 groups of two, one of each


def test_of_two_filters_the_lighter_goes() -> None:
    config = own("plain_unet", (4, 4), (4, 4), channels=(2, 2), strides=(2,), norm="none", convolutions=1).config
    net = built(config)
    first: Any = net.get_submodule("net.first.body.0")
    with torch.no_grad():
        first.weight[0] *= 0.01
        heavy = first.weight[1].clone()
    narrow = narrowed(net, build(narrower(config, 0.5), 1, CLASSES), image_for(config, (4, 4))[:1])
    assert torch.equal(narrow.get_submodule("net.first.body.0").weight, heavy[None])  # type: ignore[arg-type]


def test_what_is_added_is_one_unit() -> None:
    config = own("plain_unet", (4, 4), (4, 4), channels=(2, 3), strides=(2,), residual=True, convolutions=2).config
    wires = wiring(built(config), image_for(config, (4, 4))[:1])
    assert (
        wires.gives["net.first.widen"] == wires.gives["net.first.body.3"]
    )  # the residual path and the last convolution
    assert not set(wires.gives["net.first.body.0"]) & set(wires.gives["net.first.body.3"])
    assert wires.reads["net.first.body.0"] == [None]  # the image
    assert wires.reads["net.up.0.body.0"] == [*wires.gives["net.first.body.3"], *wires.gives["net.enlarge.0"]]  # joined


@pytest.mark.parametrize(
    ("config", "amount", "widths"),
    [
        (volume({"arch": "unet", "channels": (8, 16, 32), "strides": (2, 2)}), 0.25, (6, 12, 24)),
        (volume({"arch": "unet", "channels": (8, 16, 32), "strides": (2, 2)}), 0.99, (1, 1, 1)),
        (volume({"arch": "residual_unet", "channels": (16, 32), "strides": (2,)}), 0.4, (8, 16)),  # multiples of 8
    ],
)
def test_each_level_loses_the_same_share(config: Any, amount: float, widths: tuple[int, ...]) -> None:
    found: Any = narrower(config, amount)
    assert found.model.channels == widths
    assert found.model_copy(update={"model": config.model}) == config


@pytest.mark.parametrize("config", [seg25d(), cls(), NETS["3D capsules"].config])
def test_a_net_without_widths_of_its_own_is_refused(config: Any) -> None:
    with pytest.raises(
        ConfigError, match=f"that of {config.name} gives none; it is for plain_unet, and in 3D for unet"
    ):
        narrower(config, 0.5)


def test_levels_that_become_as_wide_as_one_another_are_refused() -> None:
    config = own("plain_unet", (4, 4), (4, 4), channels=(2, 3), strides=(2,), residual=True).config
    with pytest.raises(ConfigError, match=r"the narrower net lacks \['net.down.0.1.widen'.*; take another amount"):
        narrowed(built(config), build(narrower(config, 0.9), 1, CLASSES), image_for(config, (4, 4))[:1])


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, groups=2)),
            "1 convolves 4 channels in 2 groups; no filter",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 4, 1), nn.Sigmoid(), nn.Conv2d(4, 4, 3)),
            "what 0 gives can't be followed to 2; no",
        ),
    ],
)
def test_what_can_not_be_followed_is_refused(net: nn.Module, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wiring(net, torch.zeros(1, 1, 4, 4))


def test_the_toy_u_net_shrinks() -> None:
    config = seg3d()
    net = built(config)
    narrow = narrowed(net, build(narrower(config, 0.5), 1, CLASSES), image_for(config, (4, 16, 16))[:1])
    wide, slim = (sum(p.numel() for p in one.parameters()) for one in (net, narrow))
    assert (wide, slim) == (
        1636,
        604,
    )  # 113 + 873 + 650 and 57 + 221 + 326: 27 weights a pair of channels, biases, PReLUs
