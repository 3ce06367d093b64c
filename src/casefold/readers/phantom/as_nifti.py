"""The phantom as NIfTI: by the config's patterns, or in the Medical Segmentation Decathlon layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from casefold.config.datasets import NiftiDataset
from casefold.core import ConfigError
from casefold.files import write_json
from casefold.readers.patterns import fill
from casefold.readers.phantom.drawn import Drawn

SUFFIX = ".nii.gz"
LACKING = 1  # the training scan, and the modality, that is left out where the config says what then


def write_nifti(config: NiftiDataset, root: Path, scans: Sequence[Drawn]) -> None:
    """Write all scans, voxels of 1 mm; where the config has a word for a missing modality, one scan lacks one."""
    if config.image is None:
        _write_decathlon(config, root, scans)
        return
    if config.label is None:
        raise ConfigError("the phantom has labels, and the config no pattern for them; give `label`")
    values = sorted({value for own in config.labels.values() for value in own})
    for place, scan in enumerate(scans):
        pattern = config.test if scan.part == "test" and config.test_is_pattern else config.image
        for number, modality in enumerate(config.modalities or ("",)):
            if not (place == number == LACKING and config.missing_modality != "refuse"):
                _save(root, _named(pattern, scan, modality), _modality(scan.image, number))
        if scan.part == "train":
            _save(root, _named(config.label, scan), scan.painted(values))


def _write_decathlon(config: NiftiDataset, root: Path, scans: Sequence[Drawn]) -> None:
    """imagesTr, labelsTr and imagesTs, and the dataset.json that lists them."""
    names = dict(enumerate(config.classes, start=1))
    for scan in scans:
        if scan.part == "train":
            _save(root, f"imagesTr/{scan.case}{SUFFIX}", _modality(scan.image, 0))
            _save(root, f"labelsTr/{scan.case}{SUFFIX}", scan.painted(list(names)))
        else:
            _save(root, f"{config.test}/{scan.case}{SUFFIX}", _modality(scan.image, 0))
    content: dict[str, Any] = {
        "name": "phantom",
        "modality": {"0": "MR"},
        "labels": {"0": "background"} | {str(value): name for value, name in names.items()},
        "training": [
            {"image": f"./imagesTr/{scan.case}{SUFFIX}", "label": f"./labelsTr/{scan.case}{SUFFIX}"}
            for scan in scans
            if scan.part == "train"
        ],
        "test": [f"./{config.test}/{scan.case}{SUFFIX}" for scan in scans if scan.part == "test"],
    }
    write_json(root / "dataset.json", content)


def _named(pattern: str, scan: Drawn, modality: str = "") -> str:
    """The file of a pattern; what is left open in a file name's end, as in `.nii*`, is compression."""
    return fill(pattern, {"case": scan.case, "scan": scan.case, "modality": modality}).replace(".nii*", SUFFIX)


def _modality(image: NDArray[np.uint16], number: int) -> NDArray[np.int16]:
    """The same anatomy as another sequence would show it: brightness by another power, every second one reversed."""
    unit = image / max(1, image.max())
    shown = unit ** (1 + 0.3 * number)
    shown = np.where(image > 0, 1.05 - shown, 0) if number % 2 else shown
    return (1000 * shown).astype(np.int16)


def _save(root: Path, name: str, volume: NDArray[Any]) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(volume.transpose()), np.eye(4)), path)
