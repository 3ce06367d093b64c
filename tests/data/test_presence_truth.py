"""What a classifier's presence should say: a class is there, or the slice lies beyond labels that were cut off."""

import numpy as np
import pytest

import toy
from casefold.config.presence import IS_THERE, CutOff
from casefold.data.presence import footward, presence_truth, target_of
from casefold.data.slices import SliceDataset
from casefold.store import Store
from casefold.views import Box, whole_box
from toy_members import cls, seg3d


def cut(**changes: object) -> CutOff:
    return CutOff.model_validate({"name": "cut_off", **changes})


def found(areas: list[int], target: CutOff) -> list[int]:
    return footward(np.array([areas]).T, target)[:, 0].astype(int).tolist()


@pytest.mark.parametrize(
    ("areas", "answer"),
    [
        ([0, 0, 5, 9, 10, 3, 0], [1, 1, 0, 0, 0, 0, 0]),  # the end has half of the largest area
        ([0, 0, 4, 9, 10, 3, 0], [0, 0, 0, 0, 0, 0, 0]),  # and here less
        ([0, 8, 8, 0, 8, 8, 8], [0, 0, 0, 0, 0, 0, 0]),  # the run nearest to the foot has but two slices
        ([0, 1, 8, 8, 0, 8, 8], [0, 0, 0, 0, 0, 0, 0]),  # another run does not count
        ([8, 8, 8, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]),  # nothing lies beyond
        ([0, 0, 0, 0, 8, 8, 8], [1, 1, 1, 1, 0, 0, 0]),
        ([0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_labels_are_cut_off_where_their_end_is_too_large_for_a_tip(areas: list[int], answer: list[int]) -> None:
    assert found(areas, cut()) == answer
    assert found(areas[::-1], cut(foot="last")) == answer[::-1]


def test_the_rules_numbers_are_the_configs() -> None:
    assert found([0, 4, 9, 10], cut(share=0.4)) == [1, 0, 0, 0]
    assert found([0, 8, 8, 0], cut(min_slices=2)) == [1, 0, 0, 0]
    assert found([0, 8, 8, 0], cut(min_slices=2, share=1)) == [1, 0, 0, 0]


def test_every_class_is_cut_off_by_itself() -> None:
    areas = np.array([[0, 0], [8, 0], [8, 1], [8, 9], [0, 9]])
    assert footward(areas, cut()).T.astype(int).tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_a_segmenter_says_where_a_class_is() -> None:
    assert target_of(seg3d()) == IS_THERE == target_of(cls())
    assert target_of(cls(target={"name": "cut_off", "foot": "last"})) == cut(foot="last")


def test_the_truth_of_a_scan(toy_store: Store) -> None:
    """Of equal discs `left` is on the slices 1 to 3 and `right` on 3 and 4."""
    scan = toy_store.scan("case10_day3")
    assert presence_truth(scan, IS_THERE).astype(int).tolist() == [[0, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 0]]
    assert presence_truth(scan, cut()).astype(int).tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]
    assert presence_truth(scan, cut(min_slices=2)).astype(int).tolist() == [[1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]]


def test_slices_train_towards_it(toy_store: Store) -> None:
    """Slices of which it says something are the positive ones, whatever is labelled on them, cropped or not."""
    names = [scan.name for scan in toy.SCANS[:2]]
    for crop in (None, {"name": "body", "margin_px": 20}):
        config = cls(data={"crop": crop}, target={"name": "cut_off", "min_slices": 2})
        boxes = {} if crop is None else {name: whole(toy_store, name) for name in names}
        items = SliceDataset(toy_store, names, config.data, "none", 0, boxes=boxes, target=config.target)
        assert [items[0, at]["presence"].tolist() for at in range(4)] == [[1, 1], [0, 1], [0, 1], [0, 0]]
        assert items.positive.tolist() == [True, True, True, False, False, False, False, False] * 2


def whole(store: Store, name: str) -> Box:
    return whole_box(store.scan(name).grid.shape)


def test_cutmix_can_not_train_it() -> None:
    with pytest.raises(ValueError, match=r"train\.mix\.cutmix: no box of a slice tells whether labels are cut off"):
        cls(target={"name": "cut_off"}, train={"mix": {"cutmix": 0.5}})


def test_no_part_of_a_slice_can_train_it() -> None:
    with pytest.raises(ValueError, match=r"data\.train_patch: no part of a slice tells whether labels are cut off"):
        cls(target={"name": "cut_off"}, data={"train_patch": (16, 16)})
