"""Capsules: squashing and routing by hand, who hears whom, the start, the logits, and that they learn."""

import numpy as np
import pytest
import torch
from recomputed import both_ways
from torch import Tensor, nn
from toy_nets import NETS, built, image_for

from casefold.config.networks import Capsules3d
from casefold.config.own_networks import Capsules2d
from casefold.models.build import parameters
from casefold.models.capsules import CapsuleLayer, CapsuleNet, squash
from casefold.readers.phantom.anatomy import WIDTH_MM, draw


def test_squashing_keeps_the_direction_and_makes_25_of_26_of_a_length_of_5() -> None:
    capsule = torch.tensor([3.0, 4.0, 0.0]).reshape(1, 1, 3, 1, 1)
    expected = torch.tensor([0.6, 0.8, 0.0]) * 25 / 26
    torch.testing.assert_close(squash(capsule).flatten(), expected, rtol=1e-4, atol=0)


def test_squashing_nothing_gives_nothing_and_a_finite_gradient() -> None:
    nothing = torch.zeros(1, 2, 3, 1, 1, requires_grad=True)
    squash(nothing).sum().backward()
    assert torch.equal(squash(nothing), nothing)
    assert nothing.grad is not None and nothing.grad.isfinite().all()


def voting(routing: int) -> CapsuleLayer:
    """Two child types of one number that vote 1 and 1 for the first parent type, 1 and -1 for the second."""
    layer = CapsuleLayer((2, 1), (2, 1), (1, 1), (1, 1), routing, last=True)
    layer.vote.weight.data.copy_(torch.tensor([1.0, 1.0, 1.0, -1.0]).reshape(4, 1, 1, 1))
    return layer


@pytest.mark.parametrize(("routing", "first"), [(1, 1.0), (2, 1.24492), (3, 1.50344)])
def test_children_that_agree_are_heard_more_with_each_pass(routing: int, first: float) -> None:
    # Evenly: 1/2 + 1/2 and 1/2 - 1/2. The first parent, of length 1, is squashed to 1/2, so both children lean to it by
    # 1/2: a share of 1 / (1 + exp(-1/2)) = 0.62246 each. That makes 1.24492, squashed 0.60782; by 1.10782 the share is
    # 0.75172.
    parents = voting(routing)(torch.ones(1, 2, 1, 1, 1))
    torch.testing.assert_close(parents.flatten(), torch.tensor([first, 0.0]), rtol=1e-4, atol=1e-6)


def test_each_child_type_has_a_convolution_of_its_own() -> None:
    layer = CapsuleLayer((2, 3), (4, 5), (3, 3), (1, 1), 3)
    assert parameters(layer) == 2 * (4 * 5) * 3 * 9 + 4 * 5
    one = torch.zeros(1, 2, 3, 4, 4)
    one[:, 1] = 1
    layer.vote.weight.data[4 * 5 :] = 0
    assert torch.equal(layer(one), torch.zeros(1, 4, 5, 4, 4))
    assert bool((layer(one.flip(1)) != 0).all())


@pytest.mark.parametrize(
    ("kernel", "stride", "transposed", "heard"),
    [
        ((3, 3), (1, 1), False, [2, 3, 4]),
        ((3, 3), (2, 2), False, [1, 2]),
        ((5, 5), (1, 1), False, [1, 2, 3, 4, 5]),
        ((4, 4), (2, 2), True, [5, 6, 7, 8]),
        ((3, 3), (1, 1), True, [2, 3, 4]),
        ((5, 5), (3, 3), True, [8, 9, 10, 11, 12]),
    ],
)
def test_a_child_is_heard_around_its_place_alone(
    kernel: tuple[int, int], stride: tuple[int, int], transposed: bool, heard: list[int]
) -> None:
    layer = CapsuleLayer((1, 2), (2, 2), kernel, stride, 3, transposed=transposed)
    children = torch.zeros(1, 1, 2, 6, 6)
    children[..., 3, 3] = 1
    parents = layer(children).abs().sum((0, 1, 2))
    size = 6 * stride[0] if transposed else 6 // stride[0]
    assert parents.shape == (size, size)
    assert parents.sum(1).nonzero().flatten().tolist() == heard
    assert parents.sum(0).nonzero().flatten().tolist() == heard


@pytest.mark.parametrize(
    ("children", "parents", "kernel", "stride", "transposed"),
    [
        ((4, 8), (3, 16), (3, 3), (1, 1), False),
        ((2, 16), (8, 8), (5, 5), (2, 2), False),
        ((4, 8), (2, 8), (4, 4), (2, 2), True),
        ((2, 8), (4, 8), (3, 3, 3), (1, 2, 2), False),
    ],
)
def test_at_the_start_children_of_half_length_make_parents_of_half_length(
    children: tuple[int, int], parents: tuple[int, int], kernel: tuple[int, ...], stride: tuple[int, ...],
    transposed: bool,
) -> None:  # fmt: skip
    torch.manual_seed(0)
    layer = CapsuleLayer(children, parents, kernel, stride, 1, transposed=transposed)
    came = torch.randn(1, *children, *(16 for _ in kernel))
    came = came / came.norm(dim=2, keepdim=True) / 2
    assert 0.4 < layer(came).norm(dim=2).mean() < 0.6


def test_at_the_start_the_last_capsules_are_a_26th_long() -> None:
    torch.manual_seed(0)
    layer = CapsuleLayer((4, 8), (3, 16), (1, 1), (1, 1), 1, last=True)
    came = torch.randn(1, 4, 8, 32, 32)
    came = came / came.norm(dim=2, keepdim=True) / 2
    assert 0.03 < squash(layer(came)).norm(dim=2).mean() < 0.05


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_at_the_start_classes_are_rare_but_not_out_of_reach(activation: str) -> None:
    torch.manual_seed(0)
    model = Capsules2d(arch="capsules", activation=activation)
    logits = CapsuleNet(model, 1, 3 if activation == "softmax" else 2)(torch.randn(4, 1, 32, 32))
    shares = logits.softmax(1)[:, 1:] if activation == "softmax" else logits.sigmoid()
    assert 0.002 < shares.mean() < 0.1  # an even start would be 1/2, or 1/3


def test_the_sigmoid_of_a_logit_is_the_length_of_the_last_capsule_of_its_map() -> None:
    net, last = built(NETS["3D capsules"].config).eval(), []
    net.net.up[0].register_forward_hook(lambda _, __, output: last.append(output))
    logits = net(image_for(NETS["3D capsules"].config, (4, 8, 16)))["maps"]
    lengths = squash(last[0]).norm(dim=2)
    assert lengths.shape == (2, 2, 4, 8, 16)
    torch.testing.assert_close(logits.sigmoid(), lengths, rtol=0, atol=1e-3)


def test_routing_is_in_float32_whatever_the_convolutions_compute_in() -> None:
    net = built(NETS["capsules"].config).train()
    with torch.autocast("cpu", torch.bfloat16):
        maps = net(image_for(NETS["capsules"].config, (8, 16)))["maps"]
    assert maps.dtype == torch.float32 and maps.isfinite().all()


@pytest.mark.parametrize("toy", ["capsules", "3D capsules"])
def test_checkpointing_keeps_less_and_gives_the_same_gradients(toy: str) -> None:
    kept, recomputed = both_ways(NETS[toy])
    assert recomputed < kept


def phantom(size: int) -> tuple[Tensor, Tensor]:
    """A scan of the phantom, float -1..1 (1, 1, z, y, x), and its organs (1, class, z, y, x)."""
    drawn = draw(5, 0, 1, (8, size, size), pixel_mm=WIDTH_MM / size, span=8, scale=4000.0, cut=False)
    image = np.clip(drawn.image / np.percentile(drawn.image, 99.5), 0, 1) * 2 - 1
    return torch.from_numpy(image.astype(np.float32))[None, None], torch.from_numpy(drawn.labels)[None]


@pytest.mark.parametrize("axes", [2, 3])
def test_it_learns_the_phantom(axes: int) -> None:
    image, masks = phantom(32)
    sizes = {"types": (2, 2, 4), "dims": (8, 8, 8)}
    if axes == 2:
        image, masks = image[0].swapaxes(0, 1), masks[0].swapaxes(0, 1)
        model: Capsules2d | Capsules3d = Capsules2d(arch="capsules", **sizes, strides=(2, 2))
    else:
        model = Capsules3d(arch="capsules", **sizes, strides=((1, 2, 2), 2))
    torch.manual_seed(0)
    net, over = CapsuleNet(model, 1, masks.shape[1]), (0, *range(2, 2 + axes))
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)

    def dice(shares: Tensor) -> Tensor:
        return 2 * (shares * masks).sum(over) / (shares.sum(over) + masks.sum(over))

    for _ in range(50):
        logits = net.train()(image)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, masks.float()) - dice(logits.sigmoid()).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    with torch.inference_mode():
        found = dice((net.eval()(image) > 0).float())
    assert (found > 0.7).all()  # of an empty prediction: 0
