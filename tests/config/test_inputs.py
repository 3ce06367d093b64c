"""What a member may read, and what is refused because a slice of another plane can't say it."""

import pytest
from pydantic import ValidationError

from casefold.config.inputs import BodyCrop, SliceData, VolumeData
from toy_members import cls, seg3d, seg25d


def test_nothing_is_cropped_or_turned_unless_asked_for() -> None:
    assert (SliceData().crop, SliceData().plane, VolumeData().crop) == (None, "axial", None)
    crop = {"name": "body", "margin_px": 8}
    assert seg3d(data={"crop": crop}).data.crop == BodyCrop(name="body", margin_px=8)
    assert seg25d(data={"crop": crop, "plane": "sagittal", "fit": "square"}).data.plane == "sagittal"


def test_presence_is_of_axial_slices_alone() -> None:
    with pytest.raises(ValidationError, match=r"data\.plane: presence is by axial slice, so a classifier reads no cor"):
        cls(data={"plane": "coronal"})
    with pytest.raises(
        ValidationError, match=r"model\.presence_head: presence is by axial slice; data\.plane sagittal"
    ):
        seg25d(data={"plane": "sagittal"}, model={"presence_head": "any"})


def test_edges_are_those_of_axial_slices() -> None:
    with pytest.raises(ValidationError, match=r"sampler\.ignore_edges: annotations begin and end at axial slices"):
        seg25d(data={"plane": "coronal"}, sampler={"ignore_edges": 1})


def test_a_level_needs_two_percentiles_in_order() -> None:
    with pytest.raises(ValidationError, match="low 99 should lie below high 50"):
        BodyCrop(name="body", low=99, high=50)
    with pytest.raises(ValidationError, match=r"the store keeps the percentiles 0, 0\.1"):
        BodyCrop(name="body", low=3)


@pytest.mark.parametrize("patch", [(33, 32), (32, 40), (0, 16), (16, -1)])
def test_a_patch_to_train_on_lies_within_the_size(patch: tuple[int, int]) -> None:
    said = rf"train_patch {patch[0]} x {patch[1]} is no part of size 32 x 36; make it smaller, or size larger"
    with pytest.raises(ValidationError, match=said):
        seg25d(data={"size": (32, 36), "train_patch": patch})


def test_a_patch_to_train_on_may_be_the_size_or_missing() -> None:
    assert seg25d(data={"train_patch": (32, 32)}).data.train_patch == (32, 32)
    assert cls(data={"train_patch": (1, 2)}).data.train_patch == (1, 2)
    assert SliceData().train_patch is None


def test_volumes_have_no_plane() -> None:
    with pytest.raises(ValidationError, match=r"data\.plane\s+Extra inputs are not permitted"):
        seg3d(data={"plane": "coronal"})
