"""Image data sets: paths to cases, scans and slices, stacks and colours, drops, and every fault by kind and place."""

import logging
import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from casefold.config.datasets import ImagesDataset
from casefold.core import ConfigError, DataError, Scan
from casefold.readers import FaultKind, RawScan, images

PLANE = np.arange(12, dtype=np.uint8).reshape(3, 4)
STACK = {"image": "train/{case}/{scan}/{slice}.png"}


def config(**changes: Any) -> ImagesDataset:
    content = {"reader": "images", "root": "x", "classes": ("a",), "image": "{scan}.png", **changes}
    return ImagesDataset.model_validate(content)


def save(root: Path, paths: Iterable[str], pixels: NDArray[Any] = PLANE) -> Path:
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels + number).astype(pixels.dtype)).save(root / path)
    return root


def found(root: Path, **changes: Any) -> list[RawScan]:
    return images.find(config(**changes), root, "train")


def first(root: Path, **changes: Any) -> Scan:
    return images.load(config(**changes), found(root, **changes)[0])


def findings(root: Path, **changes: Any) -> tuple[list[Scan], list[tuple[FaultKind, str]]]:
    """What `check` would see: every scan that can be read, and each fault's kind and place below the root."""
    faults: list[tuple[FaultKind, str]] = []

    def note(kind: FaultKind, where: str, message: str) -> None:
        assert Path(where).name in message
        faults.append((kind, where.removeprefix(f"{root}/")))

    raws = images.find(config(**changes), root, "train", report=note)
    return [images.load(config(**changes), raw, note) for raw in raws], faults


def test_each_image_is_a_scan_of_one_slice(tmp_path: Path) -> None:
    save(tmp_path, ["b 10.png", "b 9.png", "é.png"])
    scans = [images.load(config(), raw) for raw in found(tmp_path)]
    assert [(scan.case, scan.name, scan.slice_names) for scan in scans] == [
        ("b 9", "b 9", ("b 9",)),
        ("b 10", "b 10", ("b 10",)),
        ("é", "é", ("é",)),
    ]
    assert scans[0].masks is None and scans[0].grid.spacing_mm is None
    np.testing.assert_array_equal(scans[0].image, [[PLANE + 1]])


def test_slices_are_stacked_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    save(tmp_path, [f"train/p1/s1/{number}.png" for number in (10, 9, 8)])
    scan = first(tmp_path, **STACK)
    assert (scan.case, scan.name, scan.slice_names) == ("p1", "s1", ("s1_8", "s1_9", "s1_10"))
    np.testing.assert_array_equal(scan.image, [[PLANE + 2, PLANE + 1, PLANE]])


@pytest.mark.parametrize(
    ("changes", "case", "scan", "slice_name"),
    [
        ({"image": "{case}_{day}_{slice}.png"}, "p1", "p1_d2", "p1_d2_03"),
        ({"image": "{case}_{day}_{slice}.png", "id": "{case}/{slice}.png"}, "p1", "p1_d2", "p1/03.png"),
        ({"image": "{scan}_{slice}.png", "case": "case of {scan}"}, "case of p1_d2", "p1_d2", "p1_d2_03"),
        ({"image": r"{scan:[^_]+}_{day}_{slice}.png"}, "p1", "p1", "p1_03"),
        ({"image": r"{scan}_{slice:\d+}.png", "case": "{slice}"}, "03", "p1_d2", "p1_d2_03"),
        ({"image": "{hospital}_{day}_{slice}.png"}, "p1_d2", "p1_d2", "p1_d2_03"),
        ({"image": "{case}_{day}_{slice}.png", "case": "{day} {case}"}, "d2 p1", "p1_d2", "p1_d2_03"),
        ({"image": "{scan}.png"}, "p1_d2_03", "p1_d2_03", "p1_d2_03"),
    ],
)
def test_parts_name_case_scan_and_slice(
    tmp_path: Path, changes: dict[str, Any], case: str, scan: str, slice_name: str
) -> None:
    (raw,) = found(save(tmp_path, ["p1_d2_03.png"]), **changes)
    read = images.load(config(**changes), raw)
    assert (raw.case, raw.name, read.slice_names) == (case, scan, (slice_name,))


def test_size_and_spacing_come_from_the_name(tmp_path: Path) -> None:
    save(tmp_path, ["s_4_3_0.5_0.75.png"])
    changes: dict[str, Any] = {
        "image": "{scan}_{width}_{height}_{spacing_y}_{spacing_x}.png",
        "spacing_mm": (3.0, "from_name", "from_name"),
    }
    assert first(tmp_path, **changes).grid.spacing_mm == (3.0, 0.5, 0.75)
    assert first(tmp_path, **{**changes, "spacing_mm": "unknown"}).grid.spacing_mm is None
    with pytest.raises(ConfigError, match=r"spacing_mm says from_name, but the pattern has no \{spacing_z\}"):
        found(tmp_path, **{**changes, "spacing_mm": ("from_name", 1.0, 1.0)})


def test_colour_is_three_modalities_and_grey_may_lie_in_equal_channels(tmp_path: Path) -> None:
    colour = np.dstack([PLANE, PLANE + 20, PLANE + 40])
    save(tmp_path, ["a.png"], colour)
    save(tmp_path, ["b.png"], PLANE)
    save(tmp_path, ["c.png"], np.dstack([PLANE] * 3))
    of = {raw.name: images.load(config(colour="rgb"), raw).image for raw in found(tmp_path, colour="rgb")}
    np.testing.assert_array_equal(of["a"], colour.transpose(2, 0, 1)[:, None])
    np.testing.assert_array_equal(of["b"], [[PLANE]] * 3)
    raws = found(tmp_path)
    np.testing.assert_array_equal(images.load(config(), raws[2]).image, [[PLANE]])
    with pytest.raises(DataError, match=r"a\.png is a colour image; write `colour: rgb` in the data set's config"):
        images.load(config(), raws[0])


def test_16_bits_stay(tmp_path: Path) -> None:
    save(tmp_path, ["a.png"], PLANE.astype(np.uint16) * 5000)
    assert first(tmp_path).image.dtype == np.uint16
    assert first(tmp_path).image.max() == 55000


def test_33_classes_fit(tmp_path: Path) -> None:
    classes = tuple(f"c{number}" for number in range(33))
    save(tmp_path, ["a.png"])
    lines = [f"a,{name},{number % 12 + 1} 1" for number, name in enumerate(classes)]
    (tmp_path / "train.csv").write_text("\n".join(["id,class,segmentation", *lines]) + "\n")
    scan = first(tmp_path, classes=classes, masks={"kind": "rle"})
    assert scan.masks is not None and scan.masks.dtype == np.uint64
    masks = scan.class_masks()
    assert [np.flatnonzero(mask).tolist() for mask in masks] == [[number % 12] for number in range(33)]


def test_dropped_scans_are_left_out_and_counted(tmp_path: Path) -> None:
    save(tmp_path, ["train/p/s1/1.png", "train/p/s1/2.png", "train/p/s2/1.png"])
    (tmp_path / "train/p/s1/02.png").write_bytes(b"a doubled slice that is no image")
    changes = {**STACK, "drop_scans": ("s1",), "dropped_slices": 3}
    assert [raw.name for raw in found(tmp_path, **changes)] == ["s2"]
    assert images.dropped(config(**changes), tmp_path) == {"s1": 3}
    with pytest.raises(DataError, match=r"drop_scans removes 3 slices \(\{'s1': 3\}\), but dropped_slices says 2"):
        found(tmp_path, **{**changes, "dropped_slices": 2})
    with pytest.raises(DataError, match=r"drop_scans: no scan 's11' among 2 \(did you mean 's1'\?\)"):
        found(tmp_path, **{**STACK, "drop_scans": ("s11",)})


def test_labels_of_dropped_scans_do_not_matter(tmp_path: Path) -> None:
    save(tmp_path, ["a.png", "b.png"])
    (tmp_path / "train.csv").write_text("id,class,segmentation\na,a,1 1\nb,x,99 9\n")
    (raw,) = found(tmp_path, masks={"kind": "rle"}, drop_scans=("b",))
    assert (raw.name, raw.labelled) == ("a", True)


def test_there_is_no_test_part_without_a_pattern_or_a_file(tmp_path: Path) -> None:
    assert images.find(config(), tmp_path, "test") == []
    assert images.find(config(test="test/{scan}.png"), tmp_path, "test") == []
    save(tmp_path, ["test/a.png"])
    (raw,) = images.find(config(test="test/{scan}.png"), tmp_path, "test")
    assert (raw.name, raw.labelled) == ("a", False)


@pytest.mark.parametrize("path", ["train/p/s1/1.png", "p/s1/1.png"])
def test_a_folder_of_scans_is_looked_at_from_the_whole_pattern_down(tmp_path: Path, path: str) -> None:
    save(tmp_path, [path])
    (raw,) = images.find(config(**STACK), tmp_path / "root", "test", tmp_path)
    assert (raw.case, raw.name, raw.labelled) == ("p", "s1", False)


def test_a_scan_without_its_case_folder_is_its_own_case(tmp_path: Path) -> None:
    save(tmp_path, ["s1/1.png"])
    (raw,) = images.find(config(**STACK), tmp_path / "root", "test", tmp_path)
    assert (raw.case, raw.name) == ("s1", "s1")


def test_stored_bytes_are_those_of_image_and_masks(tmp_path: Path) -> None:
    save(tmp_path, ["train/p/s1/1.png", "train/p/s1/2.png"], PLANE.astype(np.uint16))
    (tmp_path / "train.csv").write_text("id,class,segmentation\ns1_1,a,\ns1_2,a,\n")
    for changes in (STACK, {**STACK, "masks": {"kind": "rle"}}):
        for colour in ("grey", "rgb"):
            wanted = first(tmp_path, **changes, colour=colour)
            masks = 0 if wanted.masks is None else wanted.masks.nbytes
            size = images.stored_bytes(config(**changes, colour=colour), found(tmp_path, **changes, colour=colour)[0])
            assert size == wanted.image.nbytes + masks


def test_a_changed_label_changes_the_signature_and_a_scan_can_be_pickled(tmp_path: Path) -> None:
    save(tmp_path, ["a.png"])
    seen = []
    for runs in ("1 1", "2 1"):
        (tmp_path / "train.csv").write_text(f"id,class,segmentation\na,a,{runs}\n")
        (raw,) = found(tmp_path, masks={"kind": "rle"})
        assert pickle.loads(pickle.dumps(raw)) == raw
        seen.append(raw.signature())
    assert seen[0] != seen[1]


def test_a_pattern_that_finds_nothing_shows_what_is_there(tmp_path: Path) -> None:
    save(tmp_path, ["images/a.png"])
    message = re.escape(f"{tmp_path} holds no image of the pattern images/{{scan}}.jpg; it holds images/a.png")
    with pytest.raises(DataError, match=f"^{message}$"):
        found(tmp_path, image="images/{scan}.jpg")
    with pytest.raises(DataError, match="it holds no files at all"):
        found(tmp_path / "none")


def test_a_pattern_that_names_no_scan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the pattern 'images/\{slice\}\.png' names no scan; put \{scan\} in it"):
        found(tmp_path, image="images/{slice}.png")
    with pytest.raises(ConfigError, match=r"`image` and `test` should both have \{slice\}, or neither"):
        images.find(config(image="{scan}/{slice}.png", test="{scan}.png"), tmp_path, "test")
    with pytest.raises(ConfigError, match=r"the template '\{scan\}_\{day\}' wants the parts \['day'\]"):
        found(save(tmp_path, ["a.png"]), id="{scan}_{day}")


def test_doubled_slices_are_reported_and_the_first_is_kept(tmp_path: Path) -> None:
    save(tmp_path, ["train/p/s1/1.png", "train/p/s1/01.png", "train/p/s1/2.png"])
    message = r"scan s1 has a slice number twice: .*01\.png and .*s1/1\.png; remove one"
    with pytest.raises(DataError, match=message):
        found(tmp_path, **STACK)
    (scan,), faults = findings(tmp_path, **STACK)
    assert faults == [("duplicate slice", "s1")]
    assert scan.slice_names == ("s1_01", "s1_2")


def test_two_images_of_one_name_are_reported(tmp_path: Path) -> None:
    save(tmp_path, ["x/a.png", "y/a.png"])
    with pytest.raises(DataError, match=r"x/a\.png and .*y/a\.png are both scan a; remove one, name the scans by more"):
        found(tmp_path, image="**/{scan}.png")
    assert findings(tmp_path, image="**/{scan}.png")[1] == [("name", "a")]
    with pytest.raises(DataError, match=r"y/a\.png and .*x/a\.png give the scan name 'a' for two cases, 'y' and 'x'"):
        found(tmp_path, image="{case}/{scan}.png")
    assert findings(tmp_path, image="{case}/{scan}.png")[1] == [("name", "y/a.png")]
    with pytest.raises(DataError, match=r"y/a\.png and .*x/a\.png have the same id, 'a'; put more parts into `id`"):
        found(tmp_path, image="{case}/{day}.png", id="{day}")


def test_missing_slices_are_a_warning_or_a_finding(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, [f"train/p/s1/{number}.png" for number in (1, 2, 5)])
    with caplog.at_level(logging.WARNING):
        found(tmp_path, **STACK)
    assert caplog.messages == ["scan s1 lacks the slices 3, 4"]
    assert findings(tmp_path, **STACK)[1] == [("missing slice", "s1")]


def test_a_slice_of_another_size_or_type_is_reported_and_left_out(tmp_path: Path) -> None:
    save(tmp_path, [f"train/p/s1/{number}.png" for number in (1, 2, 3, 4)])
    save(tmp_path, ["train/p/s1/1.png"], PLANE[:, :3])
    save(tmp_path, ["train/p/s1/4.png"], PLANE.astype(np.uint16))
    (scan,), faults = findings(tmp_path, **STACK)
    assert faults == [("size", "train/p/s1/1.png"), ("type", "train/p/s1/4.png")]
    assert scan.slice_names == ("s1_2", "s1_3")
    np.testing.assert_array_equal(scan.image, [[PLANE + 1, PLANE + 2]])
    message = r"scan s1: .*1\.png is 3 x 3 \(width x height\), but most of its slices are 4 x 3; crop it, or list"
    with pytest.raises(DataError, match=message):
        first(tmp_path, **STACK)


def test_a_size_that_its_name_denies_is_reported(tmp_path: Path) -> None:
    save(tmp_path, ["s_3_4.png"])
    with pytest.raises(DataError, match=r"s_3_4\.png is 4 x 3 \(width x height\), but its name says 3 x 4; rename it"):
        first(tmp_path, image="{scan}_{width}_{height}.png")
    save(tmp_path, ["s_4_9.png"])
    with pytest.raises(DataError, match=r"but its name says \? x 9"):
        first(tmp_path, image="{scan}_4_{height}.png")


def test_spacings_that_differ_are_reported(tmp_path: Path) -> None:
    save(tmp_path, ["s_1_0.5.png", "s_2_0.7.png"])
    changes: dict[str, Any] = {"image": "{scan}_{slice}_{spacing_x}.png", "spacing_mm": (1.0, 1.0, "from_name")}
    with pytest.raises(DataError, match="scan s: its files' names say different spacings"):
        found(tmp_path, **changes)
    assert findings(tmp_path, **changes)[1] == [("spacing", "s")]


def test_a_broken_image_is_named_with_what_to_do(tmp_path: Path) -> None:
    save(tmp_path, ["train/p/s1/1.png", "train/p/s1/2.png"])
    path = tmp_path / "train/p/s1/2.png"
    path.write_bytes(path.read_bytes()[:40])
    message = rf"^{re.escape(str(path))} can't be read as an image.*; replace the file, or list 's1' in drop_scans$"
    with pytest.raises(DataError, match=message):
        first(tmp_path, **STACK)
    (scan,), faults = findings(tmp_path, **STACK)
    assert (scan.slice_names, faults) == (("s1_1",), [("unreadable", "train/p/s1/2.png")])
    path.with_name("1.png").write_bytes(b"")
    with pytest.raises(DataError, match="scan s1 has no slice that can be read, of 2"):
        findings(tmp_path, **STACK)


def test_runs_that_can_not_be_read_are_reported_and_ignored(tmp_path: Path) -> None:
    save(tmp_path, ["train/p/s1/1.png", "train/p/s1/2.png"])
    (tmp_path / "train.csv").write_text("id,class,segmentation\ns1_1,a,1 2\ns1_2,a,12 2\n")
    changes = {**STACK, "masks": {"kind": "rle"}}
    with pytest.raises(DataError, match=r"train\.csv: s1_2 a: RLE: the run 12 2 goes past the end of a mask of 3 x 4"):
        first(tmp_path, **changes)
    (scan,), faults = findings(tmp_path, **changes)
    assert faults == [("rle", "s1_2 a")]
    assert scan.ignore is not None and scan.ignore.sum(axis=(1, 2)).tolist() == [0, 12]
    assert scan.class_masks().sum(axis=(2, 3)).tolist() == [[2, 0]]


def test_nothing_is_written_beside_read_only_files(tmp_path: Path) -> None:
    save(tmp_path, ["train/p/s 1/1.png"])
    for path in (tmp_path / "train/p/s 1/1.png", tmp_path / "train/p/s 1", tmp_path / "train/p"):
        path.chmod(0o555)
    before = sorted(tmp_path.rglob("*"))
    assert first(tmp_path, **STACK).name == "s 1"
    assert sorted(tmp_path.rglob("*")) == before
    for path in (tmp_path / "train/p", tmp_path / "train/p/s 1"):
        path.chmod(0o755)
