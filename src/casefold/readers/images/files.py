"""One image file to an array of its own type; a file that is cut short is refused, never filled up with grey.

PNG, JPEG, TIFF, BMP and GIF go through Pillow, 16-bit colour through OpenCV, DICOM through pydicom.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casefold.core import DataError

DICOM = (".dcm", ".dicom")
GREY_MODES = {"1": "uint8", "L": "uint8", "I;16": "uint16", "I;16B": "uint16", "I": "int32", "F": "float32"}
COLOUR_MODES = ("RGB", "RGBA", "LA", "P", "CMYK", "YCbCr")
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, KeyError, Image.DecompressionBombError)


class Header(NamedTuple):
    """What a file says of its image before any pixel is read; type: as numpy calls it."""

    height: int
    width: int
    type: str


def read_image(path: Path) -> NDArray[Any]:
    """The pixels, grey (y, x) or colour (y, x, 3) in R, G, B order, of the file's own type.

    A palette is applied, EXIF's orientation is not; an opaque alpha channel is left off. DICOM: MONOCHROME1 is turned
    so that more is brighter, a rescale is applied. Raises DataError on a file that is broken, cut short, of several
    frames or with transparent pixels.
    """
    if path.suffix.lower() in DICOM:
        return _read_dicom(path)
    with _opened(path) as (image, deep):
        if image.mode in GREY_MODES:
            return _grey(image)
        if deep:
            return _deep_colour(path)
        if image.mode in ("RGBA", "LA"):
            return _without_alpha(path, np.asarray(image))
        image.info.pop("transparency", None)  # of a palette: its colours stand all the same
        return np.asarray(image.convert("RGB"))


def read_labels(path: Path) -> NDArray[Any]:
    """A label image as it counts: grey levels or a palette's indices (y, x), or colours (y, x, 3).

    A GIF's palette is applied, because writers of GIF number colours as they please.
    """
    if path.suffix.lower() not in DICOM:
        with _opened(path) as (image, _):
            if image.mode == "P" and image.format != "GIF":
                return np.asarray(image)
    pixels = read_image(path)
    grey = pixels if pixels.ndim == 2 else as_grey(pixels)
    return pixels if grey is None else grey


def as_grey(pixels: NDArray[Any]) -> NDArray[Any] | None:
    """One channel (y, x) of an image whose channels are all equal, else None."""
    if pixels.ndim == 2:
        return pixels
    equal = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    return np.ascontiguousarray(pixels[..., 0]) if equal else None


def read_header(path: Path) -> Header:
    """Size and type from the header alone; raises DataError on a file that is no image."""
    if path.suffix.lower() in DICOM:
        header = _dicom_header(path)
        if not header.get("Rows") or not header.get("Columns"):
            raise DataError(f"{path} is DICOM without an image; move it away, or make the pattern narrower")
        return Header(int(header.Rows), int(header.Columns), f"uint{header.get('BitsAllocated') or 16}")
    with _opened(path, load=False) as (image, deep):
        kind = "uint16" if deep else GREY_MODES.get(image.mode, "uint8")
        return Header(image.height, image.width, kind)


@contextmanager
def _opened(path: Path, load: bool = True) -> Iterator[tuple[Image.Image, bool]]:
    """An image of one frame, and whether it is colour of 16 bits a channel, of which Pillow would drop 8."""
    Image.MAX_IMAGE_PIXELS = None  # the limit guards servers against uploads; a slide may be larger
    try:
        with Image.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise DataError(f"{path} holds {image.n_frames} frames; write each to a file of its own")  # type: ignore[attr-defined]
            if image.mode not in (*GREY_MODES, *COLOUR_MODES):
                raise DataError(f"{path} has pixels of the kind {image.mode}; write it as a grey or RGB image")
            deep = image.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile[3]) for tile in image.tile)
            if load:
                image.load()  # Pillow refuses a file that is cut short; OpenCV would fill it up with grey
            yield image, deep
    except BROKEN as e:
        raise _unreadable(path, e) from e


def _grey(image: Image.Image) -> NDArray[Any]:
    pixels = np.asarray(image)
    if image.mode == "1":
        return pixels.astype(np.uint8)
    if image.mode == "I" and image.format == "PNG":  # what Pillow before 11 makes of 16 bits
        return pixels.astype(np.uint16)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _deep_colour(path: Path) -> NDArray[Any]:
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.dtype != np.uint16:
        raise DataError(f"{path} can't be read as an image of 16 bits a channel; replace it")
    if pixels.shape[2] == 4:
        pixels = np.dstack([pixels[..., 2::-1], pixels[..., 3]])
        return _without_alpha(path, pixels)
    return np.ascontiguousarray(pixels[..., ::-1])


def _without_alpha(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    if (pixels[..., -1] != np.iinfo(pixels.dtype).max).any():
        raise DataError(f"{path} has transparent pixels, whose colour is anybody's guess; write it without alpha")
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3])


def _read_dicom(path: Path) -> NDArray[Any]:
    from casefold.readers.dicom.pixels import read_planes
    from casefold.readers.dicom.rescale import stack

    header = _dicom_header(path)
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise DataError(f"{path} holds {header.NumberOfFrames} frames; volumes are for the reader dicom")
    invert = header.get("PhotometricInterpretation") == "MONOCHROME1"
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    scale = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    channels = stack(list(read_planes(path, [0], invert)), [scale])[:, 0]
    return np.ascontiguousarray(channels[0] if len(channels) == 1 else channels.transpose(1, 2, 0))


def _dicom_header(path: Path) -> Any:
    from pydicom import dcmread

    try:
        return dcmread(path, stop_before_pixels=True)
    except Exception as e:  # pydicom raises anything at all on broken bytes
        raise _unreadable(path, e) from e


def _unreadable(path: Path, cause: Exception) -> DataError:
    return DataError(f"{path} can't be read as an image, is it cut short? {type(cause).__name__}: {cause}")
