"""Predictions of image data sets as PNGs, in the form of their truth, and read back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from casefold.config.datasets import ImagesDataset
from casefold.core import DataError, Masks
from casefold.readers import RawScan, images

MASKS = np.zeros((2, 2, 2, 3), bool)
MASKS[0, 0, 0] = MASKS[1, 1, :, 2] = True  # a: the first row of slice 7; b: the last column of slice 12
ALIKE = np.concatenate([MASKS[:1], MASKS[:1]])


def config(classes: tuple[str, ...] = ("a", "b"), image: str = "{scan}_{slice}.png", **masks: Any) -> ImagesDataset:
    truth = {"kind": "files", "pattern": "m/{scan}_{class}.png", **masks} if masks or len(classes) > 1 else None
    content = {"reader": "images", "root": "x", "classes": classes, "image": image, "masks": truth}
    return ImagesDataset.model_validate(content)


def values(**changes: Any) -> ImagesDataset:
    return config(pattern="m/{scan}.png", **changes)


def write(chosen: ImagesDataset, root: Path, masks: NDArray[np.bool_], labels: Any = None) -> dict[str, Any]:
    """The PNGs written, by their paths; what is read back is what was written."""
    numbers = ("07", "12")[: masks.shape[1]] if "slice" in chosen.image else ("",)
    raw = RawScan("p", "1.2 é", (), False, {"numbers": numbers})
    made = Masks("p", raw.name, chosen.classes, tuple(f"s{z}" for z in range(masks.shape[1])), masks, labels)
    path = images.write(chosen, root, raw, made, root / "out")
    assert path == root / "out" / images.result_name(chosen, raw) and path.exists()
    np.testing.assert_array_equal(images.read_masks(chosen, root, path), masks)
    files = sorted(file for file in (root / "out").rglob("*") if file.is_file())
    return {str(file.relative_to(root / "out")): np.asarray(Image.open(file)).tolist() for file in files}


def test_one_class_is_0_and_255(tmp_path: Path) -> None:
    single = config(("a",), "{scan}.png")
    assert write(single, tmp_path, MASKS[:1, :1]) == {"1.2 é.png": [[255, 255, 255], [0, 0, 0]]}


def test_a_stack_is_a_folder_with_a_png_a_slice(tmp_path: Path) -> None:
    assert write(config(("a",)), tmp_path, MASKS[:1]) == {
        "1.2 é/07.png": [[255, 255, 255], [0, 0, 0]],
        "1.2 é/12.png": [[0, 0, 0], [0, 0, 0]],
    }


def test_a_stack_of_one_slice_is_a_folder_all_the_same(tmp_path: Path) -> None:
    assert list(write(config(("a",)), tmp_path, MASKS[:1, :1])) == ["1.2 é/07.png"]


def test_classes_that_may_overlap_have_a_png_each(tmp_path: Path) -> None:
    written = write(config(image="{scan}.png"), tmp_path, ALIKE[:, :1])
    assert written == {f"1.2 é/{name}.png": [[255, 255, 255], [0, 0, 0]] for name in ("a", "b")}
    assert sorted(write(config(), tmp_path / "stack", ALIKE)) == [
        "1.2 é/a/07.png",
        "1.2 é/a/12.png",
        "1.2 é/b/07.png",
        "1.2 é/b/12.png",
    ]


def test_values_give_a_label_image(tmp_path: Path) -> None:
    chosen = values(values={"b": 9, "a": 4}, background=(2,))
    assert write(chosen, tmp_path, MASKS) == {
        "1.2 é/07.png": [[4, 4, 4], [2, 2, 2]],
        "1.2 é/12.png": [[2, 2, 9], [2, 2, 9]],
    }
    large = values(values={"b": 900, "a": 4}, image="{scan}.png")
    assert write(large, tmp_path / "large", MASKS[:, 1:]) == {"1.2 é.png": [[0, 0, 900], [0, 0, 900]]}


def test_colours_give_a_coloured_label_image(tmp_path: Path) -> None:
    chosen = values(colours={"a": (255, 0, 0), "b": (1, 2, 3)}, image="{scan}.png")
    black, blueish = [0, 0, 0], [1, 2, 3]
    assert write(chosen, tmp_path, MASKS[:, 1:]) == {"1.2 é.png": [[black, black, blueish]] * 2}


def test_labels_decide_where_masks_overlap(tmp_path: Path) -> None:
    chosen = values(values={"a": 1, "b": 2}, image="{scan}.png")
    raw = RawScan("p", "s", (), False, {"numbers": ("",)})
    made = Masks("p", "s", ("a", "b"), ("s",), ALIKE[:, :1], np.array([[[1, 2, 2], [0, 0, 0]]], np.uint8))
    path = images.write(chosen, tmp_path, raw, made, tmp_path)
    assert np.asarray(Image.open(path)).tolist() == [[1, 2, 2], [0, 0, 0]]
    without = Masks("p", "s", ("a", "b"), ("s",), ALIKE[:, :1])
    with pytest.raises(DataError, match="masks of s overlap, but a label image holds one class a pixel"):
        images.write(chosen, tmp_path, raw, without, tmp_path)


def test_results_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write(config(), tmp_path, MASKS)
    folder = tmp_path / "out" / "1.2 é"
    (folder / "b" / "12.png").unlink()
    with pytest.raises(
        DataError, match=r"its PNGs should be of one size and number, but are \[\(1, 2, 3\), \(2, 2, 3\)\]"
    ):
        images.read_masks(config(), tmp_path, folder)
    (folder / "b" / "07.png").unlink()
    with pytest.raises(DataError, match=r"1\.2 é/b holds no PNG; wanted one a slice"):
        images.read_masks(config(), tmp_path, folder)
    with pytest.raises(DataError, match=r"a\.png can't be read as an image"):
        images.read_masks(config(image="{scan}.png"), tmp_path, tmp_path / "none")
