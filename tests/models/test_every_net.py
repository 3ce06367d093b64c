"""Every network through one tester: sizes, outputs in training and out of it, gradients, copies, weights."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_nets import CLASSES, NETS, Size, Toy, built, image_for

from casefold.models.build import PaddedNet

pytestmark = pytest.mark.parametrize("toy", [pytest.param(toy, id=name) for name, toy in NETS.items()])


def shapes(outputs: dict[str, Tensor]) -> dict[str, Size]:
    return {name: tuple(value.shape) for name, value in outputs.items()}


def expected(toy: Toy, size: Size, more: tuple[Size, ...] = ()) -> dict[str, Size]:
    model: Any = toy.config.model
    channels = CLASSES + (getattr(model, "activation", "sigmoid") == "softmax")
    known = {
        "maps": (2, channels, *size),
        "presence": (2, 1 if getattr(model, "presence_head", "none") == "any" else CLASSES),
    }
    return {name: known[name] for name in toy.outputs} | {
        f"maps@{number}": (2, channels, *small) for number, small in enumerate(more, 1)
    }


def trained_once(net: PaddedNet, image: Tensor) -> dict[str, Tensor]:
    """Outputs in training, with the gradients of their mean square left in the net; its dropout drawn from seed 3."""
    torch.manual_seed(3)
    outputs = net.train()(image)
    net.zero_grad()
    torch.stack([value.square().mean() for value in outputs.values()]).sum().backward()
    return outputs


def test_outputs_have_the_size_that_came_and_training_adds_coarser_maps(toy: Toy) -> None:
    net = built(toy.config)
    whole, odd = image_for(toy.config, toy.size), image_for(toy.config, toy.odd)
    with torch.inference_mode():
        assert shapes(net.train()(whole)) == expected(toy, toy.size, toy.more)
        assert shapes(net(odd)) == expected(toy, toy.odd, (toy.odd,) * len(toy.more))
        net.eval()
        assert shapes(net(whole)) == expected(toy, toy.size)
        assert shapes(net(odd)) == expected(toy, toy.odd)


def test_the_gradient_reaches_every_weight_and_is_the_same_again(toy: Toy) -> None:
    nets, image = [built(toy.config), built(toy.config)], image_for(toy.config, toy.odd)
    first, second = (trained_once(net, image) for net in nets)
    assert all(torch.equal(first[name], second[name]) for name in first)
    twin = dict(nets[1].named_parameters())
    for name, weight in nets[0].named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, f"no gradient reaches {name}"
            assert weight.grad.isfinite().all() and torch.equal(weight.grad, twin[name].grad), name


def test_a_net_in_training_can_be_copied_and_its_weights_fit_another(toy: Toy) -> None:
    net, other, image = built(toy.config, seed=0), built(toy.config, seed=1), image_for(toy.config, toy.size)
    trained_once(net, image)
    copied = copy.deepcopy(net)
    with torch.inference_mode():
        wanted = net.eval()(image)
        assert any(not torch.equal(value, wanted[name]) for name, value in other.eval()(image).items())
        other.load_state_dict(net.state_dict())
        for twin in (copied.eval(), other):
            assert all(torch.equal(value, wanted[name]) for name, value in twin(image).items())
