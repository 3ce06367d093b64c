"""Weights for a bundle: matrices and kernels in float16, the rest as it is; loading makes float32 of them again."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from casefold.models.weights import read_info, save_weights
from casefold.predict import Member

LARGEST = torch.finfo(torch.float16).max


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A network's tensors with every float32 one of two axes or more in float16.

    Biases and the statistics of norms stay, as they weigh nothing and may be tiny; so does what float16 can't hold.
    """
    return {name: value.half() if _can_be_half(value) else value for name, value in state.items()}


def halve_member(member: Member) -> Member:
    """The same member, whose nets now hold what they would if loaded from halved weights; changed in place."""
    for net in member.nets:
        net.load_state_dict(halved(net.state_dict()))
    return member


def copy_run(run: Path, folder: Path, half: bool) -> None:
    """Copy what predicting needs of a run: its config, and its weights, halved or as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "config.yaml", folder / "config.yaml")
    weights = run / "weights.safetensors"
    if half:
        save_weights(halved(load_file(weights)), read_info(weights), folder / weights.name)
    else:
        shutil.copyfile(weights, folder / weights.name)


def _can_be_half(value: Tensor) -> bool:
    return value.dtype == torch.float32 and value.ndim >= 2 and bool((value.abs() <= LARGEST).all())
