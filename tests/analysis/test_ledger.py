"""The ledger of errors of each kind, alone and mixed, counted by hand; parts sum to what is missing, exactly."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.analysis.ledger import (
    REPAIRS,
    Entry,
    entries,
    ledger,
    ledger_frame,
    pooled_ledger,
    scan_states,
    states,
)
from casefold.analysis.measure import Measure
from casefold.core import DataError
from casefold.metrics import mean_uwmgi, uwmgi_score

Mask = NDArray[np.bool_]
VOXELS = 1024  # 2 classes on 8 x 8 x 8
NAMES = ["gate misses", "gate false alarms", "extent along z", "class swaps", "stray components", "boundary"]
A, B = (slice(1, 4), slice(1, 4)), (slice(5, 7), slice(5, 7))  # 9 and 4 pixels
STRAY = slice(0, 2), slice(6, 8)


def right(truth: Mask, found: Mask) -> float:
    """The share of the voxels that are right: each one mended is worth 1/1024, a number that floats hold exactly."""
    return 1 - np.count_nonzero(truth != found) / VOXELS


def bodies() -> Mask:
    """Class a is 9 pixels of the slices 2..5, class b 4 pixels of them."""
    truth = np.zeros((2, 8, 8, 8), bool)
    truth[0, 2:6, *A], truth[1, 2:6, *B] = True, True
    return truth


def closed(found: Mask) -> None:
    found[0, 3] = False


def open_wrongly(found: Mask) -> None:
    found[0, 6, *A] = True


def short(found: Mask) -> None:
    found[1, 5] = False


def swapped(found: Mask) -> None:
    found[0, 2, *B], found[1, 2] = True, False


def stray(found: Mask) -> None:
    found[0, 4, *STRAY] = True


def wide(found: Mask) -> None:
    found[0, 4, 4, 1:4] = True


def voxels_of(found: list[Entry], side: str) -> list[int]:
    return [int(getattr(entry, side) * VOXELS) for entry in found]


def test_repairs_stand_in_their_order() -> None:
    assert list(REPAIRS) == NAMES


@pytest.mark.parametrize(
    ("error", "part", "alone"),
    [
        (closed, [9, 0, 0, 0, 0, 0], [9, 0, 0, 0, 0, 0]),
        (open_wrongly, [0, 9, 0, 0, 0, 0], [0, 9, 9, 0, 0, 0]),  # the extent alone would mend it too
        (short, [0, 0, 4, 0, 0, 0], [0, 0, 4, 0, 0, 0]),
        (swapped, [0, 0, 0, 8, 0, 0], [0, 0, 0, 8, 4, 0]),  # half of it is a stray component as well
        (stray, [0, 0, 0, 0, 4, 0], [0, 0, 0, 0, 4, 0]),
        (wide, [0, 0, 0, 0, 0, 3], [0, 0, 0, 0, 0, 3]),
    ],
)
def test_an_error_of_one_kind_stands_in_its_own_line(
    error: Callable[[Mask], None], part: list[int], alone: list[int]
) -> None:
    truth, found = bodies(), bodies()
    error(found)
    ungated = truth | found if error is closed else found
    made = ledger(truth, found, ungated, right)
    assert [entry.repair for entry in made] == NAMES
    assert voxels_of(made, "part") == part
    assert voxels_of(made, "alone") == alone


def mixed() -> tuple[Mask, Mask, Mask]:
    """Truth, found and ungated with all errors; without the gate, one pixel of the closed slice is missing."""
    truth, found = bodies(), bodies()
    for error in (closed, open_wrongly, short, swapped, stray, wide):
        error(found)
    ungated = found.copy()
    ungated[0, 3] = truth[0, 3]
    ungated[0, 3, 1, 1] = False
    return truth, found, ungated


def test_mixed_errors_stand_in_their_lines_and_sum_up() -> None:
    made = ledger(*mixed(), right)
    assert voxels_of(made, "part") == [8, 9, 4, 8, 4, 4]
    assert voxels_of(made, "alone") == [8, 9, 13, 8, 8, 3]  # one error can be in reach of two repairs
    truth, found, _ = mixed()
    assert sum(entry.part for entry in made) == 1 - Fraction(right(truth, found)) == Fraction(37, VOXELS)


def test_without_a_gate_other_repairs_do_its_work() -> None:
    truth, found, _ = mixed()
    made = ledger(truth, found, None, right)
    assert voxels_of(made, "part") == [0, 0, 13, 8, 4, 12]  # a slice missed within a run is what is left
    assert voxels_of(made, "alone") == [0, 0, 13, 8, 8, 3]


def test_two_classes_that_are_wholly_swapped_are_one_line() -> None:
    truth = bodies()
    truth[1, 5] = False
    assert voxels_of(ledger(truth, truth[::-1], None, right), "part") == [0, 0, 0, 96, 0, 0]


def test_a_class_that_is_missed_wholly_is_extent_and_one_without_truth_is_stray() -> None:
    truth, found = bodies(), bodies()
    truth[1], found[0] = False, False
    assert voxels_of(ledger(truth, found, None, right), "part") == [0, 0, 36, 0, 16, 0]


def test_a_part_can_be_negative_under_a_distance() -> None:
    """A stray thing near a part that is missed makes the distance smaller: its dropping costs score."""
    truth = np.zeros((1, 1, 4, 40), bool)
    truth[..., :4], truth[..., 38:] = True, True
    found = np.zeros_like(truth)
    found[..., :4], found[..., 34] = True, True
    made = {
        entry.repair: float(entry.part) for entry in ledger(truth, found, None, lambda a, b: uwmgi_score(a, b).score)
    }
    nearer = 0.6 * (36 - 5) / 40 / math.sqrt(3)
    assert made["stray components"] == pytest.approx(0.4 * (32 / 40 - 32 / 44) - nearer, abs=1e-12)
    assert made["boundary"] == pytest.approx(0.4 * 8 / 40 + 0.6 * 36 / 40 / math.sqrt(3), abs=1e-12)


def test_parts_of_pooled_scans_sum_to_the_distance_from_a_perfect_score() -> None:
    truth, found, ungated = mixed()
    other = bodies()
    wide(other)
    scans = np.stack([scan_states(truth, found, ungated, (8, 8, 8)), scan_states(truth, other, None, (8, 8, 8))])
    score = mean_uwmgi([uwmgi_score(truth, found), uwmgi_score(truth, other)]).score
    made = pooled_ledger("uw_score", scans, np.array([0, 1]))
    assert float(sum(entry.part for entry in made)) == pytest.approx(1 - score, abs=1e-15)
    assert ledger_frame(made)["part"].tolist() == [float(entry.part) for entry in made]
    alone = pooled_ledger("uw_score", scans[1:], np.array([0]))
    assert [entry.repair for entry in alone if entry.part] == ["boundary"]


def test_what_is_cut_out_scores_as_the_whole() -> None:
    truth, found, ungated = mixed()
    whole = states(truth, found, ungated, Measure(truth, (8, 8, 8)))
    np.testing.assert_array_equal(scan_states(truth, found, ungated, (8, 8, 8)), whole)


def test_a_scan_in_which_nothing_is_left_to_score_has_lost_nothing() -> None:
    truth, found = np.zeros((1, 2, 3, 3), bool), np.zeros((1, 2, 3, 3), bool)
    made = ledger(truth, found, None, lambda a, b: uwmgi_score(a, b).score)
    assert [entry.part for entry in made] == [0] * 6
    found[0, 0, 0, 0] = True
    made = ledger(truth, found, None, lambda a, b: uwmgi_score(a, b).score)
    assert [(entry.repair, entry.part) for entry in made if entry.part] == [("stray components", 1)]


def test_a_best_that_the_truth_does_not_score_is_refused() -> None:
    with pytest.raises(DataError, match=r"the truth scores 1.0, not 0.4; give the ledger the best score there is"):
        entries(np.ones((2, 7)), best=0.4)


def test_masks_of_another_grid_are_refused() -> None:
    with pytest.raises(DataError, match="should lie on one grid"):
        ledger(bodies(), bodies(), bodies()[:, 1:], right)
