"""Patterns with named parts: what a path says, what is found in which order, and every pattern that can't be one."""

import re
from pathlib import Path

import pytest

from casefold.core import ConfigError, DataError
from casefold.readers.patterns import compile_pattern, fill, find_files, natural_key, part_names, tails


def parts(pattern: str, path: str, **known: str) -> dict[str, str] | None:
    match = compile_pattern(pattern, known).fullmatch(path)
    return match and match.groupdict()


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def found(root: Path, pattern: str, **known: str) -> list[str]:
    return [entry.path.relative_to(root).as_posix() for entry in find_files(root, pattern, known)]


@pytest.mark.parametrize(
    ("pattern", "path", "wanted"),
    [
        ("{case}/{scan}_{modality}.nii.gz", "p1/s1_t1.nii.gz", {"case": "p1", "scan": "s1", "modality": "t1"}),
        ("{scan}_{slice}.png", "a_1_22.png", {"scan": "a_1", "slice": "22"}),
        ("{scan}_{slice}.png", "a_b.png", None),
        ("{scan}.png", "a/b.png", None),
        ("{scan}.png", "a.b.png", {"scan": "a.b"}),
        ("{scan}.png", "aXpng", None),
        (r"{case}_{view:\d{2}}.jpg", "car_1_07.jpg", {"case": "car_1", "view": "07"}),
        (r"{case}_{view:\d{2}}.jpg", "car_007.jpg", None),
        ("{case:a|bc}x.png", "bcx.png", {"case": "bc"}),
        ("{case}/{case}_{scan}.png", "p1/p1_s.png", {"case": "p1", "scan": "s"}),
        ("{case}/{case}_{scan}.png", "p1/p2_s.png", None),
        ("{folder:[^/]+}/{scan}.png", "a/b.png", {"folder": "a", "scan": "b"}),
        (
            "{width}_{height}_{spacing_y}_{spacing_x}.png",
            "36_28_1.50_2.png",
            {"width": "36", "height": "28", "spacing_y": "1.50", "spacing_x": "2"},
        ),
        ("**/{scan}.dcm", "s.dcm", {"scan": "s"}),
        ("**/{scan}.dcm", "a/b/s.dcm", {"scan": "s"}),
        ("a/**/b/*.p?g", "a/x/y/b/z.png", {}),
        ("a/**/b/*.p?g", "a/b/z.png", {}),
        ("a/**/b/*.p?g", "ab/z.png", None),
        ("[{scan}] (1).png", "[é ñ] (1).png", {"scan": "é ñ"}),
    ],
)
def test_the_parts_of_a_path(pattern: str, path: str, wanted: dict[str, str] | None) -> None:
    assert parts(pattern, path) == wanted


def test_a_known_part_is_its_very_text() -> None:
    assert parts("{scan}_{class}.png", "a.b_c.png", scan="a.b") == {"class": "c"}
    assert parts("{scan}_{class}.png", "aXb_c.png", scan="a.b") is None
    assert parts("{scan}/{scan}.png", "*/*.png", scan="*") == {}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{scan:(}.png", "holds a part that is no regular expression: missing )"),
        ("{1}.png", "holds a part that is no regular expression"),
        ("{scan name}.png", "has a brace that is no part; a part is {name} or {name:\\d+}"),
        ("{}.png", "has a brace that is no part"),
        ("images/{scan.png", "has a brace that is no part"),
        ("images**/{scan}.png", "`**` is any depth of folders, so it stands alone, as `a/**/b`"),
        ("images/**.png", "`**` is any depth of folders, so it stands alone"),
        ("images/**", "ends with `**`, which is folders; name the files, as `**/*`"),
        ("/images/{scan}.png", "should be a path below the root, as `images/{scan}.png`"),
        ("./images/{scan}.png", "should be a path below the root"),
        ("../{scan}.png", "should be a path below the root"),
        ("images//{scan}.png", "should be a path below the root"),
        ("images/{scan}/", "should be a path below the root"),
        ("", "should be a path below the root"),
    ],
)
def test_a_pattern_that_is_none_is_refused(tmp_path: Path, pattern: str, message: str) -> None:
    told = f"the pattern {pattern!r}"
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}.*{re.escape(message)}"):
        compile_pattern(pattern)
    with pytest.raises(ConfigError, match=re.escape(message)):
        list(find_files(tmp_path, pattern))


def test_part_names() -> None:
    assert part_names(r"{case}/{view:\d+}_{case}*.png") == {"case", "view"}
    assert part_names("plain/*.png") == set()


def test_files_are_found_in_the_order_of_their_paths(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.png", "a/9.png", "a/10.png", "a/note", "c.png", "a/deep/1.png", ".hid/1.png", "a/.3.png")
    assert found(tmp_path, "{case}/{scan}.png") == ["a/10.png", "a/9.png", "b/2.png"]
    assert found(tmp_path, "**/*.png") == ["a/10.png", "a/9.png", "a/deep/1.png", "b/2.png", "c.png"]
    assert found(tmp_path, "a/{folder:[^/]+}/{scan}.png") == ["a/deep/1.png"]
    assert found(tmp_path, "{rest:.+}.png") == ["c.png"]  # a part does not cross a folder
    assert [entry.parts for entry in find_files(tmp_path, "b/{scan}.png")] == [{"scan": "2"}]


def test_an_absent_root_gives_no_files(tmp_path: Path) -> None:
    assert found(tmp_path / "none", "{scan}.png") == []
    assert found(touch(tmp_path, "a"), "a/{scan}.png") == []


def test_known_parts_lead_straight_to_the_files(tmp_path: Path) -> None:
    touch(tmp_path, "a b/masks/1.png", "a b/masks/2.png", "c/masks/1.png", "whole/a b.png")
    assert found(tmp_path, "{scan}/masks/*.png", scan="a b") == ["a b/masks/1.png", "a b/masks/2.png"]
    assert found(tmp_path, "whole/{scan}.png", scan="a b") == ["whole/a b.png"]
    assert found(tmp_path, "whole/{scan}.png", scan="c") == []
    assert found(tmp_path, "whole/{scan}.png", scan="?") == []


def test_links_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    touch(tmp_path, "outside/1.png", "root/a/2.png")
    (tmp_path / "root" / "b").symlink_to(tmp_path / "outside", target_is_directory=True)
    (tmp_path / "root" / "a" / "up").symlink_to(tmp_path / "root", target_is_directory=True)
    (tmp_path / "root" / "c.png").symlink_to(tmp_path / "outside" / "1.png")
    assert found(tmp_path / "root", "**/*.png") == ["a/2.png", "b/1.png", "c.png"]


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"1\.png is a link to a file that is not there; fetch the file"):
        found(tmp_path, "{scan}.png")


def test_the_tails_of_a_pattern() -> None:
    assert tails("train/{case:[^/]+}/{scan}.png") == [
        "train/{case:[^/]+}/{scan}.png",
        "{case:[^/]+}/{scan}.png",
        "{scan}.png",
    ]
    assert tails("train/**/{scan}.png") == ["train/**/{scan}.png", "**/{scan}.png", "{scan}.png"]


def test_a_template_is_filled() -> None:
    assert fill(r"{case}_{view:\d+}*.jpg", {"case": "c", "view": "01", "more": "x"}) == "c_01*.jpg"
    with pytest.raises(ConfigError, match=r"the template '\{a\}_\{b\}' wants the parts \['b'\], but .* has \['a'\]"):
        fill("{a}_{b}", {"a": "1"})


def test_numbers_are_sorted_as_numbers() -> None:
    assert sorted(["s10", "s9", "s", "s9b", "10"], key=natural_key) == ["10", "s", "s9", "s9b", "s10"]
