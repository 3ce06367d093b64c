"""Written NIfTI files, turned and broken in every way, against the scan they should give."""

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from casefold.config.datasets import NiftiDataset
from casefold.core import DataError, Masks, Scan
from casefold.readers import RawScan, nifti
from casefold.readers.nifti.grid import write_labels
from toy_nifti import AFFINE, save, tilted

RAS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) * 10  # (x, y, z)
LABELS = (np.arange(24) % 3).astype(np.uint8).reshape(2, 3, 4)
CODES = ["RAS", "LPS", "LAI", "PIR", "SAL", "ASR", "IPL"]


def config(**changes: Any) -> NiftiDataset:
    return NiftiDataset(**{"reader": "nifti", "root": "toy", "classes": ("front", "back"), **changes})


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
    source = save(tmp_path / "image.nii.gz", RAS, tilted(10), codes)
    truth = nib.load(save(tmp_path / "label.nii.gz", LABELS, tilted(10), codes))
    image = nib.load(source)
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=4)
    nib.save(image, source)
    write_labels(np.ascontiguousarray(LABELS.transpose()), source, tmp_path / f"out{suffix}")
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
        DataError, match=r"should be uint8 or uint16 \(z, y, x\) of shape \(4, 3, 2\), not uint8 of shape \(2, 3, 4\)"
    ):
        write_labels(LABELS, source, tmp_path / "out.nii")
    with pytest.raises(DataError, match=r"out\.mha should end with one of \.nii\.gz, \.nii"):
        write_labels(np.ascontiguousarray(LABELS.transpose()), source, tmp_path / "out.mha")


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
    with pytest.raises(DataError, match="finds no case in the scan name 'p7_day13'"):
        nifti.find(config(case_pattern="(q)"), root, "train")


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
    with pytest.raises(DataError, match=r"scan b stands twice, .*b\.nii and .*b\.nii\.gz"):
        nifti.find(config(), tmp_path, "test", folder)


def test_the_test_part_may_be_absent_empty_or_listed(tmp_path: Path) -> None:
    root = data_set(tmp_path)
    assert nifti.find(config(), root, "test") == []
    (root / "imagesTs").mkdir()
    assert nifti.find(config(), root, "test") == []
    describe(root, ["scan_a"], test=["./elsewhere/t1.nii.gz", "./elsewhere/t2.nii.gz"])
    assert nifti.find(config(), root, "test") == []
    save(root / "elsewhere" / "t1.nii.gz", RAS)
    with pytest.raises(DataError, match=r"elsewhere/t2\.nii\.gz is missing, though dataset\.json lists it"):
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
    with pytest.raises(DataError, match=r"class 'frunt' is not in .*dataset\.json \(did you mean 'front'\?\)"):
        nifti.find(config(classes=("frunt",)), root, "train")
    with pytest.raises(DataError, match="class 'background' is not in"):
        nifti.find(config(classes=("background",)), root, "train")
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
            r"a\.nii is missing, though dataset\.json lists it",
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
    with pytest.raises(DataError, match=r"scan a: .*labelsTr/a\.nii\.gz lies on another .*: shape \(1, 3, 4\) for"):
        first(root)
    shifted = AFFINE.copy()
    shifted[2, 3] += 0.01
    save(label, LABELS, shifted)
    with pytest.raises(DataError, match="the label can't be laid on its image"):
        first(root)
    shifted[2, 3] = AFFINE[2, 3] + 0.0005
    save(label, LABELS, shifted, codes="LPS")
    assert first(root).masks is not None


def test_label_values_that_nobody_named_are_refused(tmp_path: Path) -> None:
    root = data_set(tmp_path, ("a",))
    save(root / "labelsTr" / "a.nii.gz", np.where(LABELS == 2, 2.5, LABELS).astype(np.float32))
    with pytest.raises(DataError, match=r"holds the values \[2\.5\], but .* know only \[0, 1, 2\]"):
        first(root)
    save(root / "labelsTr" / "a.nii.gz", LABELS.astype(np.float32))
    np.testing.assert_array_equal(first(root).class_masks()[0], LABELS.transpose() == 2)


def test_a_slice_alone_is_no_volume(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(RAS[..., 0], AFFINE), tmp_path / "a.nii")
    with pytest.raises(DataError, match=r"should be a 3D volume of plain numbers, not int16 \(2, 3\)"):
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


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("trailing", [(3,), (1, 3)], ids=["4D", "5D"])
def test_the_volumes_of_one_file_are_modalities(tmp_path: Path, codes: str, trailing: tuple[int, ...]) -> None:
    volumes = np.stack([RAS, RAS + 1, -RAS], axis=-1)
    path = save(tmp_path / "a.nii.gz", volumes.reshape(*RAS.shape, *trailing), tilted(10), codes)
    named = config(modalities=("t1", "t2", "flair"))
    raw = nifti.find(named, tmp_path, "test", tmp_path)[0]
    scan = nifti.load(named, raw)
    assert scan.image.dtype == np.int16
    np.testing.assert_array_equal(scan.image, volumes.transpose())
    assert nifti.stored_bytes(named, raw) == 3 * 24 * 2
    masks = np.stack([LABELS == 2, LABELS == 1]).transpose(0, 3, 2, 1)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"1": "back", "2": "front"}, "training": []}))
    out = nifti.write(named, tmp_path, raw, Masks("a", "a", ("front", "back"), scan.slice_names, masks), tmp_path / "o")
    written, source, truth = (
        nib.load(out),
        nib.load(path),
        nib.load(save(tmp_path / "b.nii", LABELS, tilted(10), codes)),
    )
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), np.asanyarray(truth.dataobj))
    np.testing.assert_array_equal(written.affine, source.affine)
    assert written.shape == source.shape[:3] and nib.aff2axcodes(written.affine) == tuple(codes)


def test_the_number_of_volumes_is_that_of_the_names(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.stack([RAS, RAS], axis=-1))
    assert nifti.load(config(), nifti.find(config(), tmp_path, "test", tmp_path)[0]).image.shape == (2, 4, 3, 2)
    three = config(modalities=("t1", "t2", "flair"))
    with pytest.raises(DataError, match=r"a\.nii holds 2 volumes, but the config has the modalities \['t1', 't2', 'fl"):
        nifti.find(three, tmp_path, "test", tmp_path)
    save(tmp_path / "a.nii", np.zeros((2, 3, 4, 2, 3), np.int16))
    with pytest.raises(DataError, match=r"should be one 3D volume a modality, .* but has the shape \(2, 3, 4, 2, 3\)"):
        nifti.find(config(), tmp_path, "test", tmp_path)


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [(("u1", "i2"), np.int16), (("u2", "i2"), np.int32), (("i2", "f4"), np.float32), (("i4", "f4"), np.float64)],
)
def test_modalities_of_several_types_get_the_common_one(tmp_path: Path, kinds: tuple[str, str], wanted: type) -> None:
    """Stored along other axes each, too."""
    two = config(image="{scan}_{modality}.nii", modalities=("t2", "t1"), labels={"front": (2,), "back": (1,)})
    save(tmp_path / "a_t2.nii", (RAS + 1).astype(kinds[0]), codes="LPS")
    save(tmp_path / "a_t1.nii", RAS.astype(kinds[1]), codes="ASR")
    (raw,) = nifti.find(two, tmp_path, "train")
    scan = nifti.load(two, raw)
    assert scan.image.dtype == wanted and nifti.stored_bytes(two, raw) == scan.image.nbytes
    np.testing.assert_array_equal(scan.image, [(RAS + 1).transpose(), RAS.transpose()])


def test_the_size_in_the_store_is_known_from_headers(tmp_path: Path) -> None:
    root = data_set(tmp_path, ("a",))
    scaled = nib.Nifti1Image(RAS, AFFINE)
    scaled.header.set_slope_inter(0.5, 3)
    for change in (None, scaled):
        if change is not None:
            nib.save(change, root / "imagesTr" / "a.nii.gz")
        scan, (raw,) = first(root), nifti.find(config(), root, "train")
        assert scan.masks is not None
        assert nifti.stored_bytes(config(), raw) == scan.image.nbytes + scan.masks.nbytes
