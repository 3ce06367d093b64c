"""DICOM series written by the tests: 4 slices of 3 rows and 5 columns, 2.5 mm apart, axial, of known values."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
STEP_MM = 2.5
DEPTH, ROWS, COLUMNS = 4, 3, 5
STORED = (np.arange(DEPTH * ROWS * COLUMNS, dtype=np.int16) * 10).reshape(DEPTH, ROWS, COLUMNS)
HU = STORED - 1024


def uid(*words: object) -> str:
    """The same UID for the same words."""
    return str(generate_uid(entropy_srcs=[str(word) for word in words]))


def header(series: str = "a", z: int = 0, **changes: Any) -> Dataset:
    """Slice z of an axial CT series of case `p1`; `changes` are elements, None deletes one."""
    elements = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": uid(series, z),
        "StudyInstanceUID": uid("study"),
        "SeriesInstanceUID": uid(series),
        "FrameOfReferenceUID": uid("frame of reference"),
        "PatientID": "p1",
        "PatientName": "Doe^Jane",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyID": "",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "StudyDate": "20200102",
        "StudyTime": "",
        "Manufacturer": "toy",
        "PositionReferenceIndicator": "",
        "Modality": "CT",
        "SeriesNumber": 3,
        "SeriesDescription": "axial 2.5",
        "InstanceNumber": z + 1,
        "SliceThickness": 7.0,  # wrong, and no reader should look at it
        "ImageOrientationPatient": list(AXIAL),
        "ImagePositionPatient": [-10.0, -20.0, 30.0 + STEP_MM * z],
        "PixelSpacing": [0.75, 0.5],
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        **changes,
    }
    dataset = Dataset()
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def save(path: Path, dataset: Dataset, pixels: NDArray[Any], syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a data set with its pixels, (y, x), (frame, y, x) or (y, x, 3), in a transfer syntax."""
    colour = pixels.ndim == 3 and pixels.shape[2] == 3 and "NumberOfFrames" not in dataset
    bits = pixels.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = dataset.get("PhotometricInterpretation", "RGB" if colour else "MONOCHROME2")
    dataset.BitsAllocated, dataset.BitsStored = bits, dataset.get("BitsStored", bits)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(
        path,
        enforce_file_format=True,
        little_endian=None if order == "<" else False,
        implicit_vr=None if order == "<" else False,
    )
    return path


def write_series(
    folder: Path,
    series: str = "a",
    stored: NDArray[Any] = STORED,
    syntax: str = ExplicitVRLittleEndian,
    **changes: Any,
) -> list[Path]:
    """A whole series, `<series><z>.dcm` in a folder; gives the files in the order of z."""
    return [
        save(folder / f"{series}{z}.dcm", header(series, z, **changes), plane, syntax) for z, plane in enumerate(stored)
    ]


def write_multiframe(path: Path, order: tuple[int, ...] = (2, 0, 3, 1), **changes: Any) -> Path:
    """One enhanced file of the same 4 slices; frame i is slice order[i]."""
    dataset = header("m", 0, SOPClassUID=EnhancedCTImageStorage, **changes)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
        "SliceThickness",
    ):
        delattr(dataset, keyword)
    shared = Dataset()
    shared.PlaneOrientationSequence = Items([_item(ImageOrientationPatient=list(AXIAL))])
    shared.PixelMeasuresSequence = Items([_item(PixelSpacing=[0.75, 0.5], SliceThickness=7.0)])
    shared.PixelValueTransformationSequence = Items([_item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")])
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for z in order:
        frame = Dataset()
        frame.PlanePositionSequence = Items([_item(ImagePositionPatient=[-10.0, -20.0, 30.0 + STEP_MM * z])])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = Items(frames)
    dataset.NumberOfFrames = len(order)
    return save(path, dataset, STORED[list(order)])


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
