"""Every file that pydicom ships: it is read, or refused by name with the reason, whatever plugins are installed."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from casefold.config.datasets import DicomDataset
from casefold.core import DataError, Scan
from casefold.readers import dicom

SHIPPED = Path(pydicom.__file__).parent / "data"
FILES = sorted(
    path.relative_to(SHIPPED).as_posix()
    for path in SHIPPED.rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc")
)
CONFIG = DicomDataset(
    reader="dicom",
    root="shipped",
    classes=("one",),
    case="{case}",
    kinds=("CT", "MR", "CR", "US", "OT", "NM", "RTDOSE", ""),
)


def read(name: str, folder: Path) -> Scan:
    """The scan of one shipped file, alone in a folder."""
    path = SHIPPED / name
    (folder / path.name).symlink_to(path)
    (raw,) = dicom.find(CONFIG, folder, "train")
    return dicom.load(CONFIG, raw)


def test_the_shipped_files_are_there() -> None:
    assert len([name for name in FILES if name.endswith(".dcm")]) > 100


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_file_is_read_or_refused_by_name(name: str, tmp_path: Path) -> None:
    try:
        scan = read(name, tmp_path)
    except DataError as fault:
        _, _, reason = str(fault).rpartition(Path(name).name)
        assert Path(name).name in str(fault) and len(reason) > 20
        return
    header = pydicom.dcmread(SHIPPED / name, stop_before_pixels=True)
    assert scan.image.shape[2:] == (header.Rows, header.Columns)
    assert scan.image.shape[1] == int(header.get("NumberOfFrames") or 1)
    assert scan.image.min() < scan.image.max()


@pytest.mark.parametrize(
    ("name", "shape", "kind", "low", "high", "corner"),
    [
        # stored 128..2191, less 1024; its first pixel is stored as 175
        ("CT_small.dcm", (1, 1, 128, 128), "int16", -896, 1167, -849),
        ("MR_small.dcm", (1, 1, 64, 64), "int16", 127, 2145, 905),
        ("MR_small_RLE.dcm", (1, 1, 64, 64), "int16", 127, 2145, 905),
        ("MR_small_bigendian.dcm", (1, 1, 64, 64), "int16", 127, 2145, 905),
        ("MR_small_implicit.dcm", (1, 1, 64, 64), "int16", 127, 2145, 905),
        ("rtdose.dcm", (1, 15, 10, 10), "uint32", 795000, 1254000, 1249000),
        ("image_dfl.dcm", (1, 1, 512, 512), "uint8", 0, 255, 213),
        ("SC_rgb_small_odd.dcm", (3, 1, 3, 3), "uint8", 52, 176, 166),
        ("dicomdirtests/77654033/CR1/6154", (1, 1, 16, 16), "float32", 1563.896, 2116.568, 1563.896),
    ],
)
def test_values_of_shipped_files(
    name: str, shape: tuple[int, ...], kind: str, low: float, high: float, corner: float, tmp_path: Path
) -> None:
    image = read(f"test_files/{name}", tmp_path).image
    assert (image.shape, image.dtype) == (shape, np.dtype(kind))
    np.testing.assert_allclose([image.min(), image.max(), image[0, 0, 0, 0]], [low, high, corner], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MR_truncated.dcm", "its pixels can't be decoded, is it cut short"),
        ("badVR.dcm", "can't be read as DICOM"),
        ("rtplan.dcm", "RT Plan Storage, without an image"),
        ("rtstruct.dcm", "RT Structure Set Storage, without an image"),
        ("test-SR.dcm", "Comprehensive SR Storage, without an image"),
        ("waveform_ecg.dcm", "12-lead ECG Waveform Storage, without an image"),
        ("liver_1frame.dcm", "the Modality SEG, which `kinds` has not"),
        ("dicomdirtests/98892001/CT2N/6293", "localizers"),
        ("dicomdirtests/DICOMDIR", "Media Storage Directory Storage, without an image"),
        ("zipMR.gz", "not DICOM"),
        ("JPEGLSNearLossless_08.dcm", "has no SeriesInstanceUID"),
    ],
)
def test_why_a_shipped_file_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{Path(name).name}:? .*{reason}"):
        read(f"test_files/{name}", tmp_path)


def test_the_series_of_the_shipped_folder_are_told_apart(tmp_path: Path) -> None:
    folder = SHIPPED / "test_files" / "dicomdirtests" / "98892001"
    config = DicomDataset(reader="dicom", root="x", classes=("one",))
    (raw,) = dicom.find(config, folder, "test", folder)
    scan = dicom.load(config, raw)
    assert (raw.case, raw.name) == ("98890234", "98890234_20010101_5")  # the localizers of CT2N are passed over
    assert scan.image.shape == (1, 5, 16, 16) and scan.grid.spacing_mm is not None
    np.testing.assert_allclose(scan.grid.spacing_mm, (2.5, 0.488281, 0.488281))
