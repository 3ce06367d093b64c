"""What the table answers for every reader."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from casefold.config.datasets import DatasetConfig
from casefold.readers.table import exclusive
from toy_nifti import brats


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"reader": "uwmgi"}, False),
        (brats(), False),
        (brats(labels={"whole": [2], "core": [1], "enhancing": [4]}), True),
        ({"reader": "dicom"}, True),
        ({"reader": "dicom", "predictions": "segmentation"}, False),
        ({"reader": "images", "image": "{scan}.png", "masks": {"kind": "rle"}}, False),
        (
            {"reader": "images", "image": "{scan}.png", "masks": {"kind": "files", "pattern": "{scan}/{class}.png"}},
            False,
        ),
    ],
)
def test_a_label_map_is_exclusive_where_a_voxel_is_written_as_one_class(
    content: dict[str, Any], wanted: bool, tmp_path: Path
) -> None:
    defaults = {"root": "x", "classes": ["whole", "core", "enhancing"]}
    config = TypeAdapter(DatasetConfig).validate_python({**defaults, **content})
    assert exclusive(config, tmp_path) is wanted


def test_label_images_are_exclusive(tmp_path: Path) -> None:
    masks = {"kind": "files", "pattern": "m/{scan}.png", "values": {"a": 1, "b": 2}}
    content = {"reader": "images", "root": "x", "classes": ["a", "b"], "image": "{scan}.png", "masks": masks}
    assert exclusive(TypeAdapter(DatasetConfig).validate_python(content), tmp_path) is True
