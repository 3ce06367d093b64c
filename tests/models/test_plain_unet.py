"""The plain U-Net: each switch by the weights it brings, and by hand; skips, gates, heads, checkpointing, sizes."""

from typing import Any

import pytest
import torch
from recomputed import both_ways
from torch import Tensor, nn
from toy_nets import CLASSES, NETS, built, image_for, own, volume

from casefold.config.inputs import SliceData
from casefold.config.own_networks import PlainUnet2d
from casefold.core import ConfigError
from casefold.models.build import build, parameters
from casefold.models.plain_unet import Gate, PlainUNet, Stage

BARE = {"arch": "plain_unet", "channels": (8, 16), "strides": (2,), "convolutions": 1, "norm": "none"}
FIRST, DOWN, UP = 9 * 1 * 8 + 8, 9 * 8 * 16 + 16, 9 * 16 * 8 + 8
ENLARGE, LAST = 4 * 16 * 8 + 8, 8 * 2 + 2
WHOLE = FIRST + DOWN + ENLARGE + UP + LAST


def bare(**changes: Any) -> PlainUnet2d:
    return PlainUnet2d.model_validate(BARE | changes)


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({}, WHOLE),
        ({"convolutions": 2}, WHOLE + (9 * 8 * 8 + 8) + (9 * 16 * 16 + 16) + (9 * 8 * 8 + 8)),
        ({"residual": True}, WHOLE + (1 * 8 + 8) + (8 * 16 + 16) + (16 * 8 + 8)),
        ({"attention": True}, WHOLE + 4 * 8 * 4 + (16 * 4 + 4) + (4 + 1)),
        ({"separable": True}, WHOLE - DOWN - UP + (9 * 8 + 8 * 16 + 16) + (9 * 16 + 16 * 8 + 8)),
        ({"norm": "batch"}, WHOLE + 8 + 16 + 8),  # a scale and a shift a channel in place of the bias
        ({"norm": "instance"}, WHOLE + 8 + 16 + 8),
        ({"norm": "group"}, WHOLE + 8 + 16 + 8),
        ({"act": "prelu"}, WHOLE + 3),
        ({"act": "leakyrelu"}, WHOLE),
        ({"up": "linear"}, WHOLE - ENLARGE + (16 * 8 + 8)),
        ({"dropout": 0.5}, WHOLE),
        ({"channels": (8, 16, 8), "strides": (2, 2), "deep_supervision": 1},
         WHOLE + (9 * 16 * 8 + 8) + (4 * 8 * 16 + 16) + (9 * 32 * 16 + 16) + (16 * 2 + 2)),
    ],
)  # fmt: skip
def test_each_switch_brings_its_weights(changes: dict[str, Any], weights: int) -> None:
    assert parameters(PlainUNet(bare(**changes), 1, 2)) == weights


@pytest.mark.parametrize(
    ("norm", "kind"),
    [("none", None), ("batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d), ("group", nn.GroupNorm)],
)
def test_the_norm_is_the_one_asked_for(norm: str, kind: type[nn.Module] | None) -> None:
    net = PlainUNet(bare(norm=norm), 1, 2)
    assert {type(part) for part in net.modules() if "Norm" in type(part).__name__} == ({kind} if kind else set())


def test_the_skip_is_joined_in_front_of_what_comes_up() -> None:
    net, image = PlainUNet(bare(), 1, 2).eval(), torch.linspace(-1, 1, 48).reshape(1, 1, 6, 8)
    skip = net.first(image)
    below = net.down[0][1](torch.nn.functional.max_pool2d(skip, 2))
    assert torch.equal(net(image), net.last(net.up[0](torch.cat([skip, net.enlarge[0](below)], dim=1))))


def test_a_residual_level_adds_to_what_came_before_the_last_activation() -> None:
    stage = Stage(bare(residual=True, convolutions=2), 2, 8, 8)
    for weight in stage.body.parameters():
        nn.init.zeros_(weight)
    x = torch.linspace(-1, 1, 32).reshape(1, 8, 2, 2)
    assert torch.equal(stage(x), x.clamp(min=0))


def test_a_level_without_norm_keeps_the_spread_of_what_came() -> None:
    torch.manual_seed(0)
    for separable in (False, True):
        level = nn.Sequential(*(Stage(bare(separable=separable), 2, 32, 32) for _ in range(8)))
        x = torch.randn(1, 32, 64, 64)
        assert 0.1 < level(x).square().mean() < 2  # torch's own start would leave 1e-6


@pytest.mark.parametrize(("activation", "biases"), [("sigmoid", [-3.0, -3.0, -3.0]), ("softmax", [3.0, 0.0, 0.0])])
def test_maps_start_near_empty(activation: str, biases: list[float]) -> None:
    net = PlainUNet(bare(activation=activation, channels=(8, 8, 8), strides=(2, 2), deep_supervision=1), 1, 3)
    assert [head.bias.tolist() for head in (net.last, *net.heads)] == [biases, biases]


def gate_with(bias: float) -> Gate:
    gate = Gate(2, 4, 8, (2, 2))
    nn.init.zeros_(gate.share.weight)
    nn.init.constant_(gate.share.bias, bias)
    return gate


@pytest.mark.parametrize(("bias", "share"), [(0.0, 0.5), (40.0, 1.0), (-200.0, 0.0)])
def test_a_gate_lets_a_share_of_the_skip_pass(bias: float, share: float) -> None:
    skip = torch.linspace(-1, 1, 64).reshape(1, 4, 4, 4)
    assert torch.equal(gate_with(bias)(skip, torch.ones(1, 8, 2, 2)), skip * share)


def test_a_gate_hears_the_level_below_at_its_place() -> None:
    gate = Gate(2, 2, 1, (2, 2))
    for weight, value in ((gate.fine.weight, 0.0), (gate.coarse.weight, 1.0), (gate.share.weight, 80.0)):
        nn.init.constant_(weight, value)
    nn.init.zeros_(gate.coarse.bias)
    nn.init.constant_(gate.share.bias, -40.0)
    below = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    passed = gate(torch.ones(1, 2, 4, 4), below)
    # shares of 1 and 0 enlarged: the outer voxels are those of their own side, the inner ones a quarter of the way over
    row = torch.tensor([1.0, 3 / 4, 1 / 4, 0.0])
    torch.testing.assert_close(passed, (row[:, None] * row).expand(1, 2, 4, 4))


def test_each_head_reads_the_level_it_is_named_for() -> None:
    net, seen = built(NETS["plain_unet, every switch"].config).train(), {}
    for level, stage in enumerate(net.net.up):
        stage.register_forward_hook(lambda _, __, output, level=level: seen.update({level: output}))
    outputs = net(image_for(NETS["plain_unet, every switch"].config, (16, 32)))
    assert list(outputs) == ["maps", "maps@1", "maps@2"]
    assert torch.equal(outputs["maps"], net.net.last(seen[0]))
    for level in (1, 2):
        assert torch.equal(outputs[f"maps@{level}"], net.net.heads[level - 1](seen[level]))


@pytest.mark.parametrize("toy", ["plain_unet, strides", "plain_unet, every switch", "3D plain_unet, every switch"])
def test_checkpointing_keeps_less_and_gives_the_same_gradients(toy: str) -> None:
    kept, recomputed = both_ways(NETS[toy])
    assert recomputed < kept


@pytest.mark.parametrize("axes", [2, 3])
def test_dropout_draws_in_training_and_not_out_of_it(axes: int) -> None:
    model = {"arch": "plain_unet", "channels": (8, 16), "strides": (2,), "dropout": 0.5}
    config = volume(model, (4, 8, 8)) if axes == 3 else own(**model, size=(8, 8), odd=()).config
    net, image, found = built(config), image_for(config, (8,) * axes), {}
    for training in (True, False):
        for seed in (0, 1, 0):
            torch.manual_seed(seed)
            found.setdefault(training, []).append(net.train(training)(image)["maps"])
    assert not torch.equal(found[True][0], found[True][1])
    assert torch.equal(found[True][0], found[True][2])
    assert torch.equal(found[False][0], found[False][1])


def test_images_are_padded_to_what_the_strides_ask_for_and_no_further() -> None:
    seen: list[Tensor] = []
    net = built(NETS["plain_unet, strides"].config).eval()
    net.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert net(torch.zeros(1, 1, 11, 13))["maps"].shape == (1, CLASSES, 11, 13)
    assert [tuple(image.shape) for image in seen] == [(1, 1, 12, 18)]


def test_slices_of_one_pixel_at_the_deepest_level_are_refused_where_a_norm_stands() -> None:
    model = {"arch": "plain_unet", "channels": (8, 8, 8), "strides": (2, 2)}
    wanted = r"data\.size: 4 x 3 leaves one voxel at the deepest level of this plain_unet, .* take more than 4 x 4"
    with pytest.raises(ConfigError, match=wanted):
        build(own(**model, size=(4, 3), odd=()).config, 1, CLASSES)
    bare_net = built(own(**model, norm="none", size=(4, 3), odd=()).config)
    assert bare_net.train()(torch.zeros(1, 1, 4, 3))["maps"].shape == (1, CLASSES, 4, 3)
    patched = own(**model, size=(32, 32), odd=()).config.model_copy(
        update={"data": SliceData(window=(0,), size=(32, 32), train_patch=(4, 3))}
    )
    with pytest.raises(ConfigError, match=wanted.replace("size", "train_patch")):
        build(patched, 1, CLASSES)
