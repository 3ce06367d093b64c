"""Losses over regions against values worked out by hand; how they pool, and which classes count."""

import math
from typing import Any, get_args

import pytest
import torch
from worked import EXCLUSIVE, LABELS, LOGITS, TARGET, logits_of, loss_of, row, term

from casefold.config.losses import LossConfig, Region
from casefold.losses import total_loss
from casefold.losses.regions import SMOOTH

REGIONS = sorted(
    kind.model_fields["name"].default for kind in get_args(get_args(LossConfig)[0]) if issubclass(kind, Region)
)
# in the corner of LOGITS with 0.75 alone: I = 0.75, truth 1, prediction 2, so 1.25 too many and 0.25 missed
CORNER = torch.tensor([[[[0.0, 1.0], [0.0, 0.0]]]])
# two samples of two classes, one half everywhere; the first sample holds the first class, the second nothing
HALVES = torch.zeros(2, 2, 1, 2)
FIRST = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]]])


def test_the_smoothing_term_stands_above_and_below() -> None:
    assert loss_of("dice") == pytest.approx(1 - (2.5 + SMOOTH) / (4 + SMOOTH), abs=1e-6)
    assert loss_of("tversky") == pytest.approx(
        1 - (1.25 + SMOOTH) / (1.25 + 0.3 * 0.75 + 0.7 * 0.75 + SMOOTH), abs=1e-6
    )


@pytest.mark.parametrize(
    ("name", "options", "value"),
    [
        ("dice", {}, 1 - 1.5 / 3),
        # squares of the prediction: 0.25 + 0.5625 + 0.0625 + 0.25
        ("dice", {"squared": True}, 1 - 1.5 / (1 + 1.125)),
        ("iou", {}, 1 - 0.75 / 2.25),
        ("tversky", {}, 1 - 0.75 / (0.75 + 0.3 * 1.25 + 0.7 * 0.25)),
        ("tversky", {"alpha": 1, "beta": 0}, 1 - 0.75 / 2),
        ("focal_tversky", {}, (1 - 0.75 / 1.3) ** 0.75),
        ("focal_tversky", {"gamma": 2, "alpha": 0.5, "beta": 0.5}, math.sqrt(0.5)),
        ("focal_tversky", {"gamma": 1}, 1 - 0.75 / 1.3),
        ("dice_fp", {}, 1 - 3 * 0.75 / (1 + 2 * 2)),
        ("dice_fp", {"p": 0.5}, 1 - 1.5 * 0.75 / (1 + 0.5 * 2)),
        ("dice_fp", {"form": "literal"}, 1 - 2 * 2 * 0.75 / (1 + 2 * 2)),
        ("dice_fp", {"form": "literal", "p": 0.5}, 1 - 2 * 0.5 * 0.75 / (1 + 0.5 * 2)),
        ("dice_fp", {"form": "literal", "p": 1}, 1 - 1.5 / 3),
        ("dice_fp", {"form": "bounded", "p": 1}, 1 - 1.5 / 3),
        ("generalized_dice", {}, 1 - 1.5 / 3),
        # hinges 1, 1 at the two zeros and none elsewhere; 1 - IoU after one and two of them: 1 - 1/2, 1 - 1/3
        ("lovasz", {}, 1 / 2 + 1 / 6),
    ],
)
def test_by_hand(name: str, options: dict[str, Any], value: float) -> None:
    assert loss_of(name, LOGITS, CORNER, **options) == pytest.approx(value, abs=2e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # the first class is nowhere, so its share is 1 - 0 / (1/3 + 1/4); the second is found by half
        ("dice", (1 + 1 - 2 * 0.5 / (1 + 0.5 + 0.25)) / 2),
        ("iou", (1 + 1 - 0.5 / (1 + 0.25)) / 2),
        ("tversky", (1 + 1 - 0.5 / (0.5 + 0.3 * 0.25 + 0.7 * 0.5)) / 2),
        ("focal_tversky", (1 + (1 - 0.5 / (0.5 + 0.3 * 0.25 + 0.7 * 0.5)) ** 0.75) / 2),
        ("dice_fp", (1 + 1 - 3 * 0.5 / (1 + 2 * 0.75)) / 2),
        # both weigh 1, the absent one because 1 is the largest weight
        ("generalized_dice", 1 - 2 * 0.5 / (7 / 12 + 1 + 0.75)),
        # errors 1/3, 1/4 of an absent class: the largest one counts; 1/2, 1/4 of the second: IoU is 0 from the first on
        ("lovasz", (1 / 3 + 1 / 2) / 2),
    ],
)
def test_softmax_by_hand(name: str, value: float) -> None:
    assert loss_of(name, EXCLUSIVE, LABELS, activation="softmax") == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(("p", "value"), [(2, -1 / 3), (0.5, 1 / 3), (1, 0)])
def test_the_literal_form_of_a_right_answer_is_not_0(p: float, value: float) -> None:
    right = TARGET * 60 - 30
    assert loss_of("dice_fp", right, form="literal", p=p) == pytest.approx(value, abs=1e-6)
    assert loss_of("dice_fp", right, form="bounded", p=p) == pytest.approx(0, abs=1e-6)


def test_a_greater_penalty_makes_false_positives_cost_more_than_misses() -> None:
    truth, too_much, too_little = row(1, 1, 0, 0), row(30, 30, 30, -30), row(30, -30, -30, -30)
    assert loss_of("dice_fp", too_much, truth, p=4) == pytest.approx(1 - 5 * 2 / (2 + 4 * 3), abs=1e-5)
    assert loss_of("dice_fp", too_little, truth, p=4) == pytest.approx(1 - 5 * 1 / (2 + 4 * 1), abs=1e-5)


def test_lovasz_weighs_each_hinge_by_its_step_of_the_iou() -> None:
    # logits 2, -1, 0.5 of background and two of the class: hinges 3, 2, 0.5, each a third of the way from IoU 1 to 0
    assert loss_of("lovasz", row(2, -1, 0.5), row(0, 1, 1)) == pytest.approx((3 + 2 + 0.5) / 3, abs=1e-6)
    # with the first not kept: IoU 1/2, then 0
    value = loss_of("lovasz", row(2, -1, 0.5), row(0, 1, 1), row(0, 1, 1))
    assert value == pytest.approx((2 + 0.5) / 2, abs=1e-6)


def test_symmetric_lovasz_is_the_mean_with_what_lies_outside() -> None:
    # outside, the one voxel of background has the largest hinge: IoU 1 to 0 at once, and 3 is all that counts
    value = loss_of("lovasz", row(2, -1, 0.5), row(0, 1, 1), symmetric=True)
    assert value == pytest.approx(((3 + 2 + 0.5) / 3 + 3) / 2, abs=1e-6)


def test_lovasz_takes_a_mixed_target_by_one_half() -> None:
    assert loss_of("lovasz", row(2, -1, 0.5), row(0.4, 0.6, 0.8)) == loss_of("lovasz", row(2, -1, 0.5), row(0, 1, 1))


def test_generalised_dice_weighs_by_the_inverse_square_of_the_volume() -> None:
    # one half everywhere; one voxel of four of the first class, weight 1, and two of the second, weight 1/4
    target = torch.tensor([[[[1.0, 0, 0, 0]], [[1.0, 1, 0, 0]]]])
    value = 1 - 2 * (0.5 + 1 / 4) / (3 + 4 / 4)
    assert loss_of("generalized_dice", torch.zeros(1, 2, 1, 4), target) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("name", ["dice", "iou", "tversky", "focal_tversky", "dice_fp", "generalized_dice"])
def test_a_mixed_target_that_is_met_has_no_loss(name: str) -> None:
    assert loss_of(name, logits_of(0.3, 0.6), row(0.3, 0.6)) == pytest.approx(0, abs=1e-5)
    assert loss_of(name, logits_of(0.5, 0.8), row(0.3, 0.6)) > 0.1


@pytest.mark.parametrize("name", REGIONS)
def test_the_batch_is_pooled(name: str) -> None:
    logits, target = torch.cat([LOGITS, LOGITS - 9]), torch.cat([TARGET, TARGET * 0])
    side_by_side = loss_of(name, torch.cat([LOGITS, LOGITS - 9], 3), torch.cat([TARGET, TARGET * 0], 3))
    assert loss_of(name, logits, target) == pytest.approx(side_by_side, abs=1e-6)


@pytest.mark.parametrize("present_only", [False, True])
@pytest.mark.parametrize("name", REGIONS)
def test_by_sample_a_batch_is_the_mean_of_its_samples(name: str, present_only: bool) -> None:
    options = {"pool": "sample", "present_only": present_only}
    first, second = (loss_of(name, HALVES[[i]], FIRST[[i]], **options) for i in range(2))
    assert first > 0.2
    assert loss_of(name, HALVES, FIRST, **options) == pytest.approx((first + second) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "pool", "every", "present"),
    [
        # the first class has I = 1, P = 2, L = 2 in the batch, and I = 1, P = 1, L = 2 in the first sample
        ("dice", "batch", (1 / 2 + 1) / 2, 1 / 2),
        ("dice", "sample", (1 / 3 + 1 + 1 + 1) / 4, (1 / 3 + 0) / 2),
        ("iou", "batch", (2 / 3 + 1) / 2, 2 / 3),
        ("tversky", "sample", (1 - 1 / 1.7 + 3) / 4, (1 - 1 / 1.7) / 2),
        ("focal_tversky", "batch", (0.5**0.75 + 1) / 2, 0.5**0.75),
        ("dice_fp", "batch", (1 - 3 / 6 + 1) / 2, 1 - 3 / 6),
        # hinges are 1 everywhere, so the first class has 1 - IoU of all taken wrongly, 1, as has an absent one
        ("lovasz", "batch", 1, 1),
        ("lovasz", "sample", 1, 1 / 2),
        # an absent class has the same weight, I = 0, P = 2 and no truth; a sample without any class gives 0
        ("generalized_dice", "batch", 1 - 2 / (4 + 2), 1 - 2 / 4),
        ("generalized_dice", "sample", (1 - 2 / (3 + 1)) / 2, (1 - 2 / 3) / 2),
    ],
)
def test_present_only_leaves_out_classes_that_the_truth_does_not_hold(
    name: str, pool: str, every: float, present: float
) -> None:
    assert loss_of(name, HALVES, FIRST, pool=pool) == pytest.approx(every, abs=5e-5)
    assert loss_of(name, HALVES, FIRST, pool=pool, present_only=True) == pytest.approx(present, abs=5e-5)


@pytest.mark.parametrize("pool", ["batch", "sample"])
@pytest.mark.parametrize("name", [name for name in REGIONS if name != "dice_fp"])
def test_where_no_class_is_present_nothing_is_learnt(name: str, pool: str) -> None:
    logits = HALVES.clone().requires_grad_()
    target = {"maps": FIRST * 0, "keep": torch.ones(2, 1, 1, 2)}
    total, _ = total_loss([term(name, pool=pool, present_only=True)], {"maps": logits}, target, "sigmoid")
    total.backward()
    assert total.item() == 0
    assert logits.grad is not None and not logits.grad.any()


def test_only_kept_voxels_make_a_class_present() -> None:
    target, keep = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    value = loss_of("dice", torch.zeros(1, 2, 1, 2), target, keep, present_only=True)
    assert value == pytest.approx(1 - 2 * 0.5 / 1.5, abs=1e-5)
