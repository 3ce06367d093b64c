"""Polygons to masks: what fillPoly draws on small grids, holes, COCO and GeoJSON, and every fault told by name."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from casefold.config.datasets import ImagesDataset
from casefold.core import DataError, Scan
from casefold.readers import FaultKind, images

SQUARE = [[1, 1], [4, 1], [4, 3], [1, 3]]
SIZE = (6, 7)  # height, width


def config(form: str, **changes: Any) -> ImagesDataset:
    masks = {"kind": "polygons", "form": form, "file": "coco.json" if form == "coco" else "shapes/{scan}.geojson"}
    masks |= changes.pop("masks", {})
    content = {"reader": "images", "root": "x", "classes": ("a",), "image": "images/{scan}.png", "masks": masks}
    return ImagesDataset.model_validate({**content, **changes})


def draw(root: Path, *names: str) -> Path:
    (root / "images").mkdir(exist_ok=True)
    for name in names:
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(root / "images" / f"{name}.png")
    return root


def coco(root: Path, segmentations: Any, category: str = "a", files: tuple[str, ...] = ("s.png",)) -> Path:
    content = {
        "images": [{"id": 10 + number, "file_name": name} for number, name in enumerate(files)],
        "categories": [{"id": 3, "name": category}],
        "annotations": [
            {"id": number, "image_id": 10, "category_id": 3, "segmentation": parts}
            for number, parts in enumerate(segmentations)
        ],
    }
    (root / "coco.json").write_text(json.dumps(content))
    return root


def geojson(root: Path, *geometries: dict[str, Any], name: str = "s", properties: Any = None) -> Path:
    features = [{"type": "Feature", "properties": properties, "geometry": geometry} for geometry in geometries]
    (root / "shapes").mkdir(exist_ok=True)
    (root / "shapes" / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return root


def read(root: Path, form: str, **changes: Any) -> dict[str, Scan]:
    chosen = config(form, **changes)
    return {raw.name: images.load(chosen, raw) for raw in images.find(chosen, root, "train")}


def findings(root: Path, form: str, **changes: Any) -> tuple[dict[str, Scan], list[tuple[FaultKind, str]]]:
    faults: list[tuple[FaultKind, str]] = []
    chosen = config(form, **changes)

    def note(kind: FaultKind, where: str, message: str) -> None:
        faults.append((kind, where.removeprefix(f"{root}/")))

    return {raw.name: images.load(chosen, raw, note) for raw in images.find(chosen, root, "train", report=note)}, faults


def picture(scan: Scan, index: int = 0) -> list[str]:
    return ["".join("#" if pixel else "." for pixel in row) for row in scan.class_masks()[index, 0]]


def flat(ring: list[list[float]]) -> list[float]:
    return [number for corner in ring for number in corner]


def test_the_border_of_a_coco_polygon_is_mask_and_parts_add_up(tmp_path: Path) -> None:
    coco(draw(tmp_path, "s"), [[flat(SQUARE), flat([[5.6, 4.4], [6.4, 4.4], [6.4, 5.4]])], [flat(SQUARE)]])
    assert picture(read(tmp_path, "coco")["s"]) == [
        ".......",
        ".####..",
        ".####..",
        ".####..",
        "......#",
        "......#",
    ]


def test_contours_of_opencv_give_their_mask_back(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[1:5, 2:6] = mask[2, 0:2] = 1
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    coco(draw(tmp_path, "s"), [[contour.ravel().tolist() for contour in contours]])
    np.testing.assert_array_equal(read(tmp_path, "coco")["s"].class_masks()[0, 0], mask)


def test_a_hole_of_a_geojson_polygon_stays_open(tmp_path: Path) -> None:
    outer, hole = [[0, 0], [6, 0], [6, 5], [0, 5], [0, 0]], [[2, 1], [4, 1], [4, 4], [2, 4], [2, 1]]
    geojson(draw(tmp_path, "s"), {"type": "Polygon", "coordinates": [outer, hole]})
    assert picture(read(tmp_path, "geojson")["s"]) == [
        "#######",
        "#######",
        "###.###",
        "###.###",
        "#######",
        "#######",
    ]


def test_polygons_of_one_file_overlap_without_holes(tmp_path: Path) -> None:
    rings = [[SQUARE], [[[0, 0], [2, 0], [2, 2], [0, 2]]]]
    geojson(draw(tmp_path, "s"), {"type": "MultiPolygon", "coordinates": rings})
    assert picture(read(tmp_path, "geojson")["s"])[:4] == ["###....", "#####..", "#####..", ".####.."]


def test_listed_images_are_labelled_the_others_are_not(tmp_path: Path) -> None:
    draw(tmp_path, "s", "t", "u")
    scans = read(coco(tmp_path, [], files=("images/s.png", "./t.png")), "coco")
    assert {name: scan.masks is not None for name, scan in scans.items()} == {"s": True, "t": True, "u": False}
    assert not scans["s"].class_masks().any()
    scans = read(geojson(tmp_path), "geojson")
    assert {name: scan.masks is not None for name, scan in scans.items()} == {"s": True, "t": False, "u": False}


@pytest.mark.parametrize(
    "properties",
    [{"classification": {"name": "Bee"}}, {"classification": "Bee"}, {"class": "Bee", "name": "number 4"}],
)
def test_the_class_of_a_feature(tmp_path: Path, properties: dict[str, Any]) -> None:
    geojson(draw(tmp_path, "s"), {"type": "Polygon", "coordinates": [SQUARE]}, properties=properties)
    changes = {"classes": ("a", "b"), "masks": {"class_names": {"b": "Bee"}}}
    assert read(tmp_path, "geojson", **changes)["s"].class_masks().sum(axis=(1, 2, 3)).tolist() == [0, 12]


def test_an_unknown_class_is_named_with_the_nearest(tmp_path: Path) -> None:
    draw(tmp_path, "s")
    coco(tmp_path, [[flat(SQUARE)]], category="nuclei")
    with pytest.raises(DataError, match=r"coco\.json: unknown class 'nuclei' \(did you mean 'nucleus'\?\); the config"):
        read(tmp_path, "coco", classes=("nucleus",))
    assert findings(tmp_path, "coco")[1] == [("unknown class", "s.png")]
    geojson(tmp_path, {"type": "Polygon", "coordinates": [SQUARE]}, properties={"class": "nuclei"})
    with pytest.raises(DataError, match=r"s\.geojson: unknown class 'nuclei' \(did you mean 'nucleus'\?\)"):
        read(tmp_path, "geojson", classes=("nucleus",))
    geojson(tmp_path, {"type": "Polygon", "coordinates": [SQUARE]})
    with pytest.raises(DataError, match=r"s\.geojson: unknown class 'None'; the config has \['a', 'b'\]"):
        read(tmp_path, "geojson", classes=("a", "b"))


def test_labels_without_an_image_are_named(tmp_path: Path) -> None:
    draw(tmp_path, "s")
    coco(tmp_path, [], files=("s.png", "gone.png"))
    with pytest.raises(DataError, match=r"coco\.json lists images that are not there, or of a name .*: gone\.png"):
        read(tmp_path, "coco")
    assert findings(tmp_path, "coco")[1] == [("label without image", "gone.png")]
    geojson(tmp_path, name="gone")
    with pytest.raises(DataError, match=r"polygons without an image .*: .*gone\.geojson"):
        read(tmp_path, "geojson")


def test_a_scan_with_some_slices_labelled_is_labelled_in_part(tmp_path: Path) -> None:
    draw(tmp_path, "s_1", "s_2")
    coco(tmp_path, [], files=("s_1.png",))
    changes = {"image": "images/{scan}_{slice}.png"}
    with pytest.raises(DataError, match="scan s is labelled in part; 1 slices are not in the labels: s_2; add them"):
        read(tmp_path, "coco", **changes)
    scans, faults = findings(tmp_path, "coco", **changes)
    assert faults == [("partly labelled", "s")]
    assert scans["s"].ignore is not None and scans["s"].ignore.all(axis=(1, 2)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("ring", "message"),
    [
        ([[1, 1], [4, 1]], "s a: a polygon has 2 corners; a mask has at least 3"),
        (
            [[8, 1], [9, 1], [9, 3]],
            r"s a: a polygon lies outside the image of 7 x 6 \(width x height\), from \(8, 1\) to \(9, 3\); are x",
        ),
    ],
)
def test_a_polygon_that_is_no_mask_is_reported(tmp_path: Path, ring: list[list[float]], message: str) -> None:
    coco(draw(tmp_path, "s"), [[flat(ring)], [flat(SQUARE)]])
    with pytest.raises(DataError, match=message):
        read(tmp_path, "coco")
    scans, faults = findings(tmp_path, "coco")
    assert faults == [("label grid", "s a")]
    assert scans["s"].ignore is not None and scans["s"].ignore.all()


def test_files_of_another_form_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, "s")
    coco(tmp_path, [{"counts": "abc", "size": [6, 7]}])
    with pytest.raises(DataError, match=r"coco\.json: annotation 0 of s\.png holds RLE; only polygons are read"):
        read(tmp_path, "coco")
    (tmp_path / "coco.json").write_text('{"images": []}')
    with pytest.raises(DataError, match=r"coco\.json can't be read as COCO JSON: KeyError: 'categories'"):
        read(tmp_path, "coco")
    (tmp_path / "coco.json").unlink()
    assert findings(tmp_path, "coco")[1] == [("unreadable", "coco.json")]
    geojson(tmp_path, {"type": "Point", "coordinates": [1, 1]})
    with pytest.raises(DataError, match=r"s\.geojson holds a Point; only Polygon and MultiPolygon are masks"):
        read(tmp_path, "geojson")
    (tmp_path / "shapes" / "s.geojson").write_text("[{")
    with pytest.raises(DataError, match=r"s\.geojson can't be read as GeoJSON: JSONDecodeError"):
        read(tmp_path, "geojson")
    scans, faults = findings(tmp_path, "geojson")
    assert faults == [("unreadable", "shapes/s.geojson")]
    assert scans["s"].ignore is not None and scans["s"].ignore.all()
