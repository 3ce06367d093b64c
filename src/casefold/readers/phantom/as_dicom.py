"""The phantom as DICOM: a folder of one series a case, and the labels beside as the config wants them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from casefold.config.datasets import DicomDataset
from casefold.config.masks import NiftiLabels, PngLabels
from casefold.core import ConfigError
from casefold.readers import RawScan
from casefold.readers import dicom as reader
from casefold.readers.dicom.labels import label_values
from casefold.readers.dicom.write import write_label_nifti
from casefold.readers.patterns import fill
from casefold.readers.phantom.anatomy import HEIGHT_MM, WIDTH_MM
from casefold.readers.phantom.drawn import Drawn

STORAGE = {"CT": CTImageStorage, "MR": MRImageStorage}


def write_dicom(config: DicomDataset, root: Path, scans: Sequence[Drawn]) -> None:
    """Write all series, then, by the names that the reader has for them, the labels of the training part."""
    if not isinstance(config.masks, NiftiLabels | PngLabels):
        raise ConfigError("the phantom's labels for DICOM are written as nifti or pngs; say so in `masks`")
    for scan in scans:
        where = root / (config.train if scan.part == "train" else config.test) / scan.case
        for z, plane in enumerate(scan.image):
            _save(where / f"{z:04d}.dcm", _header(config, scan, z), plane)
    by_case = {scan.case: scan for scan in scans}
    for raw in reader.find(config.model_copy(update={"masks": None}), root, "train"):
        _write_labels(config, config.masks, root, raw, by_case[raw.case].painted(list(label_values(config).values())))


def _write_labels(
    config: DicomDataset, masks: NiftiLabels | PngLabels, root: Path, raw: RawScan, labels: NDArray[np.uint8]
) -> None:
    series = raw.details["series"]
    path = fill(masks.pattern, {"case": raw.case, "scan": raw.name, "series": series.uid})
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    if isinstance(masks, NiftiLabels):
        write_label_nifti(labels, series.grid, root / path)
        return
    for z, plane in enumerate(labels):
        cv2.imwrite(str(root / path.replace("*", f"{z:04d}")), plane)


def _header(config: DicomDataset, scan: Drawn, z: int) -> Dataset:
    """Slice z of an axial series, the foot first."""
    depth, _, side = scan.image.shape
    kind = "MR" if "MR" in config.kinds else "CT"
    pixel_mm, step_mm = WIDTH_MM / side, HEIGHT_MM / depth
    elements: dict[str, Any] = {
        "SOPClassUID": STORAGE[kind],
        "SOPInstanceUID": _uid(scan.case, z),
        "StudyInstanceUID": _uid(scan.case, "study"),
        "SeriesInstanceUID": _uid(scan.case, "series"),
        "FrameOfReferenceUID": _uid(scan.case, "frame of reference"),
        "PatientID": scan.case,
        "PatientName": scan.case,
        "StudyID": "1",
        "StudyDate": "20200102",
        "Modality": kind,
        "SeriesNumber": 1,
        "SeriesDescription": "phantom",
        "InstanceNumber": z + 1,
        "SliceThickness": round(step_mm, 4),
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, round(z * step_mm, 4)],
        "PixelSpacing": [round(pixel_mm, 4)] * 2,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
    }
    header = Dataset()
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return header


def _save(path: Path, header: Dataset, plane: NDArray[np.uint16]) -> None:
    header.Rows, header.Columns = plane.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    header.PixelData = plane.astype("<u2").tobytes()
    header["PixelData"].VR = "OW"
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


def _uid(*words: object) -> str:
    return str(generate_uid(entropy_srcs=["phantom", *map(str, words)]))
