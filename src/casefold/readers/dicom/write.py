"""Predictions back beside a DICOM series: a label NIfTI on its grid, or a segmentation object that refers to it."""

import gzip
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import generate_uid

from casefold import __version__
from casefold.core import DataError, Grid
from casefold.files import hash_bytes, write_bytes
from casefold.readers.dicom.faults import quiet
from casefold.readers.dicom.series import Series

SERIES_NUMBER = 1000  # far from those that scanners give
SQUARE = 1e-6  # cosines between axes below which a qform says the same as the sform


def write_label_nifti(labels: NDArray[np.integer], grid: Grid, out: Path) -> None:
    """Labels (z, y, x) as NIfTI on the series' own axes and affine; without an affine its codes are 0 (unknown)."""
    image = nib.Nifti1Image(np.ascontiguousarray(labels.transpose()), None)
    if grid.affine is not None:
        affine = np.array(grid.affine)
        axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        image.set_sform(affine, "scanner")
        if np.abs(axes.T @ axes - np.eye(3)).max() < SQUARE:  # a qform can't hold the shear of a tilted gantry
            image.set_qform(affine, "scanner")
        image.header.set_xyzt_units("mm")
    write_bytes(out, gzip.compress(image.to_bytes(), mtime=0))


def write_segmentation(
    masks: NDArray[np.bool_], classes: Sequence[str], series: Series, sources: Sequence[Path], out: Path
) -> None:
    """Masks (class, z, y, x) as a binary DICOM segmentation object, a segment a class, slices without masks left out.

    It refers to the series' own images. The same masks of the same series give the same UIDs. Segments are coded as
    "Tissue", since a class is a word and no code. Raises DataError where the series lacks what the object wants.
    """
    import highdicom  # takes two seconds, and only this function wants it
    from pydicom.sr.codedict import codes

    files = [sources[index] for index in dict.fromkeys(frame.file for frame in series.frames)]
    key = [series.uid, *classes, hash_bytes(np.packbits(masks).tobytes(), str(masks.shape).encode())]
    model = highdicom.AlgorithmIdentificationSequence("casefold", codes.DCM.ArtificialIntelligence, __version__)
    segments = [
        highdicom.seg.SegmentDescription(
            number, name, codes.SCT.Tissue, codes.SCT.Tissue, highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC, model
        )
        for number, name in enumerate(classes, start=1)
    ]
    try:
        with quiet(out.name):
            headers = [dcmread(path, stop_before_pixels=True, force=True) for path in files]
            frames = np.moveaxis(masks, 0, -1).astype(np.uint8)
            if len(files) < len(series.frames):  # a multi-frame file: highdicom wants all its frames, in its order
                stacked = np.zeros((int(headers[0].NumberOfFrames), *frames.shape[1:]), np.uint8)
                stacked[[frame.number for frame in series.frames]] = frames
                frames = stacked
            segmentation = highdicom.seg.Segmentation(
                headers,
                frames,
                highdicom.seg.SegmentationTypeValues.BINARY,
                segments,
                series_instance_uid=generate_uid(entropy_srcs=[*key, "series"]),
                series_number=SERIES_NUMBER,
                sop_instance_uid=generate_uid(entropy_srcs=[*key, "object"]),
                instance_number=1,
                manufacturer="casefold",
                manufacturer_model_name="casefold",
                software_versions=__version__,
                device_serial_number="0",
            )
            stream = BytesIO()
            segmentation.save_as(stream)
    except Exception as e:  # highdicom raises anything at all where a source lacks an element
        raise DataError(
            f"no segmentation object can refer to the series {series.uid} of {files[0]}: {type(e).__name__}: {e}; "
            "write predictions: nifti"
        ) from e
    write_bytes(out, stream.getvalue())
