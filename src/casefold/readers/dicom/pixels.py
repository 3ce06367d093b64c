"""DICOM pixels: decoded frame by frame, in grey or RGB, then rescaled into one array of the smallest fitting type."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import apply_color_lut, apply_modality_lut, get_decoder, iter_pixels
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from casefold.core import DataError
from casefold.readers.dicom.faults import in_one_line

CHANNELS = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_RCT": 3,
    "YBR_ICT": 3,
    "PALETTE COLOR": 3,
}
JPEG, JPEG_LS, JPEG_2000 = "pylibjpeg pylibjpeg-libjpeg", "pyjpegls", "pylibjpeg pylibjpeg-openjpeg"
PACKAGES = {
    "1.2.840.10008.1.2.4.50": JPEG,
    "1.2.840.10008.1.2.4.51": JPEG,
    "1.2.840.10008.1.2.4.57": JPEG,
    "1.2.840.10008.1.2.4.70": JPEG,
    "1.2.840.10008.1.2.4.80": JPEG_LS,
    "1.2.840.10008.1.2.4.81": JPEG_LS,
    "1.2.840.10008.1.2.4.90": JPEG_2000,
    "1.2.840.10008.1.2.4.91": JPEG_2000,
    "1.2.840.10008.1.2.4.201": JPEG_2000,
    "1.2.840.10008.1.2.4.202": JPEG_2000,
    "1.2.840.10008.1.2.4.203": JPEG_2000,
}
LUT_TAGS = ("ModalityLUTSequence", "PixelRepresentation")


def undecodable(syntax: str) -> str | None:
    """Why a transfer syntax (a UID, or "" where the file has none) can't be decoded here; None where it can."""
    uid = UID(syntax)
    try:
        if not syntax or get_decoder(uid).is_available:
            return None
    except NotImplementedError:
        return f"its transfer syntax {uid.name} ({uid}) is none that pydicom decodes; convert it to an uncompressed one"
    return f"its transfer syntax {uid.name} ({uid}) needs a decoder: pip install {PACKAGES.get(syntax, JPEG)}"


def read_planes(path: Path, frames: Sequence[int], invert: bool = False) -> Iterator[NDArray[Any]]:
    """Frames of a file, (y, x) or (y, x, 3) for RGB, through its Modality LUT if it has one, not yet rescaled.

    Only these frames are decoded. invert: MONOCHROME1 is turned so that high is white. Raises DataError.
    """
    try:
        source, header = _source(path)
        for plane in iter_pixels(source, indices=list(frames), ds_out=header, specific_tags=list(LUT_TAGS)):
            yield _as_seen(plane, header, invert)
    except Exception as e:  # pydicom and its plugins raise anything at all on broken bytes
        raise DataError(
            f"{path}: its pixels can't be decoded, is it cut short? {in_one_line(e)}; copy it again, "
            "or leave its series out by drop_scans"
        ) from e


def _source(path: Path) -> tuple[Path | Dataset, Dataset]:
    """What pydicom decodes a file from, its path wherever it can be read in parts, and where the header will be."""
    try:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    except InvalidDicomError:  # no preamble
        syntax = None
    if syntax not in (None, DeflatedExplicitVRLittleEndian):
        return path, Dataset()
    whole = dcmread(path, force=True)
    if syntax is None:
        implicit, little = whole.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        whole.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return whole, whole


def _as_seen(plane: NDArray[Any], header: Dataset, invert: bool) -> NDArray[Any]:
    if header.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(plane, header))
    if header.PhotometricInterpretation == "PALETTE COLOR":
        return np.asarray(apply_color_lut(plane, header)[..., :3])
    if invert and plane.dtype.kind != "f":
        ends = -1 if plane.dtype.kind == "i" else (1 << int(header.BitsStored)) - 1  # the lowest value + the highest
        plane = (ends - plane.astype(np.int64)).astype(plane.dtype)
    return plane
