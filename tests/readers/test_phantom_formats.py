"""The phantom in other formats: what the readers make of the files is what was drawn."""

from pathlib import Path

import numpy as np
import pytest

from casefold.config.base import Dataset
from casefold.config.load import load_dataset
from casefold.config.shrink import shrunk_dataset
from casefold.core import ConfigError
from casefold.readers.phantom.drawn import drawn
from casefold.readers.phantom.formats import write_phantom
from casefold.readers.table import find, load

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def written(tmp_path: Path, name: str) -> tuple[Dataset, Path]:
    """A shipped data set's twin, two training cases and one for the test written."""
    config, root = shrunk_dataset(load_dataset(CONFIGS, name), name), tmp_path / name
    write_phantom(config, root, range(2), [2])
    return config, root


def test_nifti_by_modality_has_nested_classes_and_one_scan_without_its_second_modality(tmp_path: Path) -> None:
    config, root = written(tmp_path, "brats_unets")
    scans = [load(config, raw) for raw in find(config, root, "train")]
    assert [scan.name for scan in scans] == ["phantom00", "phantom01"]
    assert [scan.image.any(axis=(1, 2, 3)).tolist() for scan in scans] == [[True] * 4, [True, False, True, True]]
    for number, scan in enumerate(scans):
        organs = drawn(number, "train").organs
        wanted = [organs > 0, (organs == 1) | (organs == 3), organs == 3]  # values 1, 2 and 4: core is 1 and 4
        np.testing.assert_array_equal(scan.class_masks(), wanted)
        assert all(mask.any() for mask in wanted)
    (test,) = find(config, root, "test")
    assert (test.name, test.labelled) == ("phantom02", False)


def test_a_config_that_refuses_a_missing_modality_gets_them_all(tmp_path: Path) -> None:
    config, root = written(tmp_path, "brats")
    assert all(load(config, raw).image.any(axis=(1, 2, 3)).all() for raw in find(config, root, "train"))


def test_the_decathlon_layout_has_as_many_organs_as_the_config_has_classes(tmp_path: Path) -> None:
    config, root = written(tmp_path, "hippocampus")
    first, second = (load(config, raw) for raw in find(config, root, "train"))
    organs = drawn(1, "train").organs
    np.testing.assert_array_equal(second.class_masks(), [organs == 1, organs == 2])
    assert first.image.shape == (1, 12, 64, 64) and [raw.name for raw in find(config, root, "test")] == ["phantom02"]


def test_dicom_series_lie_on_the_labels_beside_them(tmp_path: Path) -> None:
    config, root = written(tmp_path, "dicom100")
    raws = find(config, root, "train")
    assert [raw.case for raw in raws] == ["phantom00", "phantom01"]
    for number, raw in enumerate(raws):
        scan, wanted = load(config, raw), drawn(number, "train")
        np.testing.assert_array_equal(scan.image[0], wanted.image)
        np.testing.assert_array_equal(scan.class_masks(), [wanted.organs == 1, wanted.organs == 2])
        assert scan.grid.spacing_mm == pytest.approx((400 / 12, 346 / 64, 346 / 64), abs=1e-3)
    assert [raw.case for raw in find(config, root, "test")] == ["phantom02"]


def test_rgb_images_have_label_images_void_and_a_split(tmp_path: Path) -> None:
    config, root = shrunk_dataset(load_dataset(CONFIGS, "camvid"), "camvid"), tmp_path / "camvid"
    write_phantom(config, root, range(5), [5])
    assert (root / "split.csv").read_text().splitlines() == [
        "case,split", "phantom00,train", "phantom01,train", "phantom02,val", "phantom03,train", "phantom04,test",
    ]  # fmt: skip
    raws = find(config, root, "train")
    assert [raw.sources[0].parent.name for raw in raws] == ["train", "train", "val", "train", "test"]
    scan, wanted = load(config, raws[0]), drawn(0, "train")
    z = int((wanted.organs > 0).sum(axis=(1, 2)).argmax())
    assert scan.image.shape == (3, 1, 64, 64) and not np.array_equal(scan.image[0], scan.image[2])
    assert scan.ignore is not None and scan.ignore[0].sum(axis=1).tolist() == [0] * 62 + [64] * 2
    masks = scan.class_masks()[:, 0, :62]
    organs = wanted.organs[z, :62]
    for place in range(4):  # what is no organ is the first class, sky
        np.testing.assert_array_equal(masks[place], organs == place)
    assert not masks[4:].any()


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    config, root = written(tmp_path, "hippocampus")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write_phantom(config, root, range(5), range(5, 10))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_reader_without_a_writer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="written for the readers nifti, dicom, images, not for uwmgi"):
        write_phantom(load_dataset(CONFIGS, "lgg"), tmp_path / "lgg", [0], [1])
