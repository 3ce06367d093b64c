"""What only shows across scans, on made-up summaries."""

from typing import Any

import numpy as np
import pytest
from bodies import SIDE, body, disc, scan

from casefold.check import across
from casefold.check.across import Summary
from casefold.core import Triple


def summary(name: str, **changes: Any) -> Summary:
    """A scan of three slices, all unlike those of other names."""
    content: dict[str, Any] = {
        "case": name.partition("_")[0],
        "name": name,
        "part": "train",
        "place": f"train/{name}",
        "shape": (3, 10, 10),
        "spacing_mm": (3.0, 1.5, 1.5),
        "slice_names": tuple(f"{name}_{z}" for z in (1, 2, 3)),
        "digests": tuple(f"{name} {z}" for z in (1, 2, 3)),
    }
    return Summary(**{**content, **changes})


def test_a_scan_is_summarised() -> None:
    image, masks = body(4), np.zeros((2, 4, SIDE, SIDE), bool)
    image[0], image[3], masks[1, 1:3] = 7, image[1], disc(24, 24, 5)
    kept = across.summarise(scan(image, masks), "test", "folder")
    assert (kept.case, kept.name, kept.part, kept.place) == ("case1", "case1_day0", "test", "folder")
    assert kept.shape == (4, SIDE, SIDE) and kept.spacing_mm == (3.0, 1.5, 1.5)
    assert kept.digests[0] is None and kept.digests[1] == kept.digests[3] != kept.digests[2]
    assert kept.slices_with == {"a": 0, "b": 2}
    assert across.summarise(scan(image), "train", "folder").slices_with is None


def test_the_same_pixels_in_two_modalities_or_types_are_not_the_same() -> None:
    one, two = body(2), body(2)[::-1]
    both = across.summarise(scan(np.stack([one, two])), "train", "").digests
    other = across.summarise(scan(np.stack([one, one])), "train", "").digests
    wider = across.summarise(scan(one.astype(np.int32)), "train", "").digests
    assert len({*both, *other, *wider}) == 6


def found(*scans: Summary) -> list[tuple[str, str, str, str]]:
    return [(row.kind, row.scan, row.where, row.what) for row in across.same_pixels(scans)]


def test_scans_that_share_nothing_are_sound() -> None:
    assert found(summary("case1_day0"), summary("case2_day0", digests=(None, None, "x"))) == []


def test_a_slice_twice_in_a_scan() -> None:
    wanted = ("same slice twice", "case1_day0", "case1_day0_3", "the same pixels as case1_day0_1")
    assert found(summary("case1_day0", digests=("a", "b", "a"))) == [wanted]


def test_a_slice_in_two_scans_of_a_case() -> None:
    wanted = ("same slice in two scans", "case1_day5", "case1_day5_2", "the same pixels as case1_day0_2")
    one, two = summary("case1_day0"), summary("case1_day5", digests=("a", "case1_day0 2", "b"))
    assert found(one, two) == [wanted]


def test_a_leak_is_one_line_for_neighbouring_slices() -> None:
    one = summary("case1_day0")
    two = summary("case2_day0", digests=("x", *one.digests[:2]))
    span = ("leak", "case2_day0", "case2_day0_2 to case2_day0_3", "the same pixels as case1_day0_1 to case1_day0_2")
    assert found(one, two) == [span]
    assert [row[0] for row in found(one, summary("case2_day0", digests=one.digests, part="test"))] == ["leak"]


def spacing(*spacings: Triple | None, shape: tuple[int, int, int] = (3, 10, 10)) -> list[tuple[str, str, str]]:
    scans = [summary(f"case{index}_day0", spacing_mm=mm) for index, mm in enumerate(spacings)]
    scans[-1] = summary(scans[-1].name, spacing_mm=spacings[-1], shape=shape)
    return [(row.kind, row.scan, row.what) for row in across.spacing(scans)]


SOUND = (3.0, 1.5, 1.5)


def test_sound_spacings_and_none_at_all() -> None:
    assert spacing(SOUND, (2.0, 1.2, 1.2), SOUND) == [] and spacing(None, None) == []


@pytest.mark.parametrize(
    ("mm", "what"),
    [
        ((3.0, 0.05, 0.05), "3 x 0.05 x 0.05 mm (z, y, x) is outside 0.1 to 20 mm"),
        ((30.0, 2.0, 2.0), "30 x 2 x 2 mm (z, y, x) is outside 0.1 to 20 mm"),
        ((3.0, 1.5, 3.0), "3 x 1.5 x 3 mm (z, y, x): the pixels are no squares"),
        ((10.0, 0.5, 0.5), "10 x 0.5 x 0.5 mm (z, y, x): slices lie far apart for such pixels"),
    ],
)
def test_a_spacing_that_can_not_be(mm: Triple, what: str) -> None:
    assert spacing(SOUND, SOUND, mm) == [("implausible spacing", "case2_day0", what)]


def test_one_that_most_scans_share_is_one_line() -> None:
    thin = (3.0, 0.05, 0.05)
    what = "2 of 3 scans, the first case0_day0: 3 x 0.05 x 0.05 mm (z, y, x) is outside 0.1 to 20 mm"
    assert spacing(thin, thin, (1.5, 0.2, 0.2)) == [("implausible spacing", "", what)]

    what = what.replace("2 of 3", "2 of 2")
    assert spacing(thin, thin) == [("implausible spacing", "", what)]


def test_one_scan_unlike_all_others() -> None:
    what = "3 x 4.5 x 4.5 mm (z, y, x), where the others have about 3 x 1.5 x 1.5 mm (z, y, x)"
    assert spacing(*[SOUND] * 19, (3.0, 4.5, 4.5)) == [("odd spacing", "case19_day0", what)]


def test_many_unlike_scans_are_one_note() -> None:
    what = "from 2 x 0.5 x 0.5 mm (z, y, x) to 6 x 1.5 x 1.5 mm (z, y, x)"
    assert spacing(SOUND, (2.0, 0.5, 0.5), (6.0, 1.5, 1.5)) == [("mixed spacing", "", what)]


def test_a_stand_in() -> None:
    what = "pixels of exactly 1 x 1 mm in all 2 scans"
    assert spacing((1.0, 1.0, 1.0), (1.5, 1.0, 1.0)) == [("stand-in spacing", "", what)]
    assert spacing((1.0, 1.0, 1.0), (1.0, 1.0, 1.01)) == []
    assert spacing((1.0, 1.0, 1.0)) == []


def test_one_spacing_for_very_different_sizes() -> None:
    what = "3 x 1.5 x 1.5 mm (z, y, x) in all 2 scans, though their slices are 10 x 10 to 10 x 16 pixels"
    assert spacing(SOUND, SOUND, shape=(3, 10, 16)) == [("stand-in spacing", "", what)]
    assert spacing(SOUND, SOUND, shape=(3, 10, 15)) == []


def labels(*counts: int | None, told: frozenset[str] = frozenset(), depth: int = 12) -> list[tuple[str, str, str]]:
    scans = [
        summary(f"case{i}_day0", slices_with=None if n is None else {"a": n}, shape=(depth, 9, 9))
        for i, n in enumerate(counts)
    ]
    return [(row.kind, row.scan or row.where, row.what) for row in across.labels(["a"], scans, set(told))]


def test_scans_without_labels() -> None:
    assert labels(3, 4, None) == [("image without label", "case2_day0", "it has no labels")]
    assert labels(3, 4, None, told=frozenset({"case2_day0"})) == []
    what = "2 of 3 scans, the first case1_day0: it has no labels"
    assert labels(3, None, None) == [("image without label", "", what)]
    assert labels(None, None, told=frozenset({"case0_day0"})) == []  # by one report of them all


def test_test_scans_need_no_labels() -> None:
    scans = [summary("case1_day0", slices_with={"a": 2}), summary("case2_day0", part="test")]
    assert across.labels(["a"], scans, set()) == []


def test_a_class_that_nobody_has() -> None:
    assert labels(0, 0) == [("class never seen", "a", "a has no mask on any slice of 2 labelled scans")]
    assert labels(0, 1) == []


def test_a_class_on_one_slice_where_others_have_many() -> None:
    assert labels(6, 1, 5) == [("class on one slice only", "case1_day0", "a on 1 of 12 slices")]
    assert labels(6, 1, 4, 1) == []  # two or three slices are usual there
    assert labels(6, 1, 5, depth=9) == []
