"""Our own 3D nets against MONAI's, and by hand."""

import torch
import torch.nn.functional as F
from monai.networks import nets
from toy_nets import CLASSES, NETS, built, image_for

from casefold.models.build import parameters
from casefold.models.volume_nets import ResidualBlock, ResidualUNet


def test_dynunet_is_monais_with_maps_left_small_and_each_weight_once() -> None:
    toy = NETS["dynunet, deep"]
    strides = [1, (1, 2, 2), 2, 2]
    monai = nets.DynUNet(
        3, 1, CLASSES, [3] * 4, strides, strides[1:], filters=(8, 8, 8, 8), norm_name=("group", {"num_groups": 8}),
        deep_supervision=True, deep_supr_num=2, res_block=True,
    )  # fmt: skip
    net, image = built(toy.config), image_for(toy.config, toy.size)
    state = {name: value for name, value in monai.state_dict().items() if not name.startswith("skip_layers.")}
    assert len(monai.state_dict()) > len(state) == len(net.state_dict())
    net.net.load_state_dict(state)
    wanted, found = monai.train()(image), net.train()(image)
    assert list(found) == ["maps", "maps@1", "maps@2"]
    for number, maps in enumerate(found.values()):
        assert torch.equal(F.interpolate(maps, toy.size), wanted[:, number])
    assert torch.equal(net.eval()(image)["maps"], monai.eval()(image))


def test_a_residual_block_adds_to_what_came() -> None:
    block = ResidualBlock(8, 8, 8)
    torch.nn.init.zeros_(block.residual[-1].weight)
    x = torch.linspace(-1, 1, 64).reshape(1, 8, 2, 2, 2)
    assert torch.equal(block(x), x.clamp(min=0))
    torch.nn.init.ones_(block.residual[-2].bias)
    block.residual[-1].weight.data[:, :, 1, 1, 1] = 1 / 8
    torch.nn.init.zeros_(block.residual[-2].weight)
    torch.testing.assert_close(block(x), x + 1)  # each channel is a mean of eight norms that are all 1


def test_the_residual_unets_weights_by_hand() -> None:
    net = ResidualUNet(1, 2, (8, 16), ((1, 2, 2),), 8)
    first = (1 * 8 + 8) + 2 * (2 * 8 + 27 * 8 * 8)
    down = (8 * 16 + 16) + 2 * (2 * 16 + 27 * 16 * 16)
    up = (27 * 16 * 8 + 8) + 2 * (2 * 8 + 27 * 8 * 8)
    assert parameters(net) == first + down + up + (8 * 2 + 2) == 24506


def test_the_residual_unet_sums_its_skips() -> None:
    net = ResidualUNet(1, 2, (8, 16), ((1, 2, 2),), 8)
    for weight in net.enlarge.parameters():
        torch.nn.init.zeros_(weight)
    image = torch.linspace(-1, 1, 32).reshape(1, 1, 2, 4, 4)
    assert torch.equal(net(image), net.last(net.up[0](net.first(image))))
