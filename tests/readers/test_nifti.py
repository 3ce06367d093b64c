"""Written NIfTI files, turned and broken in every way, against the scan they should give."""

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations

from casefold.config.datasets import NiftiDataset
from casefold.core import ConfigError, DataError, Scan
from casefold.readers import RawScan, nifti

RAS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) * 10  # (x, y, z)
LABELS = (np.arange(24) % 3).astype(np.uint8).reshape(2, 3, 4)
AFFINE = np.array([[0.5, 0, 0, -7], [0, 0.75, 0, 11], [0, 0, 3, 5], [0, 0, 0, 1]], float)
CODES = ["RAS", "LPS", "LAI", "PIR", "SAL", "ASR", "IPL"]


def config(**changes: Any) -> NiftiDataset:
    return NiftiDataset(**{"reader": "nifti", "root": "toy", "classes": ("front", "back"), **changes})


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE, codes: str = "RAS") -> Path:
    """Save an array given on RAS axes, stored with its axes in the order and direction `codes` says."""
    turn = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(codes))
    stored = orientations.apply_orientation(array, turn)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(stored, affine @ orientations.inv_ornt_aff(turn, array.shape[:3])), path)
    return path


def describe(root: Path, names: list[str], **changes: Any) -> Path:
    pairs = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]
    labels = {"0": "background", "1": "back", "2": "front"}
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps({"labels": labels, "training": pairs, "test": [], **changes}))
    return root


def data_set(root: Path, names: tuple[str, ...] = ("scan_b", "scan_a"), codes: str = "RAS") -> Path:
    for name in names:
        save(root / "imagesTr" / f"{name}.nii.gz", RAS, codes=codes)
        save(root / "labelsTr" / f"{name}.nii.gz", LABELS, codes=codes)
    return describe(root, list(names))


def first(root: Path, **changes: Any) -> Scan:
    return nifti.load(config(**changes), nifti.find(config(**changes), root, "train")[0])


def test_a_scan_is_read_with_masks_by_class_name(tmp_path: Path) -> None:
    scan = first(data_set(tmp_path))
    assert (scan.case, scan.name, scan.classes) == ("scan_a", "scan_a", ("front", "back"))
    assert scan.image.dtype == np.int16 and scan.image.shape == (1, 4, 3, 2)
    np.testing.assert_array_equal(scan.image[0], RAS.transpose())
    np.testing.assert_array_equal(scan.class_masks(), [LABELS.transpose() == 2, LABELS.transpose() == 1])
    assert scan.grid.spacing_mm == (3.0, 0.75, 0.5)
    assert scan.grid.affine == tuple(map(tuple, AFFINE.tolist()))
    assert scan.slice_names == tuple(f"scan_a_slice_000{z}" for z in (1, 2, 3, 4))


@pytest.mark.parametrize("codes", CODES)
def test_flipped_and_permuted_axes_give_the_same_scan(tmp_path: Path, codes: str) -> None:
    scan = first(data_set(tmp_path, codes=codes))
    np.testing.assert_array_equal(scan.image[0], RAS.transpose())
    np.testing.assert_array_equal(scan.class_masks()[0], LABELS.transpose() == 2)
    assert scan.grid.spacing_mm == (3.0, 0.75, 0.5)
    np.testing.assert_allclose(np.array(scan.grid.affine), AFFINE, atol=1e-6)


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_written_labels_lie_where_the_source_label_lay(tmp_path: Path, codes: str, suffix: str) -> None:
    angle = np.deg2rad(10)
    tilted = AFFINE.copy()
    tilted[:2, :2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ AFFINE[:2, :2]
    source = save(tmp_path / "image.nii.gz", RAS, tilted, codes)
    truth = nib.load(save(tmp_path / "label.nii.gz", LABELS, tilted, codes))
    image = nib.load(source)
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=4)
    nib.save(image, source)
    nifti.write_labels(np.ascontiguousarray(LABELS.transpose()), source, tmp_path / f"out{suffix}")
    written = nib.load(tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), np.asanyarray(truth.dataobj))
    np.testing.assert_array_equal(written.affine, image.affine)
    assert written.get_data_dtype() == np.uint8
    assert (int(written.header["qform_code"]), int(written.header["sform_code"])) == (1, 4)
    np.testing.assert_allclose(written.get_qform(), image.get_qform(), atol=1e-6)
    np.testing.assert_array_equal(written.header.get_zooms(), image.header.get_zooms())


def test_labels_of_another_shape_are_not_written(tmp_path: Path) -> None:
    source = save(tmp_path / "image.nii", RAS)
    with pytest.raises(
        DataError, match=r"should be uint8 \(z, y, x\) of shape \(4, 3, 2\), not uint8 of shape \(2, 3, 4\)"
    ):
        nifti.write_labels(LABELS, source, tmp_path / "out.nii")
    with pytest.raises(DataError, match=r"out\.mha should end with one of \.nii\.gz, \.nii"):
        nifti.write_labels(np.ascontiguousarray(LABELS.transpose()), source, tmp_path / "out.mha")


def test_scaling_and_types_are_as_the_file_says(tmp_path: Path) -> None:
    scaled = nib.Nifti1Image(RAS, AFFINE)
    scaled.header.set_slope_inter(0.5, 3)
    nib.save(scaled, tmp_path / "scaled.nii")
    nib.save(nib.Nifti1Image(RAS.astype(">f4"), AFFINE), tmp_path / "big_endian.nii")
    nib.save(nib.Nifti1Image(RAS[..., None], AFFINE), tmp_path / "one_volume.nii")
    endian, single, slope = (nifti.load(config(), raw) for raw in nifti.find(config(), tmp_path, "test", tmp_path))
    np.testing.assert_array_equal(slope.image[0], RAS.transpose() * 0.5 + 3)
    assert endian.image.dtype == np.dtype("=f4") and endian.image.dtype.isnative
    assert single.image.shape == (1, 4, 3, 2) and single.image.dtype == np.int16
    assert endian.masks is None


def test_lengths_in_micron_become_mm(tmp_path: Path) -> None:
    image = nib.Nifti1Image(RAS, AFFINE)
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "tiny.nii")
    scan = nifti.load(config(), nifti.find(config(), tmp_path, "test", tmp_path)[0])
    assert scan.grid.spacing_mm == pytest.approx((0.003, 0.00075, 0.0005))


def test_spacing_may_be_unknown_or_given(tmp_path: Path) -> None:
    root = data_set(tmp_path)
    assert first(root, spacing_mm="unknown").grid.spacing_mm is None
    assert first(root, spacing_mm=(5.0, 1.0, 1.0)).grid.spacing_mm == (5.0, 1.0, 1.0)


def test_cases_come_from_the_name(tmp_path: Path) -> None:
    root = data_set(tmp_path, ("p7_day2", "p7_day13"))
    raws = nifti.find(config(case_pattern=r"^(p\d+)_"), root, "train")
    assert [(raw.case, raw.name) for raw in raws] == [("p7", "p7_day13"), ("p7", "p7_day2")]
    with pytest.raises(DataError, match="finds no case in the scan name 'p7_day2'"):
        nifti.find(config(case_pattern="(q)"), root, "train")
    for pattern in ("p", "("):
        with pytest.raises(ConfigError, match="is no regular expression with a group"):
            nifti.find(config(case_pattern=pattern), root, "train")


def test_a_folder_is_read_without_labels_and_without_hidden_files(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    save(folder / "b.nii", RAS)
    save(folder / "a.nii.gz", RAS)
    (folder / "._a.nii.gz").write_bytes(b"finder")
    (folder / "notes.txt").write_text("no scan")
    raws = nifti.find(config(), tmp_path, "test", folder)
    assert [(raw.name, raw.labelled, len(raw.sources)) for raw in raws] == [("a", False, 1), ("b", False, 1)]
    with pytest.raises(DataError, match="no folder"):
        nifti.find(config(), tmp_path, "test", tmp_path / "absent")
    save(folder / "b.nii.gz", RAS)
    with pytest.raises(DataError, match=r"1 scan names stand twice: \['b'\]"):
        nifti.find(config(), tmp_path, "test", folder)


def test_the_test_part_may_be_absent_empty_or_listed(tmp_path: Path) -> None:
    root = data_set(tmp_path)
    assert nifti.find(config(), root, "test") == []
    (root / "imagesTs").mkdir()
    assert nifti.find(config(), root, "test") == []
    describe(root, ["scan_a"], test=["./elsewhere/t1.nii.gz", "./elsewhere/t2.nii.gz"])
    assert nifti.find(config(), root, "test") == []
    save(root / "elsewhere" / "t1.nii.gz", RAS)
    with pytest.raises(DataError, match=r"1 of 2 test files are missing: \['t2\.nii\.gz'\]"):
        nifti.find(config(), root, "test")
    save(root / "elsewhere" / "t2.nii.gz", RAS)
    assert [raw.name for raw in nifti.find(config(), root, "test")] == ["t1", "t2"]
    save(root / "imagesTs" / "t3.nii.gz", RAS)
    assert [raw.name for raw in nifti.find(config(), root, "test")] == ["t3"]


def test_scans_are_dropped_by_exact_name_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = data_set(tmp_path, ("p1", "p10"), codes="SAL")
    dropping = config(drop_scans=("p1",), dropped_slices=4)
    assert nifti.dropped(dropping, root) == {"p1": 4}
    with caplog.at_level(logging.DEBUG):
        assert [raw.name for raw in nifti.find(dropping, root, "train")] == ["p10"]
    assert "dropped 4 slices: {'p1': 4}" in caplog.text
    with pytest.raises(DataError, match=r"removes 4 slices \(\{'p1': 4\}\), but dropped_slices says 3"):
        nifti.find(config(drop_scans=("p1",), dropped_slices=3), root, "train")
    with pytest.raises(DataError, match=r"there is no scan 'p100' in .* \(did you mean 'p10'\?\)"):
        nifti.find(config(drop_scans=("p100",)), root, "train")


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    root = data_set(tmp_path)
    assert nifti.label_values(config(), root) == {"front": 2, "back": 1}
    with pytest.raises(DataError, match=r"class 'frunt' is not in .*dataset\.json \(did you mean 'front'\?\)"):
        nifti.find(config(classes=("frunt",)), root, "train")
    with pytest.raises(DataError, match="class 'background' is not in"):
        nifti.label_values(config(classes=("background",)), root)
    only = first(root, classes=("back",))
    np.testing.assert_array_equal(only.class_masks(), [LABELS.transpose() == 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no .*dataset.json; the reader nifti wants the Medical Segmentation Decathlon layout"),
        ("{", "is not JSON"),
        ("[]", "should be a mapping, but is a list"),
        ('{"labels": {"background": 0, "front": [1, 2]}}', "labels should map values to names"),
        ('{"labels": {"1": "front", "2": "back"}}', "training should be a list of {image, label}"),
        ('{"labels": {"1": "front", "2": "back"}, "training": ["a"]}', "training should be a list of {image, label}"),
        (
            '{"labels": {"1": "front", "2": "back"}, "training": [{"image": "a.nii", "label": "b.nii"}]}',
            r"2 files that dataset.json lists are missing: \['a\.nii', 'b\.nii'\]",
        ),
    ],
)
def test_a_bad_description_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DataError, match=message):
        nifti.find(config(), tmp_path, "train")


def test_a_label_on_another_grid_is_refused(tmp_path: Path) -> None:
    root = data_set(tmp_path, ("a",))
    label = root / "labelsTr" / "a.nii.gz"
    save(label, LABELS[:1])
    with pytest.raises(
        DataError, match=r"a\.nii\.gz: the label lies on another grid than its image: shape \(1, 3, 4\)"
    ):
        first(root)
    shifted = AFFINE.copy()
    shifted[2, 3] += 0.01
    save(label, LABELS, shifted)
    with pytest.raises(DataError, match="the label lies on another grid than its image"):
        first(root)
    shifted[2, 3] = AFFINE[2, 3] + 0.0005
    save(label, LABELS, shifted, codes="LPS")
    assert first(root).masks is not None


def test_label_values_that_nobody_named_are_refused(tmp_path: Path) -> None:
    root = data_set(tmp_path, ("a",))
    save(root / "labelsTr" / "a.nii.gz", np.where(LABELS == 2, 2.5, LABELS).astype(np.float32))
    with pytest.raises(DataError, match=r"holds the values \[2\.5\], but dataset\.json knows only \[0, 1, 2\]"):
        first(root)
    save(root / "labelsTr" / "a.nii.gz", LABELS.astype(np.float32))
    np.testing.assert_array_equal(first(root).class_masks()[0], LABELS.transpose() == 2)


def test_several_volumes_are_refused(tmp_path: Path) -> None:
    raw = RawScan("a", "a", (save(tmp_path / "a.nii", np.stack([RAS, RAS], axis=-1)),), False)
    with pytest.raises(DataError, match=r"holds \(2,\) volumes of \(2, 3, 4\); several modalities come later"):
        nifti.load(config(), raw)


def test_a_slice_alone_is_no_volume(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(RAS[..., 0], AFFINE), tmp_path / "a.nii")
    with pytest.raises(DataError, match=r"should be one 3D volume of plain numbers, not int16 \(2, 3\)"):
        nifti.load(config(), RawScan("a", "a", (tmp_path / "a.nii",), False))


def test_an_affine_that_flattens_an_axis_is_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(RAS, None)
    image.header.set_sform(np.diag([1.0, 0.0, 1.0, 1.0]), code=1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(DataError, match="its affine turns an axis into nothing"):
        nifti.load(config(), RawScan("a", "a", (tmp_path / "a.nii",), False))


@pytest.mark.parametrize(
    "damage", ["truncated", "truncated header", "flipped bit", "no gzip", "empty", "raw truncated"]
)
def test_a_broken_file_is_named_with_its_cause(tmp_path: Path, damage: str) -> None:
    array = np.random.default_rng(0).integers(0, 1000, (16, 16, 16)).astype(np.int16)
    path = save(tmp_path / ("a.nii" if damage == "raw truncated" else "a.nii.gz"), array)
    content = path.read_bytes()
    plain = gzip.decompress(content) if path.suffix == ".gz" else content
    flipped = bytearray(gzip.compress(plain, compresslevel=0))  # stored, so only the checksum tells
    flipped[-100] ^= 1
    path.write_bytes(
        {
            "truncated": content[:-2000],
            "truncated header": content[:60],
            "flipped bit": bytes(flipped),
            "no gzip": b"not a gzip file at all" * 100,
            "empty": b"",
            "raw truncated": content[:-2000],
        }[damage]
    )
    with pytest.raises(DataError, match=r"a\.nii(\.gz)? (can't be read as NIfTI|is truncated or corrupt)") as fault:
        nifti.load(config(), RawScan("a", "a", (path,), False))
    assert isinstance(fault.value.__cause__, Exception)
