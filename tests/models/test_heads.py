"""Deep supervision and the auxiliary head: the plain net's maps, heads on the stages they should read."""

from typing import Any

import pytest
import torch
from toy_nets import CLASSES, NETS, built, image_for

from casefold.core import ConfigError
from casefold.models.build import build
from toy_members import seg25d

CNN, CONVNEXT = {}, {"encoder": "tu-test_convnext"}


@pytest.mark.parametrize(
    ("toy", "heads"),
    [
        ("unet, deep", 4),
        ("unet, deep, aux, presence", 2),
        ("unetplusplus, deep", 3),
        ("unetplusplus, deep, convnext", 2),
        ("upernet, aux", 1),
    ],
)
def test_maps_and_presence_are_those_of_the_plain_net_whose_weights_fit(toy: str, heads: int) -> None:
    config, image = NETS[toy].config, image_for(NETS[toy].config, (64, 64))
    model = config.model.model_copy(update={"deep_supervision": 0, "aux_head": False})
    plain, net = built(config.model_copy(update={"model": model}), seed=1), built(config, seed=2)
    missing, unknown = net.load_state_dict(plain.state_dict(), strict=False)
    assert unknown == []
    assert {name.split(".")[1] for name in missing} <= {"deep_heads", "aux_head"}
    for training in (True, False):
        torch.manual_seed(0)
        wanted = plain.train(training)(image)
        torch.manual_seed(0)
        found = net.train(training)(image)
        assert all(torch.equal(found[name], value) for name, value in wanted.items())
        more = {f"maps@{number + 1}" for number in range(heads)} if training else set()
        assert found.keys() - wanted.keys() == more


@pytest.mark.parametrize(
    ("arch", "encoder", "read"),
    [
        ("unet", CNN, ["3", "2", "1", "0"]),
        ("unetplusplus", CNN, ["x_1_3", "x_2_3", "x_3_3"]),  # smp's x_i_3 are all nodes at half the size
        ("unetplusplus", CONVNEXT, ["x_1_2", "x_2_2"]),  # and x_i_2 at a fourth, where there is nothing at half
    ],
    ids=["unet", "unetplusplus", "unetplusplus, convnext"],
)
def test_each_head_reads_its_stage(arch: str, encoder: dict[str, Any], read: list[str]) -> None:
    config = seg25d(model={"arch": arch, "deep_supervision": len(read), **encoder})
    net, seen = built(config).train(), {}
    for name, block in net.net.decoder.blocks.named_children():
        block.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
    outputs = net(image_for(config, (64, 64)))
    for number, name in enumerate(read):
        assert torch.equal(outputs[f"maps@{number + 1}"], net.net.deep_heads[number](seen[name]))


def test_the_auxiliary_head_reads_the_encoder_at_a_16th_of_the_size() -> None:
    net = built(NETS["upernet, aux"].config).train()
    kinds = [type(part).__name__ for part in net.net.aux_head]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "Dropout2d", "Conv2d"]
    shapes = [tuple(weight.shape) for weight in net.net.aux_head.parameters() if weight.ndim > 1]
    assert shapes == [(256, 48, 3, 3), (CLASSES + 1, 256, 1, 1)]  # test_convnext is 24, 32, 48 and 64 wide
    assert net.net.aux_head[3].p == 0.1
    assert net.net.encoder.model.feature_info.reduction()[-2] == 16
    assert net.net.encoder.model.feature_info.channels()[-2] == 48


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"arch": "fpn", "deep_supervision": 1}, "model.deep_supervision: fpn has none; unet and unetplusplus have"),
        ({"arch": "unet", "deep_supervision": 5}, "unet over this encoder takes 4 at most, not 5"),
        ({"arch": "unetplusplus", "deep_supervision": 4}, "unetplusplus over this encoder takes 3 at most, not 4"),
        (
            {"arch": "unetplusplus", "deep_supervision": 3, **CONVNEXT},
            "unetplusplus over this encoder takes 2 at most, not 3",
        ),
        (
            {"arch": "pspnet", "aux_head": True},
            "model.aux_head: the encoder of pspnet stops before a 16th of the size; any other arch can",
        ),
    ],
)
def test_what_an_arch_has_not_is_refused_with_those_that_have(model: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(seg25d(model=model), 1, CLASSES)
