"""Each step of a pipeline for patches, with draws that are known, on volumes of a few voxels."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from casefold.data import patch_steps as steps
from chosen import Highest

ROW = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 1, 4)
MARKS = torch.tensor([0.0, 1.0, 1.0, 0.0]).view(1, 1, 1, 4)
HALF = (1.0, 0.5)  # a range whose high end, which Highest draws, is 0.5


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (partial(steps.multiply, factors=HALF), [0, 0.125, 0.25, 0.5]),
        (partial(steps.add, values=(0, 0.5)), [0.5, 0.75, 1, 1.5]),
        # the mean is 0.4375; twice as far from it would be -0.4375, 0.0625, 0.5625, 1.5625: kept within 0..1
        (partial(steps.contrast, factors=(1, 2)), [0, 0.0625, 0.5625, 1]),
        (partial(steps.gamma, powers=(1, 2)), [0, 0.0625, 0.25, 1]),
        (partial(steps.gamma, powers=(1, 2), negative=True), [0, 1 - 0.75**2, 0.75, 1]),
        (partial(steps.noise, deviation=(0, 0.1)), [0.1, 0.35, 0.6, 1.1]),
        # two voxels are taken, the second and the fourth, and read at 0, 0.25, 0.75 and 1 between them
        (partial(steps.low_resolution, zoom=HALF), [0.25, 0.4375, 0.8125, 1]),
        # equal knots: the field is exp(0.5) everywhere
        (partial(steps.bias_field, strength=0.5), [0, 0.412180, 0.824361, 1.648721]),
        # the longest box allowed, two of four voxels, at the last place
        (partial(steps.holes, count=(0, 1), share=0.5), [0, 0.25, 0, 0]),
    ],
)
def test_a_step_on_intensities(step: Any, wanted: list[float]) -> None:
    before = ROW.clone()
    image, targets = step(ROW, MARKS, Highest())
    torch.testing.assert_close(image.flatten(), torch.tensor(wanted), atol=1e-5, rtol=0)
    assert torch.equal(targets, MARKS) and torch.equal(ROW, before)


def test_a_blur_keeps_the_sum_and_spreads() -> None:
    dot = torch.zeros(1, 9, 9, 9)
    dot[0, 4, 4, 4] = 1
    image, _ = steps.blur(dot, dot, Highest(), sigma_voxels=(0.5, 1.0))  # type: ignore[arg-type]
    assert image.sum().item() == pytest.approx(1, abs=1e-2)
    assert image[0, 4, 4, 4] > image[0, 4, 4, 5] == image[0, 3, 4, 4] > 0


@pytest.mark.parametrize(("axis", "wanted"), [(1, [5, 6, 7, 8, 1, 2, 3, 4]), (2, [3, 4, 1, 2, 7, 8, 5, 6]),
                                              (3, [2, 1, 4, 3, 6, 5, 8, 7])])  # fmt: skip
def test_a_flip_turns_both_round(axis: int, wanted: list[int]) -> None:
    cube = torch.arange(1, 9).view(1, 2, 2, 2)
    image, targets = steps.flip(cube, -cube, Highest(), axis=axis)  # type: ignore[arg-type]
    assert image.flatten().tolist() == wanted
    assert torch.equal(targets, -image)


def test_each_of_the_steps_comes() -> None:
    either = (partial(steps.multiply, factors=(2, 2)), partial(steps.multiply, factors=(3, 3)))
    rng = np.random.default_rng(0)
    drawn = [float(steps.one_of(ROW, MARKS, rng, steps=either)[0].max()) for _ in range(100)]
    assert set(drawn) == {2, 3} and 30 < drawn.count(2) < 70


def test_every_modality_has_its_own_draw() -> None:
    image, _ = steps.multiply(torch.ones(3, 2, 2, 2), MARKS, np.random.default_rng(0), factors=(0.5, 1.5))
    assert len(set(image.flatten().tolist())) == 3
