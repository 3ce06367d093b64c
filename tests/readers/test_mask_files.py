"""Masks as image files: by value, by colour, a file a class or several; what lacks and what is too much."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from casefold.config.datasets import ImagesDataset
from casefold.core import DataError, Scan
from casefold.readers import FaultKind, images

PLANE = np.zeros((2, 3), np.uint8)
LABELS = np.array([[0, 1, 2], [7, 255, 1]], np.uint8)


def config(**masks: Any) -> ImagesDataset:
    content = {"reader": "images", "root": "x", "classes": ("a", "b"), "image": "{scan}.png", "colour": "grey"}
    image, classes = masks.pop("image", "{scan}.png"), masks.pop("classes", ("a", "b"))
    masks = {"kind": "files", "pattern": "masks/{scan}.png", **masks}
    return ImagesDataset.model_validate({**content, "image": image, "classes": classes, "masks": masks})


def save(root: Path, files: Mapping[str, NDArray[Any]]) -> Path:
    for path, pixels in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / path, **({"quality": 95} if path.endswith("jpg") else {}))
    return root


def read(root: Path, **masks: Any) -> dict[str, Scan]:
    return {raw.name: images.load(config(**masks), raw) for raw in images.find(config(**masks), root, "train")}


def findings(root: Path, **masks: Any) -> tuple[dict[str, Scan], list[tuple[FaultKind, str]]]:
    faults: list[tuple[FaultKind, str]] = []

    def note(kind: FaultKind, where: str, message: str) -> None:
        faults.append((kind, where.removeprefix(f"{root}/")))

    raws = images.find(config(**masks), root, "train", report=note)
    return {raw.name: images.load(config(**masks), raw, note) for raw in raws}, faults


def bits(scan: Scan) -> list[list[int]]:
    """The bitfield of the one slice."""
    assert scan.masks is not None
    return scan.masks[0].tolist()


def test_values_background_and_what_is_ignored(tmp_path: Path) -> None:
    save(tmp_path, {"s.png": PLANE, "masks/s.png": LABELS})
    values = {"values": {"b": 2, "a": 1}, "background": (0, 7), "ignore": (255,)}
    scan = read(tmp_path, **values)["s"]
    assert bits(scan) == [[0, 1, 2], [0, 0, 1]]
    assert scan.ignore is not None and scan.ignore[0].tolist() == [[False] * 3, [False, True, False]]
    message = r"masks/s\.png holds the values 7, 255, which are no class's; put them into masks\.values, masks\.back"
    with pytest.raises(DataError, match=message):
        read(tmp_path, values={"a": 1, "b": 2})
    scans, faults = findings(tmp_path, values={"a": 1, "b": 2})
    assert faults == [("label value", "masks/s.png")]
    assert bits(scans["s"]) == [[0, 1, 2], [0, 0, 1]]
    assert scans["s"].ignore is not None and np.flatnonzero(scans["s"].ignore).tolist() == [3, 4]


def test_the_parts_of_a_pattern_are_those_of_the_path_whatever_the_case_is(tmp_path: Path) -> None:
    save(tmp_path, {"p_1.png": PLANE, "masks/p_1.png": LABELS})
    masks = {"image": "{case}_{view}.png", "pattern": "masks/{case}_{view}.png", "classes": ("a",)}
    chosen = config(**masks).model_copy(update={"case": "hospital of {case}"})
    (raw,) = images.find(chosen, tmp_path, "train")
    assert (raw.case, raw.name, raw.labelled) == ("hospital of p", "p_1", True)


def test_16_bit_values(tmp_path: Path) -> None:
    save(tmp_path, {"s.png": PLANE, "masks/s.png": LABELS.astype(np.uint16) * 200})
    masks = {"values": {"a": 200, "b": 51000}, "background": (0, 400, 1400)}
    assert bits(read(tmp_path, **masks)["s"]) == [[0, 1, 0], [0, 2, 1]]


def test_colours(tmp_path: Path) -> None:
    red, green, grey = (255, 0, 0), (0, 255, 0), (9, 9, 9)
    picture = np.array([[red, green, (0, 0, 0)], [red, red, green]], np.uint8)
    save(tmp_path, {"s.png": PLANE, "masks/s.png": picture, "empty.png": PLANE, "masks/empty.png": PLANE})
    scans = read(tmp_path, colours={"a": green, "b": red})
    assert (bits(scans["s"]), bits(scans["empty"])) == ([[2, 1, 0], [2, 2, 1]], [[0] * 3] * 2)
    picture[0, 0] = grey
    save(tmp_path, {"masks/s.png": picture})
    message = r"s\.png holds the colours \(9, 9, 9\), which are neither a class's nor black; put them into masks\.col"
    with pytest.raises(DataError, match=message):
        read(tmp_path, colours={"a": green, "b": red})
    with pytest.raises(
        DataError, match=r"s\.png is a coloured label image; give the classes' colours in masks\.colours"
    ):
        read(tmp_path, values={"a": 1, "b": 2})
    scans, faults = findings(tmp_path, values={"a": 1, "b": 2})
    assert faults == [("type", "masks/s.png")]
    assert scans["s"].ignore is not None and scans["s"].ignore.all()


def test_a_file_a_class_may_overlap(tmp_path: Path) -> None:
    one, other = np.array([[0, 3, 0], [0, 0, 1]], np.uint8), np.array([[0, 1, 255], [0, 0, 0]], np.uint8)
    save(tmp_path, {"s.png": PLANE, "masks/s/a.png": one, "masks/s/bee.png": other})
    masks = {"pattern": "masks/{scan}/{class}.png", "class_names": {"b": "bee"}}
    assert bits(read(tmp_path, **masks)["s"]) == [[0, 3, 2], [0, 0, 1]]


def test_several_files_of_one_class_are_one_mask(tmp_path: Path) -> None:
    one, other = np.array([[0, 1, 0], [0, 0, 0]], np.uint8), np.array([[0, 0, 0], [1, 0, 0]], np.uint8)
    save(tmp_path, {"s/images/s.png": PLANE, "s/masks/1.png": one, "s/masks/2.png": other})
    masks = {"image": "{scan}/images/{scan}.png", "pattern": "{scan}/masks/*.png", "classes": ("a",)}
    assert bits(read(tmp_path, **masks)["s"]) == [[0, 1, 0], [1, 0, 0]]


def test_masks_beside_their_images_are_no_images(tmp_path: Path) -> None:
    save(tmp_path, {"s (1).png": PLANE, "s (1)_mask.png": LABELS, "t.png": PLANE})
    scans = read(tmp_path, pattern="{scan}_mask.png", classes=("a",))
    assert {name: scan.masks is not None for name, scan in scans.items()} == {"s (1)": True, "t": False}
    assert bits(scans["s (1)"]) == [[0, 1, 1], [1, 1, 1]]


def test_in_a_jpeg_mask_is_what_is_bright(tmp_path: Path) -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[4:9, 3:12] = 255
    save(tmp_path, {"s.png": mask * 0, "masks/s.jpg": mask})
    assert (np.asarray(Image.open(tmp_path / "masks/s.jpg")) > 0).sum() > 45  # what JPEG adds
    scan = read(tmp_path, pattern="masks/{scan}.jpg", classes=("a",))["s"]
    np.testing.assert_array_equal(scan.class_masks()[0, 0], mask > 0)


def test_an_image_without_a_file_is_unlabelled_or_empty(tmp_path: Path) -> None:
    save(tmp_path, {"s.png": PLANE, "t.png": PLANE, "masks/s.png": LABELS})
    masks = {"values": {"a": 1, "b": 2}, "background": (0, 7, 255)}
    assert read(tmp_path, **masks)["t"].masks is None
    scan = read(tmp_path, **masks, missing="empty")["t"]
    assert scan.masks is not None and not scan.masks.any()


def test_a_scan_that_lacks_some_files_is_labelled_in_part(tmp_path: Path) -> None:
    save(tmp_path, {"s_1.png": PLANE, "s_2.png": PLANE, "masks/a_s_1.png": LABELS, "masks/b_s_2.png": LABELS})
    masks = {"image": "{scan}_{slice}.png", "pattern": "masks/{class}_{scan}_{slice}.png"}
    message = r"scan s is labelled in part; 2 mask files are missing: s_1 b, s_2 a; add them, or write `missing: empty`"
    with pytest.raises(DataError, match=message):
        read(tmp_path, **masks)
    scans, faults = findings(tmp_path, **masks)
    assert faults == [("partly labelled", "s")]
    assert scans["s"].ignore is not None and scans["s"].ignore.all()
    whole = read(tmp_path, **masks, missing="empty")["s"]
    assert whole.masks is not None and whole.masks.max(axis=(1, 2)).tolist() == [1, 2]


def test_masks_without_an_image_are_named_but_for_dropped_scans(tmp_path: Path) -> None:
    save(
        tmp_path, {"s.png": PLANE, "d.png": PLANE, "masks/s.png": LABELS, "masks/d.png": LABELS, "masks/é.png": LABELS}
    )
    with pytest.raises(DataError, match=r"masks without an image .*: .*masks/é\.png$"):
        read(tmp_path, classes=("a",))
    dropping = config(classes=("a",)).model_copy(update={"drop_scans": ("d",)})
    faults: list[tuple[str, str]] = []
    images.find(dropping, tmp_path, "train", report=lambda kind, where, message: faults.append((kind, where)))
    assert faults == [("label without image", str(tmp_path / "masks/é.png"))]


def test_a_mask_of_another_size_or_a_broken_one_is_reported_and_ignored(tmp_path: Path) -> None:
    save(tmp_path, {"s.png": PLANE, "t.png": PLANE, "masks/s.png": LABELS.T.copy(), "masks/t.png": LABELS})
    (tmp_path / "masks/t.png").write_bytes(b"")
    message = r"masks/s\.png is a mask of 2 x 3 for an image of 3 x 2 \(width x height\); make them fit"
    with pytest.raises(DataError, match=message):
        read(tmp_path, classes=("a",))
    scans, faults = findings(tmp_path, classes=("a",))
    assert faults == [("label grid", "masks/s.png"), ("unreadable", "masks/t.png")]
    assert all(scan.ignore is not None and scan.ignore.all() for scan in scans.values())
