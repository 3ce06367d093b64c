"""The passes of a member over one input, a network and a flip each, and their mean."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from casefold.config.experiments import Experiment
from casefold.models.build import Outputs, PaddedNet
from casefold.predict.member import Member

AXES = {"x": -1, "y": -2, "z": -3}
Axes = tuple[int, ...]


def passes(
    member: Member, image: Tensor, run: Callable[[PaddedNet, Tensor, Axes], Outputs], together: bool = False
) -> Iterator[Outputs]:
    """What each network says of each flip, turned back.

    run: a network, its input and the axes flipped in it. together: all flips in one call, with no axes named.
    """
    flips = [tuple(AXES[axis] for axis in flip) for flip in ("", *member.config.predict.flips)]
    stacked = torch.cat([_flip(image, axes) for axes in flips]) if together else None
    for net in member.nets:
        if stacked is None:
            for axes in flips:
                yield _turned_back(run(net, _flip(image, axes), axes), axes)
        else:
            outputs = run(net, stacked, ())
            for start, axes in zip(range(0, len(stacked), len(image)), flips, strict=True):
                part = {name: value[start : start + len(image)] for name, value in outputs.items()}
                yield _turned_back(part, axes)


def average(outputs: Iterator[Outputs], config: Experiment) -> Outputs:
    """The mean over passes, in float32, as probabilities, without softmax's background."""
    softmax = getattr(config.model, "activation", "sigmoid") == "softmax"  # type: ignore[attr-defined]

    def probabilities(what: str, logits: Tensor) -> Tensor:
        return logits.softmax(1)[:, 1:] if what == "maps" and softmax else logits.sigmoid()

    late = config.predict.average == "logits"
    total: Outputs = {}
    count = 0
    for output in outputs:
        count += 1
        for what, logits in output.items():
            value = logits.float() if late else probabilities(what, logits.float())
            total[what] = total[what] + value if what in total else value
    mean = {what: value / count for what, value in total.items()}
    return {what: probabilities(what, value) for what, value in mean.items()} if late else mean


def _flip(image: Tensor, axes: Axes) -> Tensor:
    return image.flip(axes) if axes else image


def _turned_back(outputs: Outputs, axes: Axes) -> Outputs:
    return outputs | {"maps": outputs["maps"].flip(axes)} if axes and "maps" in outputs else outputs
