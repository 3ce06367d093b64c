"""DICOM series written whole, turned and broken in every way, against the scan or the message they should give."""

import logging
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from casefold.config.datasets import DicomDataset
from casefold.core import ConfigError, DataError, Scan
from casefold.readers import RawScan, dicom
from casefold.readers.dicom import pixels as dicom_pixels
from toy_dicom import HU, STORED, header, save, uid, write_multiframe, write_series

# x and y to the left and back in the file, so to the right and front with a minus; first voxel at (-10, -20, 30) LPS
AFFINE = ((-0.5, 0, 0, 10), (0, -0.75, 0, 20), (0, 0, 2.5, 30), (0, 0, 0, 1))
NAME = "p1_20200102_3"


def config(**changes: Any) -> DicomDataset:
    return DicomDataset(**{"reader": "dicom", "root": "toy", "classes": ("one", "two"), **changes})


def only(root: Path, **changes: Any) -> Scan:
    """The one scan of a folder."""
    (raw,) = dicom.find(config(**changes), root, "train")
    return dicom.load(config(**changes), raw)


def findings(root: Path, **changes: Any) -> tuple[list[str], list[tuple[str, str, str]]]:
    """What `check` sees: the scans that are left, and (kind, place, message) of each fault."""
    told: list[tuple[str, str, str]] = []
    raws = dicom.find(config(**changes), root, "train", report=lambda *fault: told.append(fault))
    for raw in raws:
        dicom.load(config(**changes), raw, report=lambda *fault: told.append(fault))
    return [raw.name for raw in raws], told


def test_a_series_is_a_scan_in_hounsfield_units(tmp_path: Path) -> None:
    write_series(tmp_path / "deep" / "down")
    (raw,) = dicom.find(config(), tmp_path, "train")
    scan = dicom.load(config(), raw)
    assert (scan.case, scan.name, scan.masks) == ("p1", NAME, None)
    assert scan.image.dtype == np.int16
    np.testing.assert_array_equal(scan.image, HU[None])
    assert scan.grid.spacing_mm == (2.5, 0.75, 0.5)
    np.testing.assert_allclose(scan.grid.affine, AFFINE)
    assert scan.slice_names == tuple(f"{NAME}_slice_000{z}" for z in (1, 2, 3, 4))
    assert dicom.stored_bytes(config(), raw) == scan.image.nbytes
    assert pickle.loads(pickle.dumps(raw)) == raw


def test_the_order_of_files_and_instance_numbers_does_not_count(tmp_path: Path) -> None:
    for z, plane in enumerate(STORED):
        save(tmp_path / f"{9 - z}.dcm", header(z=z, InstanceNumber=9 - z), plane)
    scan = only(tmp_path)
    np.testing.assert_array_equal(scan.image[0], HU)
    np.testing.assert_allclose(scan.grid.affine, AFFINE)


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
    ],
)
def test_transfer_syntaxes_that_need_no_plugin(tmp_path: Path, syntax: str) -> None:
    write_series(tmp_path, syntax=syntax)
    image = only(tmp_path).image
    assert image.dtype.isnative
    np.testing.assert_array_equal(image[0], HU)


def test_z_runs_along_row_cross_column(tmp_path: Path) -> None:
    # coronal: rows to the left, columns down, so z goes to the back; slice z lies at y = 30, 20, 10, 0
    for z, plane in enumerate(STORED):
        place = [-10.0, 30.0 - 10 * z, 50.0]
        dataset = header(z=z, ImageOrientationPatient=[1, 0, 0, 0, 0, -1], ImagePositionPatient=place)
        save(tmp_path / f"{z}.dcm", dataset, plane)
    scan = only(tmp_path)
    np.testing.assert_array_equal(scan.image[0], HU[::-1])
    assert scan.grid.spacing_mm == (10.0, 0.75, 0.5)
    np.testing.assert_allclose(
        scan.grid.affine, [[-0.5, 0, 0, 10], [0, 0, -10, 0], [0, -0.75, 0, 50], [0, 0, 0, 1]], atol=1e-12
    )


def test_a_tilted_gantry_keeps_its_voxels_and_shears_the_affine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for z, plane in enumerate(STORED):
        save(tmp_path / f"{z}.dcm", header(z=z, ImagePositionPatient=[-10.0, -20 + 0.5 * z, 30 + 2.5 * z]), plane)
    scan = only(tmp_path)
    np.testing.assert_array_equal(scan.image[0], HU)
    assert scan.grid.spacing_mm == (2.5, 0.75, 0.5)
    np.testing.assert_allclose(scan.grid.affine, [AFFINE[0], [0, -0.75, -0.5, 20], AFFINE[2], AFFINE[3]])
    assert f"scan {NAME}: the gantry is tilted by 11.3 degrees" in caplog.text  # atan(0.5 / 2.5)


def test_a_missing_slice_is_named(tmp_path: Path) -> None:
    write_series(tmp_path)[1].unlink()
    wanted = (
        rf"scan {NAME} in .*: missing slices: 1 at steps of 2\.5 mm, from a0\.dcm \(30 mm\) to a2\.dcm \(35 mm\); "
        "find the files, or write gaps: allow; to go on without the scan, name it in drop_scans"
    )
    with pytest.raises(DataError, match=wanted):
        dicom.find(config(), tmp_path, "train")
    assert [fault[0] for fault in findings(tmp_path)[1]] == ["missing slice"]


def test_gaps_may_be_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_series(tmp_path)[1].unlink()
    scan = only(tmp_path, gaps="allow")
    np.testing.assert_array_equal(scan.image[0], HU[[0, 2, 3]])
    assert scan.grid.spacing_mm == (2.5, 0.75, 0.5)
    assert "missing slices: 1" in caplog.text and "the affine is off beyond" in caplog.text


@pytest.mark.parametrize(
    ("heights", "kind", "message"),
    [
        ((0, 2, 4, 9), "gap", r"gaps of an odd width: 1 at steps of 2 mm, from 2\.dcm \(4 mm\) to 3\.dcm \(9 mm\)"),
        ((0, 2, 4, 7), "gap", "steps between slices differ, from 2 to 3 mm"),
        ((0, 2, 4, 10), "missing slice", "missing slices: 2 at steps of 2 mm"),
    ],
)
def test_uneven_slices_are_refused(tmp_path: Path, heights: tuple[float, ...], kind: str, message: str) -> None:
    for z, height in enumerate(heights):
        save(tmp_path / f"{z}.dcm", header(z=z, ImagePositionPatient=[0, 0, height]), STORED[z])
    with pytest.raises(DataError, match=message):
        dicom.find(config(), tmp_path, "train")
    assert [fault[0] for fault in findings(tmp_path)[1]] == [kind]


def test_rounded_positions_are_no_gaps(tmp_path: Path) -> None:
    for z, height in enumerate((0, 0.6, 1.3, 1.9)):  # steps of 0.633 mm, written with one decimal
        save(tmp_path / f"{z}.dcm", header(z=z, ImagePositionPatient=[0, 0, height]), STORED[z])
    spacing = only(tmp_path).grid.spacing_mm
    assert spacing is not None
    np.testing.assert_allclose(spacing[0], 1.9 / 3)


def test_a_slice_that_is_there_twice_counts_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = write_series(tmp_path)
    shutil.copy(files[2], tmp_path / "copy of a2.dcm")
    np.testing.assert_array_equal(only(tmp_path).image[0], HU)
    assert f"scan {NAME}: the same slice twice, one is kept of a2.dcm and copy of a2.dcm" in caplog.text
    names, told = findings(tmp_path)
    assert names == [NAME] and [fault[:2] for fault in told] == [("duplicate slice", NAME)]


def test_another_image_at_the_same_place_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    save(tmp_path / "echo.dcm", header(z=1, InstanceNumber=9, SOPInstanceUID=uid("echo")), STORED[1] + 1)
    with pytest.raises(DataError, match=r"a1\.dcm and echo\.dcm lie at the same place and differ; .*several volumes"):
        only(tmp_path)
    assert [fault[:2] for fault in findings(tmp_path)[1]] == [("duplicate slice", NAME)]


def test_two_series_in_one_folder_are_two_scans(tmp_path: Path) -> None:
    write_series(tmp_path, "a")
    write_series(tmp_path, "b", STORED + 1, SeriesNumber=4)
    scans = [dicom.load(config(), raw) for raw in dicom.find(config(), tmp_path, "train")]
    assert [scan.name for scan in scans] == [NAME, "p1_20200102_4"]
    np.testing.assert_array_equal(scans[0].image[0], HU)
    np.testing.assert_array_equal(scans[1].image[0], HU + 1)


def test_names_that_would_clash_get_the_end_of_the_uid(tmp_path: Path) -> None:
    write_series(tmp_path / "x", "a")
    write_series(tmp_path / "y", "b")
    names = [raw.name for raw in dicom.find(config(), tmp_path, "train")]
    assert names == sorted(f"{NAME}_{uid(series)[-8:]}" for series in "ab")


def test_a_multi_frame_file_is_sorted_by_the_places_of_its_frames(tmp_path: Path) -> None:
    write_multiframe(tmp_path / "m.dcm", order=(2, 0, 3, 1))
    scan = only(tmp_path)
    np.testing.assert_array_equal(scan.image[0], HU)
    assert scan.image.dtype == np.int16 and scan.grid.spacing_mm == (2.5, 0.75, 0.5)
    np.testing.assert_allclose(scan.grid.affine, AFFINE)


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    write_multiframe(tmp_path / "m.dcm", order=(3, 0, 2))
    with pytest.raises(DataError, match=r"missing slices: 1 .* from m\.dcm \(frame 2\) .* to m\.dcm \(frame 3\)"):
        dicom.find(config(), tmp_path, "train")


def test_frames_without_places_are_slices_of_unknown_spacing(tmp_path: Path) -> None:
    dataset = header(Modality="US", NumberOfFrames=4, RescaleIntercept=0)  # one position, of its first frame
    save(tmp_path / "clip.dcm", dataset, STORED)
    scan = only(tmp_path)
    np.testing.assert_array_equal(scan.image[0], STORED)
    assert (scan.grid.spacing_mm, scan.grid.affine) == (None, None)


def test_series_without_places_stand_by_instance_number(tmp_path: Path) -> None:
    for z, plane in enumerate(STORED):
        save(tmp_path / f"{9 - z}.dcm", header(z=z, ImagePositionPatient=None, InstanceNumber=z + 8), plane)
    scan = only(tmp_path)
    np.testing.assert_array_equal(scan.image[0], HU)
    assert (scan.grid.spacing_mm, scan.grid.affine) == (None, None)
    assert only(tmp_path, spacing_mm=(3, 1, 1)).grid.spacing_mm == (3, 1, 1)


def test_single_images_of_one_series_are_scans_of_one_slice(tmp_path: Path) -> None:
    for z in (0, 1):
        dataset = header(z=z, Modality="MG", ImagePositionPatient=None, RescaleIntercept=None, RescaleSlope=None)
        save(tmp_path / f"{z}.dcm", dataset, STORED[z, : 3 - z].astype(np.uint16))  # of two sizes, too
    scans = [dicom.load(config(), raw) for raw in dicom.find(config(), tmp_path, "train")]
    assert [(scan.name, scan.image.shape) for scan in scans] == [
        (f"{NAME}_1", (1, 1, 3, 5)),
        (f"{NAME}_2", (1, 1, 2, 5)),
    ]


def test_a_single_slice_has_a_place_but_no_spacing(tmp_path: Path) -> None:
    save(tmp_path / "a.dcm", header(), STORED[0])
    grid = only(tmp_path).grid
    assert grid.spacing_mm is None
    np.testing.assert_allclose(grid.affine, [AFFINE[0], AFFINE[1], [0, 0, 1, 30], AFFINE[3]])


def test_other_files_are_passed_over_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_series(tmp_path)
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.4" + bytes(500))
    (tmp_path / "notes.txt").write_text("x")
    report = Dataset()
    report.SOPClassUID = EncapsulatedPDFStorage
    report.save_as(tmp_path / "report.dcm", implicit_vr=False, little_endian=True)  # no preamble either
    np.testing.assert_array_equal(only(tmp_path).image[0], HU)
    assert "3 files are no images and are passed over" in caplog.text
    for named in ("letter.pdf (not DICOM)", "notes.txt (not DICOM)", "report.dcm (Encapsulated PDF Storage"):
        assert named in caplog.text
    names, told = findings(tmp_path)
    assert names == [NAME]
    assert [(kind, Path(place).name) for kind, place, _ in told] == [
        ("not an image", "letter.pdf"),
        ("not an image", "notes.txt"),
        ("not an image", "report.dcm"),
    ]


def test_a_folder_of_other_things_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.4")
    write_series(tmp_path, Modality="NM")
    with pytest.raises(DataError, match=r"no series to read, only letter\.pdf: not DICOM, a0\.dcm: the Modality NM"):
        dicom.find(config(), tmp_path, "train")


def test_kinds_descriptions_and_localizers_choose_series(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write_series(tmp_path / "a", "a")
    write_series(tmp_path / "b", "b", SeriesNumber=4, SeriesDescription="bone")
    write_series(tmp_path / "c", "c", SeriesNumber=5, Modality="NM")
    save(tmp_path / "d.dcm", header("d", SeriesNumber=6, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), STORED[0])
    assert [raw.name for raw in dicom.find(config(description="^axial"), tmp_path, "train")] == [NAME]
    assert "9 images are passed over" in caplog.text
    for counted in ("4 of the Modality NM", "4 of the SeriesDescription 'bone'", "1 of localizers"):
        assert counted in caplog.text


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"PixelSpacing": [1.0, 1.0]}, "spacing", r"PixelSpacing is \(0\.75, 0\.5\) in a0\.dcm, \(1\.0, 1\.0\) in odd"),
        ({"ImagePositionPatient": None}, "spacing", r"1 of 5 images lack a position or an orientation, as odd\.dcm"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "spacing", r"different directions, as a0\.dcm and odd\.dcm"),
        ({"PixelSpacing": None}, "spacing", r"PixelSpacing is \(0\.75, 0\.5\) in a0\.dcm, None in odd\.dcm"),
        ({"ImagePositionPatient": [5, -20, 40]}, "spacing", r"odd\.dcm lies .* mm off the line of the others"),
        ({"ImagePositionPatient": [5, -20, 30]}, "spacing", r"a0\.dcm and odd\.dcm lie side by side"),
        ({"PatientID": "p2"}, "name", r"one series holds several cases, {'p1': 'a3\.dcm', 'p2': 'odd\.dcm'}"),
    ],
)
def test_an_odd_image_in_a_series_is_named(tmp_path: Path, change: dict[str, Any], kind: str, message: str) -> None:
    write_series(tmp_path)
    dataset = header(z=4, **change)
    save(tmp_path / "odd.dcm", dataset, STORED[0])
    with pytest.raises(DataError, match=rf"scan {NAME} in .*{message}.*; to go on without the scan, name it in"):
        dicom.find(config(), tmp_path, "train")
    names, told = findings(tmp_path)
    assert names == [] and [fault[0] for fault in told] == [kind]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "is no pair of perpendicular unit vectors"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 2, 0]}, "is no pair of perpendicular unit vectors"),
        ({"PixelSpacing": [0, 1]}, r"PixelSpacing \(0\.0, 1\.0\) is no pair of positive lengths"),
    ],
)
def test_a_geometry_that_can_not_be_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_series(tmp_path, **change)
    with pytest.raises(DataError, match=message):
        dicom.find(config(), tmp_path, "train")


def test_images_of_several_sizes_in_a_series_are_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    save(tmp_path / "odd.dcm", header(z=4), STORED[0, :2])
    wanted = r"rows x columns x channels: 3 x 5 x 1 in 4 files, 2 x 5 x 1 in 1 files, as odd\.dcm"
    with pytest.raises(DataError, match=wanted):
        dicom.find(config(), tmp_path, "train")


def test_a_broken_series_can_be_dropped(tmp_path: Path) -> None:
    write_series(tmp_path, "a")
    write_series(tmp_path, "b", SeriesNumber=4)[1].unlink()
    chosen = config(drop_scans=("p1_20200102_4",), dropped_slices=3)
    assert [raw.name for raw in dicom.find(chosen, tmp_path, "train")] == [NAME]
    assert dicom.dropped(chosen, tmp_path) == {"p1_20200102_4": 3}
    with pytest.raises(DataError, match=r"there is no scan 'p1_20200102_5'.*did you mean 'p1_20200102_[34]'"):
        dicom.find(config(drop_scans=("p1_20200102_5",)), tmp_path, "train")
    with pytest.raises(DataError, match=r"removes 3 slices .* but dropped_slices says 4"):
        dicom.find(config(drop_scans=("p1_20200102_4",), dropped_slices=4), tmp_path, "train")


def test_cases_come_from_any_keyword_or_from_the_path(tmp_path: Path) -> None:
    write_series(tmp_path / "Müller Jörg" / "x", StudyDate=None, SeriesNumber=None, PatientID="A/B")
    (raw,) = dicom.find(config(case="{case}/**/*"), tmp_path, "train")
    assert (raw.case, raw.name) == ("Müller Jörg", "Müller Jörg")
    assert dicom.find(config(case="PatientName"), tmp_path, "train")[0].name == "Doe^Jane"
    assert dicom.find(config(), tmp_path, "train")[0].name == "A_B"
    with pytest.raises(ConfigError, match=r"'PatientId' is no DICOM keyword \(did you mean 'PatientID'\?\)"):
        dicom.find(config(case="PatientId"), tmp_path, "train")
    with pytest.raises(DataError, match=r"a0\.dcm has no case: 'x/{case}' says nothing of it"):
        dicom.find(config(case="x/{case}"), tmp_path, "train")
    assert [fault[0] for fault in findings(tmp_path, case="AccessionNumber")[1]] == ["name"]


def test_the_test_part_and_new_folders(tmp_path: Path) -> None:
    assert dicom.find(config(), tmp_path, "test") == []
    write_series(tmp_path / "x", "a")
    write_series(tmp_path / "test", "b", PatientID="p2")
    assert [raw.case for raw in dicom.find(config(), tmp_path, "train")] == ["p1"]
    assert [raw.case for raw in dicom.find(config(), tmp_path, "test")] == ["p2"]
    assert [raw.case for raw in dicom.find(config(), tmp_path / "elsewhere", "test", tmp_path)] == ["p1", "p2"]
    with pytest.raises(DataError, match=r"no folder .*nowhere to read DICOM series from"):
        dicom.find(config(train="nowhere"), tmp_path, "train")


@pytest.mark.parametrize(
    ("stored", "change", "wanted"),
    [
        (STORED.astype(np.uint16), {"RescaleIntercept": 0}, STORED.astype(np.uint16)),  # nothing to rescale
        (STORED.astype(np.uint16), {}, HU),  # the same width, signed
        (STORED + 32000, {"RescaleIntercept": 1000}, (STORED + np.int32(33000)).astype(np.uint16)),
        (STORED, {"RescaleSlope": 100, "RescaleIntercept": -5}, STORED.astype(np.int32) * 100 - 5),
        (STORED, {"RescaleSlope": 0.5, "RescaleIntercept": 1}, (STORED * 0.5 + 1).astype(np.float32)),
        ((STORED // 3).astype(np.uint8), {"RescaleIntercept": -7}, (STORED // 3 - 7).astype(np.int16)),
    ],
)
def test_the_smallest_type_that_holds_the_rescaled_values(
    tmp_path: Path, stored: Any, change: dict[str, Any], wanted: Any
) -> None:
    write_series(tmp_path, stored=stored, **change)
    image = only(tmp_path).image
    assert image.dtype == wanted.dtype
    np.testing.assert_array_equal(image[0], wanted)


def test_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    for z, plane in enumerate(STORED):  # as PET has it
        save(tmp_path / f"{z}.dcm", header(z=z, RescaleSlope=0.5 * (z + 1), RescaleIntercept=0), plane)
    np.testing.assert_array_equal(only(tmp_path).image[0], STORED * np.array([0.5, 1, 1.5, 2])[:, None, None])


def test_a_modality_lookup_table_takes_the_place_of_the_slope(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4, 0, 16], "US"
    table.add_new("LUTData", "US", [500, 100, 7, 9])
    save(tmp_path / "a.dcm", header(ModalityLUTSequence=Items([table])), np.array([[0, 1], [2, 8]], np.uint16))
    np.testing.assert_array_equal(only(tmp_path).image[0, 0], [[500, 100], [7, 9]])  # 8 is past the end: the last


def test_monochrome1_without_a_unit_is_turned(tmp_path: Path) -> None:
    pixels = np.array([[0, 1], [4095, 100]], np.uint16)
    plain = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "RescaleSlope": None}
    save(tmp_path / "x" / "a.dcm", header(RescaleIntercept=None, **plain), pixels)
    save(tmp_path / "y" / "a.dcm", header(RescaleIntercept=-1, **plain), pixels)
    np.testing.assert_array_equal(only(tmp_path / "x").image[0, 0], [[4095, 4094], [0, 3995]])
    np.testing.assert_array_equal(only(tmp_path / "y").image[0, 0], [[-1, 0], [4094, 99]])  # HU stay HU


def test_colour_is_three_modalities(tmp_path: Path) -> None:
    pixels = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    save(tmp_path / "a.dcm", header(Modality="US", RescaleIntercept=None, RescaleSlope=None), pixels)
    (raw,) = dicom.find(config(), tmp_path, "train")
    scan = dicom.load(config(), raw)
    np.testing.assert_array_equal(scan.image[:, 0], pixels.transpose(2, 0, 1))
    assert dicom.stored_bytes(config(), raw) == 24


def test_an_unknown_colour_space_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path / "a.dcm", header(PhotometricInterpretation="CMYK"), STORED[0])
    with pytest.raises(DataError, match=r"a\.dcm is CMYK of 1 channels, known are .*'MONOCHROME2': 1"):
        dicom.find(config(), tmp_path, "train")


@pytest.mark.parametrize(
    ("syntax", "message"),
    [
        (
            "1.2.840.10008.1.2.4.90",
            r"JPEG 2000 .* \(1\.2\.840\.10008\.1\.2\.4\.90\) .*pip install .*pylibjpeg-openjpeg",
        ),
        ("1.2.840.10008.1.2.4.80", r"JPEG-LS .* \(1\.2\.840\.10008\.1\.2\.4\.80\) .*pip install pyjpegls"),
        (
            "1.2.840.10008.1.2.4.70",
            r"JPEG Lossless.* \(1\.2\.840\.10008\.1\.2\.4\.70\) .*pip install .*pylibjpeg-libjpeg",
        ),
        ("1.2.840.10008.1.2.4.100", r"MPEG2 .* \(1\.2\.840\.10008\.1\.2\.4\.100\) is none that pydicom decodes"),
    ],
)
def test_a_transfer_syntax_without_decoder_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, message: str
) -> None:
    (path,) = write_series(tmp_path, stored=STORED[:1])
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].is_undefined_length = True
    dataset.PixelData = encapsulate([dataset.PixelData])
    dataset.save_as(path)
    real = dicom_pixels.get_decoder

    class Missing:
        is_available = False

    monkeypatch.setattr(dicom_pixels, "get_decoder", lambda uid: real(uid) and Missing)
    with pytest.raises(DataError, match=r"a0\.dcm: its transfer syntax " + message.format(uid=re.escape(syntax))):
        dicom.find(config(), tmp_path, "train")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def drop_pixels(path: Path) -> None:
    dataset = dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)


@pytest.mark.parametrize("damage", [cut, drop_pixels])
def test_a_slice_that_is_cut_short_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(write_series(tmp_path)[3])
    with pytest.raises(DataError, match=r"a3\.dcm: its pixels can't be decoded, is it cut short\?") as fault:
        only(tmp_path)
    assert isinstance(fault.value.__cause__, DataError)
    names, told = findings(tmp_path)
    assert names == [NAME] and [fault[:2] for fault in told] == [("unreadable", NAME)]


def test_check_goes_on_without_the_broken_slice(tmp_path: Path) -> None:
    cut(write_series(tmp_path)[0])
    (raw,) = dicom.find(config(), tmp_path, "train")
    scan = dicom.load(config(), raw, report=lambda *fault: None)
    np.testing.assert_array_equal(scan.image[0], HU[1:])
    assert scan.slice_names[0] == f"{NAME}_slice_0002"


def test_a_header_that_is_no_dicom_is_unreadable(tmp_path: Path) -> None:
    path = write_series(tmp_path)[1]
    dataset = dcmread(path)
    dataset.add_new("NumberOfFrames", "IS", "1")
    dataset.save_as(path)
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x001 \x28\x00\x10", b"IS\x02\x001A\x28\x00\x10"))
    with pytest.raises(DataError, match=r"a1\.dcm can't be read as DICOM.*'1A'"):
        dicom.find(config(), tmp_path, "train")
    assert findings(tmp_path)[1][0][0] == "unreadable"


def test_a_position_that_is_no_number_is_unreadable(tmp_path: Path) -> None:
    path = write_series(tmp_path)[1]
    path.write_bytes(path.read_bytes().replace(b"-10.0\\-20.0\\32.5", b"-10.0\\-20.0\\nan "))
    with pytest.raises(DataError, match=r"a1\.dcm can't be read as DICOM.* nan is not finite"):
        dicom.find(config(), tmp_path, "train")


def test_odd_values_are_one_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for path in write_series(tmp_path):
        path.write_bytes(path.read_bytes().replace(uid("a").encode(), b"1.2.x" + uid("a").encode()[5:]))
    dicom.find(config(), tmp_path, "train")
    assert caplog.text.count("pydicom warns of") == 1 and "Invalid value for VR UI" in caplog.text
    assert len(caplog.records) == 1


def test_a_signature_follows_files_and_content_but_not_where_the_root_lies(tmp_path: Path) -> None:
    def signature(root: Path) -> str:
        raw: RawScan = dicom.find(config(), root, "train")[0]
        return raw.signature()

    write_series(tmp_path / "x")
    before = signature(tmp_path / "x")
    shutil.move(tmp_path / "x", tmp_path / "y")
    assert signature(tmp_path / "y") == before
    save(tmp_path / "y" / "a4.dcm", header(z=4), STORED[0])
    assert signature(tmp_path / "y") != before
