"""How masks are written down: every form that does not say which class is which is refused as the config is read."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from casefold.config.datasets import DatasetConfig, ImagesDataset
from casefold.config.masks import UWMGI_FORM, UWMGI_TRUTH, RleForm


def images(**changes: Any) -> ImagesDataset:
    content = {"reader": "images", "root": "x", "classes": ["a", "b"], "image": "{scan}.png", **changes}
    return TypeAdapter(DatasetConfig).validate_python(content)


def files(**changes: Any) -> dict[str, Any]:
    return {"kind": "files", "pattern": "m/{scan}.png", **changes}


def rle(**changes: Any) -> dict[str, Any]:
    return {"kind": "rle", **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": rle(key="{case}")}, "key: '{case}' should be made of {id} and perhaps {class}, each once"),
        ({"masks": rle(key="x")}, "key: 'x' should be made of {id}"),
        ({"masks": rle(key="{id}_{id}")}, "should be made of {id} and perhaps {class}, each once"),
        ({"masks": rle(key="{id}_{class}")}, "holds the class, so there is no column of it: `class_column: null`"),
        ({"masks": rle(rle="id")}, "id, class_column and rle are three columns, not ['id', 'class', 'id']"),
        ({"masks": rle(class_names={"a": "1", "b": "1"})}, "class_names: two classes have one name"),
        ({"masks": rle(class_names={"c": "1"})}, "masks: class_names: ['c'] are no classes of ['a', 'b']"),
        ({"masks": rle(class_column=None)}, "masks: several classes want a `class_column`, or {class} in `key`"),
        ({"submission": {"class_column": None}}, "submission: several classes want a `class_column`"),
        (
            {"masks": files()},
            "masks: the classes come from one of {class} in `pattern`, values, colours; given are none",
        ),
        (
            {"masks": files(pattern="{class}.png", values={"a": 1, "b": 2})},
            "given are ['{class} in `pattern`', 'values']",
        ),
        (
            {"masks": files(values={"a": 1})},
            "masks: values: one entry a class is wanted, for ['a', 'b'], not for ['a']",
        ),
        ({"masks": files(values={"a": 1, "b": 1})}, "a label or a colour stands twice"),
        ({"masks": files(values={"a": 1, "b": 0})}, "a label or a colour stands twice"),
        ({"masks": files(values={"a": 1, "b": 2}, ignore=[2])}, "a label or a colour stands twice"),
        ({"masks": files(colours={"a": [1, 1, 1], "b": [1, 1, 1]})}, "a label or a colour stands twice"),
        ({"masks": files(values={"a": 1, "b": -2})}, "greater than or equal to 0"),
        (
            {"masks": {"kind": "polygons", "form": "coco", "file": "x", "class_names": {"c": "d"}}},
            "['c'] are no classes",
        ),
        ({"sample_submission": "s.csv"}, "sample_submission goes with a CSV; say in `submission` how it is written"),
        ({"spacing_mm": [1, 2]}, "spacing_mm is z, y, x: three entries, or the word `unknown`"),
    ],
)
def test_a_form_that_says_too_little_or_too_much_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        images(**changes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"masks": rle(), "sample_submission": "s.csv"},
        {"masks": rle(class_column=None), "classes": ["a"]},
        {"masks": rle(class_column=None, key="{id}_{class}")},
        {"masks": files(), "classes": ["a"]},
        {"masks": files(pattern="m/{scan}_{class}.png", class_names={"b": "B"}, ignore=[255])},
        {"masks": files(values={"a": 0, "b": 1}, background=[2])},
        {"masks": files(colours={"a": [255, 0, 0], "b": [0, 0, 1]})},
    ],
)
def test_forms_that_say_which_class_is_which_are_taken(changes: dict[str, Any]) -> None:
    assert images(**changes).image == "{scan}.png"


def test_the_forms_of_uw_madison() -> None:
    assert (UWMGI_TRUTH.rle, UWMGI_FORM.rle) == ("segmentation", "predicted")
    assert UWMGI_FORM == RleForm(id="id", class_column="class", rle="predicted", order="row", base=1, empty="blank")
