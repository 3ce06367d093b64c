"""Planted bad labels come first; a slice, a run and a scan get the numbers worked out by hand."""

import doubtful
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from casefold.analysis.suspects import doubts, judge, suspect_scans, suspect_slices, why
from casefold.analysis.voxels import pick
from casefold.core import DataError


@pytest.mark.parametrize("members", [2, 4])
@pytest.mark.parametrize("seed", [0, 3])
def test_five_bad_labels_of_sixty_are_all_among_the_first_ten(seed: int, members: int) -> None:
    bad, seen = doubtful.planted(seed, members)
    found = suspect_scans(list(seen), list(seen.values()), doubtful.CLASSES, members)
    assert len(found) == doubtful.SCANS
    assert {kind: scan for kind, scan in bad.items() if scan not in found["scan"][:10].tolist()} == {}


def test_most_suspect_slices_are_of_bad_labels() -> None:
    bad, seen = doubtful.planted(0, 4)
    slices = suspect_slices(list(seen), list(seen.values()), doubtful.CLASSES, 4, most=20)
    assert len(slices) == 20
    assert set(slices["scan"][:10]) <= set(bad.values())


def test_an_emptied_run_is_named_with_its_class_slices_and_reason() -> None:
    bad, seen = doubtful.planted(0, 4)
    found = suspect_scans(list(seen), list(seen.values()), doubtful.CLASSES, 4).set_index("scan")
    first = 3 + int(np.flatnonzero(doubtful.made(0)[0][int(bad["emptied"][4:])][0].any((1, 2)))[0])
    row = found.loc[bad["emptied"]]
    assert (row["class"], row["why"]) == ("a", "members find it, the label lacks it")
    assert abs(row["first"] - first) <= 1
    assert row["last"] == row["first"] + 4


def flat(*values: int) -> NDArray[np.uint8]:
    """q of one class on slices of four pixels, each slice of one value."""
    return np.repeat(np.array(values, np.uint8), 4).reshape(1, len(values), 2, 2)


def seen_of(label: NDArray[np.uint8], *members: NDArray[np.uint8]) -> NDArray[np.float64]:
    return doubts(pick(label > 0, members), range(len(members)))


def test_doubts_of_sure_members_count_voxels() -> None:
    # slice 0: both find it, no label; 1: label, neither finds it; 2: all agree; 3: the members are of two minds
    seen = seen_of(flat(0, 1, 1, 1), flat(255, 0, 255, 255), flat(255, 0, 255, 0))
    assert seen[0].tolist() == [[4, 0, 0, 4, 0], [0, 4, 0, 0, 4], [4, 4, 0, 0, 0], [2, 4, 2, 0, 0]]


def test_unsure_members_say_little() -> None:
    # a mean of 204 = 0.8 is 0.6 beyond one half; 127.5 is not beyond it
    assert seen_of(flat(0), flat(204), flat(204))[0, 0, 3] == pytest.approx(4 * 0.6)
    assert seen_of(flat(0), flat(128), flat(127))[0, 0, 3] == 0


def test_judge_gives_agreement_and_disagreement() -> None:
    agree, against = judge(np.array([[4.0, 0, 0, 4, 0], [2, 4, 2, 0, 0], [0, 0, 0, 0, 0]]), 4.0, members=2)
    assert agree.tolist() == [1, 0.5, 1]
    assert against.tolist() == [0.5, 0, 0]


def test_disjoint_members_do_not_agree() -> None:
    one, other = np.zeros((2, 1, 1, 1, 8), np.uint8)
    one[..., :4], other[..., 4:] = 255, 255
    seen = seen_of(np.zeros_like(one), one, other)
    assert judge(seen[0, 0], 0.0, members=2)[0] == 0


def test_a_single_member_has_no_agreement_but_a_score() -> None:
    seen = [seen_of(flat(1, 1), flat(255, 255)), seen_of(flat(0, 1), flat(255, 255))]
    slices = suspect_slices(["s", "t"], seen, ("a",), members=1)
    # 4 voxels against the label, beside 4 said and the usual area of 4
    expected = pd.DataFrame(
        [("t", "a", 0, "members find it, the label lacks it", np.nan, 0.5, 0.5)], columns=slices.columns
    )
    pd.testing.assert_frame_equal(slices, expected)
    scans = suspect_scans(["s", "t"], seen, ("a",), members=1)
    assert scans["scan"].tolist() == ["t", "s"]
    assert scans["agreement"].isna().all()


def test_why_tells_the_sides_apart() -> None:
    assert why(np.array([0.0, 0, 0, 7, 2])) == "members find it, the label lacks it"
    assert why(np.array([0.0, 0, 0, 2, 7])) == "the label has it, members don't find it"
    assert why(np.array([0.0, 0, 0, 6, 2])) == "members find it elsewhere"


def test_no_member_is_refused() -> None:
    with pytest.raises(DataError, match="want one member or more"):
        doubts(pick(flat(1) > 0, [flat(255)]), ())
