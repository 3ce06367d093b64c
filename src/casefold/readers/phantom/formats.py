"""The phantom in a data set's own format: NIfTI, one file a modality or all in one, DICOM series, RGB images.

The files lie where the config's patterns look for them. The phantom's organs are the first of the config's classes.
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from casefold.config.base import Dataset
from casefold.core import ConfigError
from casefold.files import writing
from casefold.readers.phantom.as_dicom import write_dicom
from casefold.readers.phantom.as_images import write_images
from casefold.readers.phantom.as_nifti import write_nifti
from casefold.readers.phantom.drawn import Drawn, drawn

log = logging.getLogger(__name__)
WRITERS: dict[str, Callable[[Any, Path, Sequence[Drawn]], None]] = {
    "nifti": write_nifti,
    "dicom": write_dicom,
    "images": write_images,
}


def write_phantom(config: Dataset, root: Path, cases: Sequence[int], tests: Sequence[int]) -> None:
    """Draw the training and test cases of these numbers into `root`, unless it is there already.

    Raises ConfigError for a reader whose format the phantom is not written in.
    """
    reader: str = config.reader  # type: ignore[attr-defined]
    if reader not in WRITERS:
        raise ConfigError(f"the phantom is written for the readers {', '.join(WRITERS)}, not for {reader}")
    if root.exists():
        return
    log.info("drawing the phantom for the reader %s into %s", reader, root)
    unfinished = root.with_name(f".{root.name}.part")
    scans = [drawn(number, "train") for number in cases] + [drawn(number, "test") for number in tests]
    with writing(root):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        WRITERS[reader](config, unfinished, scans)
        unfinished.rename(root)
