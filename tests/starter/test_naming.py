"""Readings of paths: which pair, what the patterns are, and what is a case, a kind, a modality."""

from collections.abc import Sequence

import pytest

from casefold.starter.naming import Reading, find_visit, keep_out, name_parts, pair, pattern_of_tests
from casefold.starter.survey import Name


def names(*paths: str) -> list[Name]:
    split = [path.rsplit("/", 1) if "/" in path else ["", path] for path in paths]
    return [Name(tuple(folder.split("/")) if folder else (), stem, ".nii") for folder, stem in split]


def patterns(images: Sequence[str], labels: Sequence[str]) -> tuple[str, str | None, list[str]]:
    image, label = pair(names(*images), names(*labels), modalities=True)
    folders, core = name_parts(image)
    paired = label and label.pattern(folders, core, "", ".nii")
    return image.pattern(folders, core, "{modality}", ".nii"), paired, image.words


@pytest.mark.parametrize(
    ("images", "labels", "wanted"),
    [
        (["i/a", "i/b"], ["l/a", "l/b"], ("i/{scan}.nii", "l/{scan}.nii", [])),
        (["i/a", "i/b"], [], ("i/{scan}.nii", None, [])),
        (["i/a", "i/b"], ["l/c", "l/d"], ("i/{scan}.nii", None, [])),
        (["i/x-a", "i/x-b"], ["l/y-a", "l/y-b"], ("i/x-{scan}.nii", "l/y-{scan}.nii", [])),
        (
            ["G/p1_9/p1_9_t1", "G/p1_9/p1_9_t2", "L/p2_9/p2_9_t1", "L/p2_9/p2_9_t2"],
            ["G/p1_9/p1_9_seg", "L/p2_9/p2_9_seg"],
            ("{kind:G|L}/{scan}/{scan}_{modality}.nii", "{kind:G|L}/{scan}/{scan}_seg.nii", ["t1", "t2"]),
        ),
        (
            ["Batch 1/v-1", "Batch 1/v-2", "Batch 2/v-3"],
            ["Batch 1/s-1", "Batch 1/s-2", "Batch 2/s-3"],
            (r"{kind:Batch\ 1|Batch\ 2}/v-{scan}.nii", r"{kind:Batch\ 1|Batch\ 2}/s-{scan}.nii", []),
        ),
        (  # left and right have label maps of their own, so they are no modalities
            ["i/a_L", "i/a_R", "i/b_L", "i/b_R"],
            ["l/a_L", "l/a_R", "l/b_L", "l/b_R"],
            ("i/{scan}.nii", "l/{scan}.nii", []),
        ),
        (
            ["T1/a_T1", "T1/b_T1", "T2/a_T2", "T2/b_T2"],
            ["l/a", "l/b"],
            ("{modality}/{scan}_*.nii", "l/{scan}.nii", ["T1", "T2"]),
        ),
        (
            ["c1/t1", "c1/t2", "c2/t1", "c2/t2"],
            ["c1/seg", "c2/seg"],
            ("{scan}/{modality}.nii", "{scan}/seg.nii", ["t1", "t2"]),
        ),
        (
            ["c1/c1_t1", "c1/c1_t2", "c2/c2_t1", "c2/c2_t2", "c3/c3_t1", "c3/c3_t2"],
            ["c1/seg", "c2/seg", "c3/seg"],
            ("{scan}/{scan}_{modality}.nii", "{scan}/seg.nii", ["t1", "t2"]),
        ),
        (["c1/d/a", "c1/e/a", "c2/d/b"], [], ("{case}/{kind1:d|e}/{scan}.nii", None, [])),
        (["c1/s1/im", "c1/s2/im", "c2/s3/im"], [], ("{case}/{scan}/*.nii", None, [])),
    ],
)
def test_patterns(images: list[str], labels: list[str], wanted: tuple[str, str | None, list[str]]) -> None:
    assert patterns(images, labels) == wanted


@pytest.mark.parametrize(
    ("scans", "visit"),
    [
        (["a_day0", "a_day7", "b_day0"], ("_", r"(?:frame|day|visit|time|tp|ses|session|scan|view|t)[_.-]?\d+")),
        (["p1-01", "p1-02", "p2-01"], ("-", r"\d+")),
        (["p1_L", "p1_R", "p2_L"], ("_", r"(?:l|r|L|R|left|right|Left|Right|LEFT|RIGHT|od|os|OD|OS)")),
        (["heart_01", "heart_02", "heart_03"], None),  # no number before: each is its own
        (["p1_01", "p2_01", "p3_01"], None),
        (["a_day0", "a_day7", "b"], None),
        ([f"{year}_{number:04d}" for year in (2007, 2008) for number in range(60)], None),  # years are no cases
    ],
)
def test_visits_of_a_case(scans: list[str], visit: tuple[str, str] | None) -> None:
    assert find_visit(scans) == visit


@pytest.mark.parametrize(
    ("tests", "wanted"),
    [
        (["test/c9/c9_t1", "test/c9/c9_t2"], ("test/{scan}/{scan}_{modality}.nii", 1)),
        (["more/x/c8/c8_t1", "more/x/c8/c8_t2", "more/x/c9/c9_t1"], ("more/x/{scan}/{scan}_{modality}.nii", 2)),
        (["test/c9/c9"], None),
        ([], None),
    ],
)
def test_the_test_images_are_read_as_the_training_images(tests: list[str], wanted: tuple[str, int] | None) -> None:
    image, _ = pair(
        names("a/c1/c1_t1", "a/c1/c1_t2", "a/c2/c2_t1", "a/c2/c2_t2"), names("a/c1/c1_s", "a/c2/c2_s"), True
    )
    folders, core = name_parts(image)
    assert pattern_of_tests(names(*tests), image, folders, core, "{modality}") == wanted


def test_a_label_files_own_text_is_kept_out() -> None:
    assert keep_out("{scan}", Reading((), "<>_seg", {})) == "{scan:(?:(?!_seg)[^/])+}"
    assert keep_out("{scan}", Reading((), "<>", {})) == "{scan}"
