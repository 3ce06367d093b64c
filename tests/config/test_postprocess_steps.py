"""The schema of post-processing: what is refused, and the spelled-out form."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from casefold.config.postprocess import DropEnds, FillHoles, SmallComponents, StepConfig

STEP: TypeAdapter[Any] = TypeAdapter(StepConfig)


def test_a_step_is_told_by_its_name_and_saved_with_every_number() -> None:
    step = STEP.validate_python({"name": "small_components", "min_voxels": 20, "classes": ["stomach"]})
    assert step == SmallComponents(min_voxels=20, classes=("stomach",))
    assert step.model_dump(mode="json") == {
        "name": "small_components",
        "classes": ["stomach"],
        "by": "scan",
        "connectivity": 26,
        "min_voxels": 20,
        "min_mm3": None,
        "min_pixels": None,
        "min_mm2": None,
    }
    assert STEP.validate_python(step.model_dump(mode="json")) == step


def test_the_size_is_the_field_that_was_given() -> None:
    assert SmallComponents(min_mm3=12.5).size == ("min_mm3", 12.5)
    assert FillHoles(by="slice", max_pixels=4).size == ("max_pixels", 4)
    assert FillHoles().size is None


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"name": "small_components"}, "small_components by scan wants one of min_voxels, min_mm3"),
        ({"name": "small_components", "by": "slice"}, "by slice wants one of min_pixels, min_mm2"),
        (
            {"name": "small_components", "min_pixels": 9},
            r"by scan takes one of min_voxels, min_mm3, not \['min_pixels'\]",
        ),
        (
            {"name": "small_components", "min_voxels": 9, "min_mm3": 9},
            r"takes one of min_voxels, min_mm3, not \['min_voxels', 'min_mm3'\]",
        ),
        (
            {"name": "fill_holes", "by": "slice", "max_voxels": 9},
            r"fill_holes by slice takes one of max_pixels, max_mm2, not \['max_voxels'\]",
        ),
        ({"name": "small_components", "min_voxels": 1}, "greater than or equal to 2"),
        ({"name": "small_components", "min_voxels": 9, "connectivity": 8}, "6, 18 or 26"),
        ({"name": "largest_components", "k": 0}, "greater than or equal to 1"),
        ({"name": "drop_runs", "min_slices": 1}, "greater than or equal to 2"),
        ({"name": "fill_gaps"}, "Field required"),
        ({"name": "drop_ends"}, "drop_ends wants first_slices, last_slices or edge_px above 0"),
        ({"name": "truncate", "member": "ends", "level": 256}, "less than or equal to 255"),
        ({"name": "overlap", "rule": "first"}, "'priority' or 'largest'"),
        ({"name": "drop_runs", "min_slices": 2, "classes": []}, "at least 1 item"),
        ({"name": "drop_runs", "min_slices": 2, "classes": ["a", "a"]}, r"a class is named twice in \['a', 'a'\]"),
        ({"name": "drop_runs", "min_slices": 2, "slices": 2}, "Extra inputs are not permitted"),
        ({"name": "crop"}, "'small_components', 'largest_components'"),
    ],
)
def test_what_makes_no_sense_is_refused(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STEP.validate_python(step)


def test_steps_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        DropEnds(first_slices=1).first_slices = 2  # type: ignore[misc]
