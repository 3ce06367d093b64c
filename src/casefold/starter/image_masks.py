"""Masks of images that are files: label images, one file a class, COCO or GeoJSON polygons."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from casefold.files import read_json
from casefold.readers.images.files import read_labels
from casefold.starter.guess import Guess, some
from casefold.starter.naming import Reading
from casefold.starter.survey import Name, Survey, spread

JPEG = (".jpg", ".jpeg")
OPENED = 8
MOST_LABELS = 32
VOID = (255,)  # beside other labels: what no annotator decided
MADE_UP = "the names are made up; put the true ones, here and in `masks`"


def add_label_files(
    guess: Guess, files: Survey, labels: list[Name], reading: Reading, pattern: str, missing: bool
) -> None:
    """Put label images, or one file a class, into the config. missing: some images lack files."""
    form: dict[str, Any] = {"kind": "files", "pattern": pattern}
    if reading.words:
        guess.add("classes", reading.words, "one file a class, told apart by this part of the name")
        form |= {"missing": "empty"} if missing else {}
        check = "an image that lacks the file of a class counts as empty there" if missing else ""
        guess.add("masks", form, f"{len(labels)} mask files; what is not 0 is mask", check)
        return
    opened = spread(labels, OPENED)
    seen = sorted(set[tuple[int, ...]]().union(*(_values(files, name) for name in opened)))
    why = f"values seen in {len(opened)} of {len(labels)} label images: {some([_plain(value) for value in seen], 12)}"
    marks = [value for value in seen if any(value)]
    names, check = ["foreground"], MADE_UP
    if labels[0].ending.lower() in JPEG or len(marks) > MOST_LABELS:
        check = f"{len(marks)} values are too many for labels, so what is not dark is mask; is it?"
    elif any(len(value) == 3 for value in marks):
        names = [f"colour_{number}" for number in range(1, len(marks) + 1)]
        form["colours"] = {name: list(value) for name, value in zip(names, marks, strict=True)}
    elif len(marks) > 1:
        form |= {"ignore": [*VOID]} if VOID in marks else {}
        check += "; is 255 what nobody decided?" if VOID in marks else ""
        names = [f"label_{value[0]}" for value in marks if value != VOID]
        form["values"] = {name: value[0] for name, value in zip(names, (m for m in marks if m != VOID), strict=True)}
    guess.add("classes", names, why, check)
    guess.add("masks", form, f"{len(labels)} label images", "images without one count as unlabelled" if missing else "")


def add_geojson(guess: Guess, files: Survey, labels: list[Name], pattern: str) -> None:
    """Put one GeoJSON an image into the config."""
    words = dict.fromkeys(
        word for name in spread(labels, OPENED) for word in _geojson_classes(read_json(files.at(name)))
    )
    classes = [word for word in words if word is not None]
    why = f"the features' classes in {min(OPENED, len(labels))} of {len(labels)} GeoJSON files"
    guess.add("classes", classes or ["foreground"], why, "" if classes else MADE_UP)
    guess.add("masks", {"kind": "polygons", "form": "geojson", "file": pattern}, f"{len(labels)} GeoJSON files")


def add_coco(guess: Guess, files: Survey) -> bool:
    """Put a COCO JSON's polygons into the config, those with most images; False where there is none."""
    found = [(name, content) for name in files.ending(".json") if (content := _coco(files, name))]
    if not found:
        return False
    name, content = max(found, key=lambda pair: len(pair[1]["images"]))
    used = {entry["category_id"] for entry in content["annotations"]}
    classes = [entry["name"] for entry in content["categories"] if entry["id"] in used]
    guess.add("classes", classes or ["foreground"], f"the categories of {name.path} that occur")
    why = f"COCO: {len(content['annotations'])} annotations of {len(content['images'])} images"
    others = some([other.path for other, _ in found if other != name])
    guess.add("masks", {"kind": "polygons", "form": "coco", "file": name.path}, why, others and f"{others}: not read")
    return True


def is_geojson(files: Survey, name: Name) -> bool:
    """Whether a JSON holds features with a geometry."""
    try:
        return len(list(_geojson_classes(read_json(files.at(name))))) > 0
    except (ValueError, TypeError, KeyError, AttributeError):
        return False


def _coco(files: Survey, name: Name) -> dict[str, Any] | None:
    try:
        content = read_json(files.at(name))
    except ValueError:
        return None
    return content if isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content) else None


def _geojson_classes(content: Any) -> Iterator[str | None]:
    for feature in content["features"] if isinstance(content, dict) else content:
        properties = feature.get("properties") or {}
        label = properties.get("classification", properties.get("class")) if feature["geometry"] else None
        yield label["name"] if isinstance(label, dict) else label


def _values(files: Survey, name: Name) -> set[tuple[int, ...]]:
    """The values of a label image, or its colours."""
    pixels = read_labels(files.at(name))
    if pixels.ndim == 2:
        return {(int(value),) for value in np.unique(pixels)}
    packed = np.unique(pixels.astype(np.int64) @ (1 << np.array([32, 16, 0])))
    return {(int(value >> 32), int(value >> 16 & 0xFFFF), int(value & 0xFFFF)) for value in packed}


def _plain(value: tuple[int, ...]) -> str:
    return str(value[0] if len(value) == 1 else value)
