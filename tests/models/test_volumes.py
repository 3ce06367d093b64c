"""The 3D nets: sizes and depths of their levels, MONAI's weights, dropout, checkpointing, what is refused."""

from typing import Any

import pytest
import torch
from monai.networks import nets
from recomputed import both_ways
from torch import nn
from toy_nets import CLASSES, NETS, SWIN, Size, built, image_for, volume

from casefold.config.networks import Unet3d
from casefold.core import ConfigError
from casefold.models.build import build
from casefold.models.volumes import level_depths, size_multiple
from toy_members import seg3d

MULTIPLES = {
    "3D unet": (2, 4, 4),
    "3D unet, plain": (2, 4, 4),
    "attention_unet": (2, 4, 4),
    "residual_unet": (2, 4, 4),
    "dynunet": (2, 4, 4),
    "dynunet, deep": (4, 8, 8),
    "segresnet": (4, 4, 4),
    "segresnet, batch": (2, 2, 2),
    "segresnet, deep": (4, 4, 4),
    "flexible_unet, resnet": (32, 32, 32),
    "flexible_unet, efficientnet": (32, 32, 32),
    "swinunetr": (32, 32, 32),
    "unetr": (16, 16, 16),
    "3D plain_unet": (2, 4, 4),
    "3D plain_unet, every switch": (2, 4, 4),
    "3D capsules": (2, 4, 4),
}


def test_what_each_wants_its_sizes_to_be_multiples_of() -> None:
    toys = {name: toy for name, toy in NETS.items() if toy.config.kind == "seg3d"}
    assert {name: size_multiple(toy.config.model) for name, toy in toys.items()} == MULTIPLES


@pytest.mark.parametrize(
    ("depth", "levels"), [(16, [16, 16, 8, 4]), (8, [8, 8, 4, 2]), (9, [12, 12, 6, 3]), (1, [4, 4, 2, 1])]
)
def test_level_depths_are_those_after_padding(depth: int, levels: list[int]) -> None:
    model = Unet3d(arch="unet", channels=(4, 8, 16, 32), strides=((1, 2, 2), 2, 2))
    assert level_depths(model, depth) == levels


@pytest.mark.parametrize("name", MULTIPLES)
def test_level_depths_are_those_at_which_convolutions_work(name: str) -> None:
    toy, seen = NETS[name], set()
    net = built(toy.config).eval()
    for part in net.modules():
        if isinstance(part, nn.Conv3d | nn.ConvTranspose3d):
            part.register_forward_hook(lambda _, __, output: seen.add(output.shape[2:]))
    with torch.inference_mode():
        net(image_for(toy.config, toy.odd))
    depths = {size[0] for size in seen if size.numel() > 1}  # of an EfficientNet's squeezed channels one voxel is left
    assert depths == set(level_depths(toy.config.model, toy.odd[0]))


def test_the_unets_weights_are_named_as_they_were() -> None:
    config = seg3d(model={"channels": (4, 8, 16), "strides": ((1, 2, 2), 2), "res_units": 2})
    monai = nets.UNet(3, 1, CLASSES, (4, 8, 16), ((1, 2, 2), 2), num_res_units=2, norm="INSTANCE", dropout=0.0)
    wanted = {f"net.{name}": value.shape for name, value in monai.state_dict().items()}
    assert {name: value.shape for name, value in build(config, 1, CLASSES).state_dict().items()} == wanted


def test_the_first_of_uw_madisons_segresnet() -> None:
    config = volume({"arch": "segresnet", "filters": 12, "norm": "batch", "act": "prelu"}, (80, 224, 224))
    net = build(config, 1, 3).net
    monai = nets.SegResNet(3, 12, 1, 3, act="PRELU", norm="BATCH", blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1))
    assert isinstance(net, nets.SegResNet)
    net.load_state_dict(monai.state_dict())
    assert {type(part) for part in net.modules() if "Norm" in type(part).__name__} == {nn.BatchNorm3d}
    assert any(isinstance(part, nn.PReLU) for part in net.modules())


def test_unetr_is_monais_for_the_patch_as_padded_and_trains_no_weight_that_is_not_read() -> None:
    config = volume({"arch": "unetr", "feature_size": 2, "hidden_size": 12, "mlp_size": 16, "heads": 3}, (20, 32, 33))
    net = build(config, 1, CLASSES).net
    monai = nets.UNETR(1, CLASSES, (32, 32, 48), feature_size=2, hidden_size=12, mlp_dim=16, num_heads=3)
    net.load_state_dict(monai.state_dict())
    assert net.vit.patch_embedding.position_embeddings.shape == (1, 2 * 2 * 3, 12)
    frozen = {name for name, weight in net.named_parameters() if not weight.requires_grad}
    assert len(frozen) == 12 * 2 and all(".norm_cross_attn." in name for name in frozen)


def test_unetr_is_as_large_as_the_paper_has_it() -> None:
    with torch.device("meta"):
        net = build(volume({"arch": "unetr"}, (96, 96, 96)), 1, 14)
    vit = net.net.vit
    assert (len(vit.blocks), vit.norm.normalized_shape, vit.blocks[0].mlp.linear1.out_features) == (12, (768,), 3072)
    assert vit.blocks[0].attn.num_heads == 12


def test_a_patch_of_one_voxel_at_the_deepest_level_is_taken_where_no_norm_stands() -> None:
    for model in ({"arch": "capsules"}, {"arch": "plain_unet", "norm": "none"}):
        config = volume(model, (8, 8, 8))
        assert built(config).train()(image_for(config, (8, 8, 8)))["maps"].shape == (2, CLASSES, 8, 8, 8)


SEGRESNET = {"filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)}
FLEXIBLE = {"arch": "flexible_unet", "backbone": "resnet10", "decoder_channels": (8, 8, 8, 8, 8)}
UNETR = {"feature_size": 2, "hidden_size": 12, "mlp_size": 16, "heads": 3}
UNET = {"channels": (8, 16), "strides": (2,)}


@pytest.mark.parametrize(
    ("model", "rate", "size"),
    [
        ({"arch": "unet", **UNET}, "dropout", (4, 8, 8)),
        ({"arch": "attention_unet", **UNET}, "dropout", (4, 8, 8)),
        ({"arch": "segresnet", **SEGRESNET}, "dropout", (4, 8, 8)),
        (FLEXIBLE, "dropout", (32, 32, 64)),
        ({"arch": "unetr", **UNETR}, "dropout", (32, 32, 64)),
        *(({"arch": "swinunetr", **SWIN}, f"{what}dropout", (32, 32, 64)) for what in ("", "attention_", "path_")),
    ],
)
def test_dropout_draws_in_training_and_not_out_of_it(model: dict[str, Any], rate: str, size: Size) -> None:
    for share in (0.0, 0.5):
        config = volume({**model, rate: share}, size)
        net, image, found = built(config), image_for(config, size), {}
        for training in (True, False):
            for seed in (0, 1):
                torch.manual_seed(seed)
                with torch.no_grad():
                    found.setdefault(training, []).append(net.train(training)(image)["maps"])
        assert torch.equal(*found[True]) == (share == 0)
        assert torch.equal(*found[False])


def test_checkpointing_keeps_less_and_gives_the_same_gradients() -> None:
    kept, recomputed = both_ways(NETS["swinunetr"])
    assert recomputed < kept


@pytest.mark.parametrize("arch", ["unet", "segresnet", "dynunet", "unetr"])
def test_a_net_without_checkpointing_is_named(arch: str) -> None:
    wanted = rf"train\.gradient_checkpointing: {arch} has none; of the 3D nets, swinunetr, plain_unet, capsules have"
    with pytest.raises(ConfigError, match=wanted):
        build(volume({"arch": arch}, gradient_checkpointing=True), 1, CLASSES)


@pytest.mark.parametrize(
    ("model", "patch", "message"),
    [
        (
            {"arch": "swinunetr"},
            (32, 32, 32),
            r"data\.patch: 32 x 32 x 32 leaves one voxel at the deepest level of this swinunetr, .* than 32 x 32 x 32",
        ),
        (
            {"arch": "unet", "channels": (4, 8), "strides": ((1, 2, 2),)},
            (1, 2, 2),
            r"data\.patch: 1 x 2 x 2 leaves one voxel .* of this unet, .* take more than 1 x 2 x 2, or fewer levels",
        ),
        ({"arch": "plain_unet", "channels": (8, 8), "strides": (2,)}, (2, 2, 2), "one voxel at .* of this plain_unet"),
        ({"arch": "unetr"}, None, r"data\.patch: unetr learns a place for each cube of one size; give a patch"),
        (
            {"arch": "flexible_unet", "backbone": "resnet_34"},
            (64, 64, 64),
            r"model\.backbone: 'resnet_34' is not known \(did you mean 'resnet34'\?\); take one of .*efficientnet-b0",
        ),
    ],
)
def test_what_cannot_be_built_is_told(model: dict[str, Any], patch: Size | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(volume(model, patch, batch_size=1), 1, CLASSES)
