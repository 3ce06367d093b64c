"""Folders of images in the shapes of competitions: the patterns, columns, orders and first pixels guessed, exactly."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import toy_dicom
from casefold.config.load import load_dataset
from casefold.config.paths import Paths
from casefold.core import DataError
from casefold.pipeline.project import open_project
from casefold.pipeline.steps import prepare_step
from casefold.readers.table import find, load
from casefold.rle import encode
from casefold.starter.start import start
from toy_start import begin

SHAPE = (24, 40)
FOLDS = {"kind": "case", "count": 5, "seed": 2022}
ROW = {"order": "row", "base": 1, "starts": "absolute"}
COLUMN = {"order": "column", "base": 1, "starts": "absolute"}


def ball(number: int, shape: tuple[int, int] = SHAPE) -> NDArray[np.bool_]:
    """A disc, another for each number."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[: shape[0], : shape[1]]
    middle = random.integers(6, shape[0] - 6), random.integers(6, shape[1] - 6)
    return (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= random.integers(9, 26)


def save(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def grey(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """An image on which the mask is bright."""
    return (70 + 90 * mask + np.random.default_rng(3).normal(0, 4, mask.shape)).astype(np.uint8)


def colour(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.stack([grey(mask), grey(mask) // 2, grey(mask) // 3], axis=-1)


def write_csv(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n")


def loaded_masks(paths: Paths, name: str) -> dict[str, NDArray[np.bool_]]:
    """The masks (class, y, x) of every labelled scan of one slice, read by what was written."""
    config = load_dataset(paths.configs, name)
    scans = [load(config, raw) for raw in find(config, paths.raw(config.root), "train") if raw.labelled]
    return {scan.name: scan.class_masks()[:, 0] for scan in scans}


def test_rows_by_class_down_columns_and_absent_where_empty(paths: Paths) -> None:
    """As in Severstal."""
    root, rows = paths.data / "steel", ["ImageId,ClassId,EncodedPixels"]
    for number in range(6):
        save(root / "train_images" / f"a{number}f.jpg", colour(ball(number)))
        save(root / "test_images" / f"b{number}f.jpg", colour(ball(number)))
        if number:
            rows.append(f"a{number}f.jpg,{number % 2 + 1},{encode(ball(number), order='column')}")
    write_csv(root / "train.csv", *rows)
    write_csv(root / "sample_submission.csv", "ImageId,EncodedPixels,ClassId", "b0f.jpg,1 409600,0")
    done = begin(root, paths)
    assert done.config == {
        "reader": "images",
        "classes": ["class_1", "class_2"],
        "image": "train_images/{scan}.jpg",
        "test": "test_images/{scan}.jpg",
        "colour": "rgb",
        "masks": {
            "kind": "rle",
            "file": "train.csv",
            "id": "ImageId",
            "key": "{id}",
            "class_column": "ClassId",
            "rle": "EncodedPixels",
            "class_names": {"class_1": "1", "class_2": "2"},
            **COLUMN,
            "empty": "missing",
            "instances": False,
        },
        "id": "{scan}.jpg",
        "sample_submission": "sample_submission.csv",
        "spacing_mm": "unknown",
        "folds": FOLDS,
    }
    assert done.members == ["seg25d/start_2d"]
    masks = loaded_masks(paths, "steel")
    assert len(masks) == 6 and not masks["a0f"].any()
    np.testing.assert_array_equal(masks["a3f"][1], ball(3))


def test_a_row_an_image_along_rows_and_several_images_a_case(paths: Paths) -> None:
    """As in Carvana."""
    root, rows = paths.data / "cars", ["img,rle_mask"]
    for car in range(5):
        for view in (1, 2):
            name = f"c{car}e5_{view:02d}"
            save(root / "train" / f"{name}.jpg", colour(ball(2 * car + view)))
            rows.append(f"{name}.jpg,{encode(ball(2 * car + view))}")
    write_csv(root / "train_masks.csv", *rows)
    done = begin(root, paths)
    assert done.config["image"] == r"train/{case}_{visit:\d+}.jpg"
    assert done.config["id"] == "{case}_{visit}.jpg"
    assert done.config["masks"] == {
        "kind": "rle",
        "file": "train_masks.csv",
        "id": "img",
        "key": "{id}",
        "class_column": None,
        "rle": "rle_mask",
        **ROW,
        "empty": "blank",
        "instances": False,
    }
    assert "10 scans of 5 cases, 10 of them labelled; 0 scans to predict" in done.lines
    np.testing.assert_array_equal(loaded_masks(paths, "cars")["c1e5_02"][0], ball(4))


def test_several_rows_of_relative_starts_and_minus_one_on_square_dicom(paths: Paths) -> None:
    """As in SIIM-ACR, whose header has a blank in it."""
    root, rows = paths.data / "lungs", ["ImageId, EncodedPixels"]
    for number in range(8):
        mask, name = ball(number, (32, 32)), f"1.2.{number}.7"
        path = root / "images" / f"s{number}" / f"t{number}" / f"{name}.dcm"
        toy_dicom.save(path, toy_dicom.header(name, RescaleSlope=None, RescaleIntercept=None), grey(mask))
        middle = np.nonzero(mask)[1].mean()
        halves = [mask & (np.arange(32) < middle), mask & (np.arange(32) >= middle)]
        texts = [encode(half, order="column", base=0, starts="relative") for half in halves] if number else ["-1"]
        rows += [f"{name}, {text}" for text in texts]
    write_csv(root / "train-rle.csv", *rows)
    done = begin(root, paths)
    assert done.config["image"] == "images/{folder0}/{case}/{scan}.dcm"
    masks = done.config["masks"]
    assert [masks[key] for key in ("id", "rle", "order", "base", "starts", "empty", "instances")] == [
        "ImageId", "EncodedPixels", "column", 0, "relative", "-1", True,
    ]  # fmt: skip
    assert "so the wrong order gives the transposed mask; the outlines of 14 masks lie on edges" in done.text
    np.testing.assert_array_equal(loaded_masks(paths, "lungs")["1.2.3.7"][0], ball(3, (32, 32)))


@pytest.mark.parametrize("order", ["row", "column"])
@pytest.mark.parametrize("base", [0, 1])
def test_the_order_and_the_first_pixel_are_found(paths: Paths, order: Any, base: Any) -> None:
    root, rows = paths.data / "found", ["name,organ,runs,age"]
    for number in range(6):
        save(root / "img" / f"x{number}.png", grey(ball(number)))
        rows.append(f"x{number},kidney,{encode(ball(number), order=order, base=base)},{number}")
    write_csv(root / "labels.csv", *rows)
    masks = begin(root, paths).config["masks"]
    assert (masks["order"], masks["base"], masks["id"], masks["rle"], masks["class_column"]) == (
        order, base, "name", "runs", None,
    )  # fmt: skip
    np.testing.assert_array_equal(loaded_masks(paths, "found")["x2"][0], ball(2))


def test_the_class_may_be_part_of_the_id(paths: Paths) -> None:
    """As in Understanding Clouds; the sample's columns are others."""
    root, rows = paths.data / "clouds", ["Image_Label,EncodedPixels"]
    for number in range(6):
        save(root / "train" / f"0{number}.jpg", colour(ball(number)))
        rows += [f"0{number}.jpg_Fish,{encode(ball(number), order='column')}", f"0{number}.jpg_Sugar,"]
    write_csv(root / "train.csv", *rows)
    write_csv(root / "sample_submission.csv", "Image_Label,Pixels", "07.jpg_Fish,1 1")
    config = begin(root, paths).config
    assert config["classes"] == ["Fish", "Sugar"]
    assert config["id"] == "{scan}.jpg"
    form = {
        "id": "Image_Label",
        "key": "{id}_{class}",
        "class_column": None,
        **COLUMN,
        "empty": "blank",
        "instances": False,
    }
    assert config["masks"] == {"kind": "rle", "file": "train.csv", "rle": "EncodedPixels", **form}
    assert config["submission"] == {"rle": "Pixels", **form}


def test_a_stack_of_slices_a_folder(paths: Paths) -> None:
    """As in the public LGG set: image and mask side by side, a number for the slice."""
    root = paths.data / "stacks"
    for case in range(5):
        for z in range(1, 5):
            stem = f"TCGA_CS_49{case}_1996"
            save(root / stem / f"{stem}_{z}.tif", colour(ball(case)))
            save(root / stem / f"{stem}_{z}_mask.tif", ball(case).astype(np.uint8) * 255)
    done = begin(root, paths)
    assert done.config == {
        "reader": "images",
        "classes": ["foreground"],
        "image": "{scan}/{scan}_{slice}.tif",
        "colour": "rgb",
        "masks": {"kind": "files", "pattern": "{scan}/{scan}_{slice}_mask.tif"},
        "spacing_mm": "unknown",
        "folds": FOLDS,
    }
    assert done.members == ["seg25d/start_25d", "seg3d/start_3d"]
    assert "3 were read: 4 x 24 x 40 voxels (z, y, x), uint8, modalities: 3, spacing in mm: unknown; 0% of their " \
        "slices without a class" in done.lines  # fmt: skip


def test_stacks_of_several_days_have_names_of_their_own(paths: Paths) -> None:
    root = paths.data / "days"
    for case in range(5):
        for day in (0, 1):
            for z in range(3):
                below = Path(f"case{case}") / f"day{day}" / f"slice_{z:03d}.png"
                save(root / "images" / below, grey(ball(case)))
                save(root / "labels" / below, ball(case).astype(np.uint8))
    done = begin(root, paths)
    assert done.config["image"] == "images/{case}/{visit}/slice_{slice}.png"
    assert done.config["masks"] == {"kind": "files", "pattern": "labels/{case}/{visit}/slice_{slice}.png"}
    assert "10 scans of 5 cases, 10 of them labelled; 0 scans to predict" in done.lines


def test_a_stack_whose_rows_name_scan_and_slice(paths: Paths) -> None:
    root, rows = paths.data / "stacks", ["id,class,rle"]
    for case in range(5):
        for z in range(4):
            save(root / "scans" / f"p{case}" / f"slice_{z}.png", grey(ball(case + z)))
            rows += [f"p{case}_slice_{z},left,{encode(ball(case + z))}", f"p{case}_slice_{z},right,"]
    write_csv(root / "labels.csv", *rows)
    done = begin(root, paths)
    assert (done.config["image"], done.config["id"]) == ("scans/{scan}/slice_{slice}.png", "{scan}_slice_{slice}")
    assert (done.config["classes"], done.config["masks"]["empty"]) == (["left", "right"], "blank")
    assert "5 scans of 5 cases, 5 of them labelled; 0 scans to predict" in done.lines


def test_label_images_in_parts_of_their_own(paths: Paths) -> None:
    root = paths.data / "parts"
    for part, letter in (("train", "p"), ("val", "q"), ("test", "r")):
        for number in range(4):
            save(root / part / "images" / f"{letter}{number}.jpg", colour(ball(number)))
            labels = ball(number) + 3 * (ball(number + 9) & ~ball(number))
            labels[0, 0] = 255
            if part != "test":
                save(root / part / "masks" / f"{letter}{number}.png", labels.astype(np.uint8))
    config = begin(root, paths).config
    assert config["image"] == "{kind:train|val}/images/{scan}.jpg"
    assert config["test"] == "test/images/{scan}.jpg"
    assert config["classes"] == ["label_1", "label_3"]
    assert config["masks"] == {
        "kind": "files",
        "pattern": "{kind:train|val}/masks/{scan}.png",
        "ignore": [255],
        "values": {"label_1": 1, "label_3": 3},
    }


def test_a_file_a_class(paths: Paths) -> None:
    """As in IDRiD; an image lacks a class's file where it has none of it."""
    root = paths.data / "eyes"
    for number in range(6):
        save(root / "images" / f"E_{number}.jpg", colour(ball(number)))
        for name in ("MA", "HE") if number else ("MA",):
            save(root / "masks" / name / f"E_{number}_{name}.tif", ball(number).astype(np.uint8) * 255)
    config = begin(root, paths).config
    assert config["classes"] == ["HE", "MA"]
    assert config["masks"] == {"kind": "files", "pattern": "masks/{class}/{scan}_*.tif", "missing": "empty"}
    assert not loaded_masks(paths, "eyes")["E_0"][0].any()


def test_coloured_label_images(paths: Paths) -> None:
    root = paths.data / "paint"
    for number in range(5):
        painted = np.zeros((*SHAPE, 3), np.uint8)
        painted[ball(number)] = (0, 0, 255)  # OpenCV's blue, green, red
        painted[:2] = (0, 128, 0)
        save(root / "photos" / f"x{number}.jpg", grey(ball(number)))
        save(root / "annotations" / f"x{number}.png", painted)
    config = begin(root, paths).config
    assert config["colour"] == "grey"
    assert config["masks"]["colours"] == {"colour_1": [0, 128, 0], "colour_2": [255, 0, 0]}


def test_masks_beside_their_images_and_some_that_differ(paths: Paths) -> None:
    """As in BUSI: kinds of images in folders, and a second mask of a few that nothing says how to read."""
    root = paths.data / "breast"
    for kind in ("benign", "malignant"):
        for number in range(1, 4):
            stem = f"{kind} ({number})"
            save(root / kind / f"{stem}.png", grey(ball(number)))
            save(root / kind / f"{stem}_mask.png", ball(number).astype(np.uint8) * 255)
    save(root / "benign" / "benign (2)_mask_1.png", ball(7).astype(np.uint8) * 255)
    done = begin(root, paths)
    assert done.config["image"] == "{kind:benign|malignant}/{scan:(?:(?!_mask)[^/])+}.png"
    assert done.config["masks"]["pattern"] == "{kind:benign|malignant}/{scan:(?:(?!_mask)[^/])+}_mask.png"
    assert "  masks: 1 label files are not read, for their names differ" in [
        line.partition("; put")[0] for line in done.lines
    ]
    assert "6 scans of 6 cases, 6 of them labelled; 0 scans to predict" in done.lines


def outline(mask: NDArray[np.bool_]) -> list[list[int]]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corners: list[list[int]] = contours[0][:, 0].tolist()
    return corners


def test_coco_polygons(paths: Paths) -> None:
    root = paths.data / "cells"
    content: dict[str, Any] = {"categories": [{"id": 4, "name": "never"}, {"id": 7, "name": "cell"}]}
    content["images"] = [{"id": number, "file_name": f"x{number}.png"} for number in range(5)]
    content["annotations"] = []
    for number in range(5):
        save(root / "images" / f"x{number}.png", grey(ball(number)))
        ring = [place for corner in outline(ball(number)) for place in corner]
        content["annotations"].append({"id": number, "image_id": number, "category_id": 7, "segmentation": [ring]})
    (root / "instances.json").write_text(json.dumps(content))
    config = begin(root, paths).config
    assert config["classes"] == ["cell"]
    assert config["masks"] == {"kind": "polygons", "form": "coco", "file": "instances.json"}
    np.testing.assert_array_equal(loaded_masks(paths, "cells")["x2"][0], ball(2))


def test_a_geojson_an_image(paths: Paths) -> None:
    root = paths.data / "slides"
    for number in range(5):
        save(root / "train" / f"h{number}.tiff", colour(ball(number)))
        feature = {
            "geometry": {"type": "Polygon", "coordinates": [outline(ball(number))]},
            "properties": {"classification": {"name": "glomerulus"}},
        }
        (root / "train" / f"h{number}.json").write_text(json.dumps([feature]))
    config = begin(root, paths).config
    assert config["classes"] == ["glomerulus"]
    assert config["masks"] == {"kind": "polygons", "form": "geojson", "file": "train/{scan}.json"}
    np.testing.assert_array_equal(loaded_masks(paths, "slides")["h4"][0], ball(4))


def test_what_is_written_prepares(paths: Paths) -> None:
    for number in range(4):
        save(paths.data / "small" / "images" / f"x{number}.png", grey(ball(number)))
        save(paths.data / "small" / "masks" / f"x{number}.png", ball(number).astype(np.uint8) * 255)
    done = start(paths.data / "small", paths)
    store = prepare_step(open_project(paths, done.name, jobs=1, device="cpu"))
    assert store.slices["foreground"].tolist() == [int(ball(number).sum()) for number in range(4)]


def test_without_masks_the_field_to_fill_in_is_named(paths: Paths) -> None:
    for number in range(3):
        save(paths.data / "bare" / f"x{number}.png", grey(ball(number)))
    with pytest.raises(
        DataError, match=r"none of the 3 scans found is labelled(.|\n)*none of 0 label files .* give `masks`"
    ):
        start(paths.data / "bare", paths)


def test_a_csv_of_empty_masks_says_nothing(paths: Paths) -> None:
    root = paths.data / "none"
    for number in range(3):
        save(root / f"x{number}.png", grey(ball(number)))
    write_csv(root / "train.csv", "id,rle", "x0,", "x1,-1", "x2,")
    with pytest.raises(DataError, match="none of the 3 scans found is labelled"):
        start(root, paths)
