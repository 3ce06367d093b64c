"""Border weights and the Hausdorff loss on rows short enough to count the distances by eye."""

import math

import numpy as np
import pytest
import torch
from worked import logits_of, loss_of, row

from casefold.losses.boundaries import border_weights

SIGMA = math.sqrt(2)  # so that 2 sigma^2 is 4
NEAR, FAR = 1 + 10 * math.exp(-(2**2) / 4), 1 + 10 * math.exp(-(3**2) / 4)


def test_weights_fall_with_the_distance_to_the_two_nearest_objects() -> None:
    # objects at 0, 2 and 5; the two nearest are 0+2, 1+1, 0+2, 1+2, 1+2, 0+3 away
    weights = border_weights(np.array([[[1, 0, 1, 0, 0, 1]]]) > 0, w0=10, sigma_px=SIGMA)
    assert weights.tolist() == [pytest.approx([NEAR, NEAR, NEAR, FAR, FAR, FAR])]


def test_distances_are_euclidean() -> None:
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 0, 0] = mask[0, 3, 3] = True
    weights = border_weights(mask, w0=1, sigma_px=5)
    assert weights[1, 0] == pytest.approx(1 + math.exp(-((1 + math.hypot(2, 3)) ** 2) / 50))


@pytest.mark.parametrize("columns", [[], [1, 2]])
def test_without_a_second_object_every_voxel_weighs_1(columns: list[int]) -> None:
    mask = np.zeros((1, 2, 4), bool)
    mask[..., columns] = True
    assert border_weights(mask, w0=10, sigma_px=5).tolist() == [[1, 1, 1, 1], [1, 1, 1, 1]]


def test_two_classes_side_by_side_are_two_objects() -> None:
    masks = np.array([[[1, 0, 0]], [[0, 1, 0]]]) > 0
    assert border_weights(masks, w0=10, sigma_px=SIGMA)[0, 0] == pytest.approx(1 + 10 * math.exp(-1 / 4))


def test_border_ce_under_sigmoid_by_hand() -> None:
    # the weights above, and log 2 everywhere
    value = loss_of("border_ce", torch.zeros(1, 1, 1, 6), row(1, 0, 1, 0, 0, 1), sigma_px=SIGMA)
    assert value == pytest.approx(math.log(2) * (NEAR + FAR) / 2, abs=1e-5)


def test_border_ce_counts_objects_by_class_under_sigmoid_and_together_under_softmax() -> None:
    target = torch.tensor([[[[1.0, 0, 0]], [[0, 0, 1.0]]]])
    assert loss_of("border_ce", torch.zeros(1, 2, 1, 3), target, sigma_px=SIGMA) == pytest.approx(math.log(2))
    value = loss_of("border_ce", torch.zeros(1, 3, 1, 3), target, activation="softmax", sigma_px=SIGMA)
    assert value == pytest.approx(math.log(3) * NEAR)


def test_border_ce_looks_at_slices_one_by_one() -> None:
    apart = torch.zeros(1, 1, 2, 1, 6)
    apart[0, 0, 0, 0, 0] = apart[0, 0, 1, 0, 2] = 1
    assert loss_of("border_ce", apart * 0, apart) == pytest.approx(math.log(2))
    together = torch.zeros(1, 1, 2, 1, 6)
    together[0, 0, 1, 0] = torch.tensor([1.0, 0, 1, 0, 0, 1])
    value = loss_of("border_ce", together * 0, together, sigma_px=SIGMA)
    assert value == pytest.approx(math.log(2) * (1 + (NEAR + FAR) / 2) / 2, abs=1e-5)


def test_border_ce_sees_no_object_that_is_not_kept() -> None:
    value = loss_of("border_ce", torch.zeros(1, 1, 1, 3), row(1, 0, 1), row(1, 1, 0), sigma_px=SIGMA)
    assert value == pytest.approx(math.log(2))


def test_border_ce_smooths_the_labels() -> None:
    value = -(0.9 * math.log(0.75) + 0.1 * math.log(0.25))
    assert loss_of("border_ce", logits_of(0.75, 0.25), row(1, 0), smoothing=0.2) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "keep", "value"),
    [
        # distances to the border of the truth are 2 1 1 2, of the prediction 1 1 2 3; errors 1/4, 3/4, 1/4, 1/4
        ({}, (1, 1, 1, 1), ((4 + 1) / 16 + (1 + 1) * 9 / 16 + (1 + 4) / 16 + (4 + 9) / 16) / 4),
        ({"alpha": 1}, (1, 1, 1, 1), ((2 + 1) / 16 + (1 + 1) * 9 / 16 + (1 + 2) / 16 + (2 + 3) / 16) / 4),
        ({}, (1, 1, 1, 0), ((4 + 1) / 16 + (1 + 1) * 9 / 16 + (1 + 4) / 16) / 3),
    ],
)
def test_hausdorff_by_hand(options: dict[str, float], keep: tuple[float, ...], value: float) -> None:
    logits = logits_of(0.75, 0.25, 0.25, 0.25)
    assert loss_of("hausdorff_dt", logits, row(1, 1, 0, 0), row(*keep), **options) == pytest.approx(value, abs=1e-6)


def test_hausdorff_is_by_sample_and_blind_where_both_are_empty() -> None:
    logits, target = logits_of(0.75, 0.25, 0.25, 0.25), row(1, 1, 0, 0)
    alone = loss_of("hausdorff_dt", logits, target)
    empty = logits_of(0.49, 0.49, 0.49, 0.49)
    assert loss_of("hausdorff_dt", torch.cat([logits, empty]), torch.cat([target, target * 0])) == alone / 2
