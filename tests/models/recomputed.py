"""A net with and without gradient checkpointing: what each keeps for the way back, its outputs and gradients."""

from typing import Any

import torch
from toy_nets import Toy, built, image_for


def both_ways(toy: Toy) -> tuple[int, int]:
    """Numbers kept between the way there and the way back, without and with it; all outputs and gradients agree."""
    image, kept, found = image_for(toy.config, toy.size), [], []
    for on in (False, True):
        train = toy.config.train.model_copy(update={"gradient_checkpointing": on})
        net, count = built(toy.config.model_copy(update={"train": train})).train(), [0]

        def keep(tensor: Any, count: list[int] = count) -> Any:
            count[0] += tensor.numel()
            return tensor

        torch.manual_seed(3)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            outputs = net(image)
        kept.append(count[0])
        torch.stack([value.square().mean() for value in outputs.values()]).sum().backward()
        gradients = {name: weight.grad for name, weight in net.named_parameters() if weight.grad is not None}
        with torch.inference_mode():
            shown = {f"eval {name}": value for name, value in built(toy.config).eval()(image).items()}
        found.append(outputs | gradients | shown)
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(
            found[1][name], value, rtol=0, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
    return kept[0], kept[1]
