"""Values of classes that share them: which class is written as what, so that it reads back."""

import pytest

from casefold.config.labels import are_exclusive, written_values

BRATS = {"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)}


@pytest.mark.parametrize(
    ("values", "written", "wanted"),
    [
        (BRATS, {}, {"whole": 2, "core": 1, "enhancing": 4}),
        ({"a": (3,), "b": (1, 2)}, {}, {"a": 3, "b": 1}),
        ({"a": (1, 2), "b": (2, 3)}, {}, {"a": 1, "b": 2}),
        (BRATS, {"whole": 2, "core": 1, "enhancing": 3}, {"whole": 2, "core": 1, "enhancing": 3}),
        ({"a": (1, 2), "b": (3,)}, {"a": 2, "b": 9}, {"a": 2, "b": 9}),
        ({"a": (1,), "b": (1,)}, {"a": 7, "b": 1}, {"a": 7, "b": 1}),
    ],
)
def test_a_class_is_written_as_a_value_that_says_it_alone(
    values: dict[str, tuple[int, ...]], written: dict[str, int], wanted: dict[str, int]
) -> None:
    assert written_values(values, written) == wanted


@pytest.mark.parametrize(
    ("values", "written", "message"),
    [
        (
            dict(reversed(BRATS.items())),
            {},
            r"class enhancing has the values \[4\], but later classes have them too .* or give it a value .* `written`",
        ),
        (BRATS, {"whole": 1}, "written: 1 for class whole already says core"),
        (BRATS, {"core": 2}, "written: 2 for class core already says whole"),
        ({"a": (1,), "b": (2,)}, {"a": 9, "b": 9}, "written: 9 for class b already says a"),
        (dict(reversed(BRATS.items())), {"enhancing": 4}, "written: 4 for class enhancing already says core"),
    ],
)
def test_a_class_that_would_be_lost_is_named(
    values: dict[str, tuple[int, ...]], written: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        written_values(values, written)


def test_classes_are_exclusive_where_no_value_is_shared() -> None:
    assert are_exclusive({"a": (1, 1), "b": (2, 3)})
    assert not are_exclusive({"a": (1, 2), "b": (2, 3)})
