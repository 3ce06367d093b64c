"""Masks as polygons in pixels, from one COCO JSON or one GeoJSON an image.

Corners are rounded to pixels and the border is mask, as OpenCV's fillPoly draws, so that contours that OpenCV found
give their mask back. A GeoJSON polygon's rings are filled by the even-odd rule: a ring within another is a hole. The
polygons of a COCO annotation are parts of one mask.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from casefold.config.masks import PolygonMasks
from casefold.core import nearest_word
from casefold.files import read_json
from casefold.readers import Report
from casefold.readers.images.scans import ImageScan, ImageSlice, Truth, first_few, report_each
from casefold.readers.patterns import find_files

Ring = tuple[tuple[float, float], ...]  # corners (x, y)
Polygons = list[tuple[Ring, ...]]  # of each its rings
BROKEN = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def find_truth(
    form: PolygonMasks,
    classes: Sequence[str],
    root: Path,
    scans: Sequence[ImageScan],
    gone: Sequence[ImageScan],
    report: Report,
) -> dict[str, Truth]:
    """The polygons of every labelled scan: for each slice those of each class (COCO), or its file's number (GeoJSON).

    An image that the COCO file lists without annotations is labelled and empty; one it does not list, or that has no
    GeoJSON, is unlabelled. A scan of which some slices are labelled is reported (the others are None then).
    """
    every = [image for scan in (*scans, *gone) for image in scan.slices]
    labelled = (_read_coco if form.form == "coco" else _geojson_files)(form, classes, root, every, report)
    truths = {}
    for scan in scans:
        gaps = [image.id for image in scan.slices if image.id not in labelled]
        if len(gaps) == len(scan.slices):
            continue
        if gaps:
            told = f"scan {scan.name} is labelled in part; {len(gaps)} slices are not in the labels"
            report("partly labelled", scan.name, f"{told}: {first_few(gaps)}; add them, even if empty")
        own = [labelled.get(image.id) for image in scan.slices]
        files = tuple(entry for entry in own if isinstance(entry, Path))
        truths[scan.name] = Truth(tuple(files.index(e) if isinstance(e, Path) else e for e in own), files)
    return truths


def read_slice(
    form: PolygonMasks,
    classes: Sequence[str],
    polygons: Mapping[str, Polygons] | Path | None,
    shape: tuple[int, int],
    where: str,
    report: Report,
) -> Iterator[tuple[str | None, NDArray[np.bool_]]]:
    """Class and mask of each class on a slice; None and all of it where its polygons lack or can't be read."""
    if isinstance(polygons, Path):
        polygons = _read_geojson(form, classes, polygons, report)
    if polygons is None:
        yield None, np.ones(shape, np.bool_)
        return
    for label, of_class in polygons.items():
        mask = np.zeros(shape, np.uint8)
        for rings in of_class:
            corners = [np.rint(np.array(ring).reshape(-1, 2)).astype(np.int32) for ring in rings]
            fault = _fault(corners, shape)
            if fault:
                report("label grid", f"{where} {label}", f"{where} {label}: a polygon {fault}")
                yield None, np.ones(shape, np.bool_)
            cv2.fillPoly(mask, corners, 1)
        yield label, mask.astype(np.bool_)


def _fault(corners: Sequence[NDArray[np.int32]], shape: tuple[int, int]) -> str | None:
    if min(len(ring) for ring in corners) < 3:
        return f"has {min(len(ring) for ring in corners)} corners; a mask has at least 3"
    low, high = corners[0].min(axis=0), corners[0].max(axis=0)
    if (high < 0).any() or (low >= np.array(shape[::-1])).any():
        return (
            f"lies outside the image of {shape[1]} x {shape[0]} (width x height), from {tuple(low.tolist())} to "
            f"{tuple(high.tolist())}; are x and y swapped, or is it of another size?"
        )
    return None


def _geojson_files(
    form: PolygonMasks, classes: Sequence[str], root: Path, images: Sequence[ImageSlice], report: Report
) -> dict[str, Path]:
    """The file of each image that has one, by id."""
    found = {image.id: file.path for image in images for file in find_files(root, form.file, image.parts)}
    claimed = set(found.values())
    strangers = [str(file.path) for file in find_files(root, form.file) if file.path not in claimed]
    report_each(
        report, "label without image", strangers, "polygons without an image (check `masks.file`, or remove them): "
    )
    return found


def _read_coco(
    form: PolygonMasks, classes: Sequence[str], root: Path, images: Sequence[ImageSlice], report: Report
) -> dict[str, dict[str, Polygons]]:
    """The polygons of each class of every image that the file lists, by id; the end of its path says which it is."""
    path, own_names = root / form.file, _own_names(form, classes)
    tails: dict[str, list[str]] = {}
    for image in images:
        parts = image.path.relative_to(root).parts
        for start in range(len(parts)):
            tails.setdefault("/".join(parts[start:]), []).append(image.id)
    found: dict[str, dict[str, Polygons]] = {}
    unknown: dict[str, list[str]] = {}
    try:
        content = read_json(path)
        categories = {entry["id"]: entry["name"] for entry in content["categories"]}
        listed = {entry["id"]: entry["file_name"].removeprefix("./") for entry in content["images"]}
        strange = {name for name in listed.values() if len(tails.get(name, ())) != 1}
        told = f"{path} lists images that are not there, or of a name that several have: "
        report_each(report, "label without image", sorted(strange), told)
        found = {tails[name][0]: {} for name in listed.values() if name not in strange}
        for entry in content["annotations"]:
            name, label = listed[entry["image_id"]], categories[entry["category_id"]]
            if name in strange:
                continue
            if label not in own_names:
                unknown.setdefault(label, []).append(name)
            elif not isinstance(entry["segmentation"], list):
                told = f"{path}: annotation {entry['id']} of {name} holds RLE; only polygons are read from COCO files"
                report("type", name, told)
            else:
                of_class = found[tails[name][0]].setdefault(own_names[label], [])
                of_class += [(_ring(zip(ring[::2], ring[1::2], strict=True)),) for ring in entry["segmentation"]]
    except (OSError, *BROKEN) as e:
        report("unreadable", str(path), f"{path} can't be read as COCO JSON: {type(e).__name__}: {e}")
    for label, names in unknown.items():
        _report_class(report, path, first_few(names), label, own_names)
    return found


def _read_geojson(form: PolygonMasks, classes: Sequence[str], path: Path, report: Report) -> dict[str, Polygons] | None:
    """The polygons of each class in a file, None where it can't be read.

    A feature's class is its property `classification` (or the `name` in that, as QuPath writes it) or `class`; without
    one it is the data set's only class.
    """
    own_names = _own_names(form, classes)
    found: dict[str, Polygons] = {}
    try:
        content = read_json(path)
        for feature in content["features"] if isinstance(content, dict) else content:
            properties = feature.get("properties") or {}
            label = properties.get("classification", properties.get("class", classes[0] if len(classes) == 1 else None))
            label = label["name"] if isinstance(label, dict) else label
            kind, rings = feature["geometry"]["type"], feature["geometry"]["coordinates"]
            if label not in own_names:
                _report_class(report, path, path.name, str(label), own_names)
            elif kind not in ("Polygon", "MultiPolygon"):
                report("type", str(path), f"{path} holds a {kind}; only Polygon and MultiPolygon are masks")
            else:
                polygons = rings if kind == "MultiPolygon" else [rings]
                of_class = found.setdefault(own_names[label], [])
                of_class += [tuple(_ring(ring) for ring in polygon) for polygon in polygons]
    except (OSError, *BROKEN) as e:
        report("unreadable", str(path), f"{path} can't be read as GeoJSON: {type(e).__name__}: {e}")
        return None
    return found


def _ring(corners: Iterable[Sequence[float]]) -> Ring:
    return tuple((float(x), float(y)) for x, y, *_ in corners)


def _own_names(form: PolygonMasks, classes: Sequence[str]) -> dict[str, str]:
    """The class of each name that a file may use."""
    return {form.class_names.get(label, label): label for label in classes}


def _report_class(report: Report, path: Path, where: str, label: str, known: Mapping[str, str]) -> None:
    hint = nearest_word(label, list(known))
    report("unknown class", where, f"{path}: unknown class {label!r}{hint}; the config has {list(known)}")
