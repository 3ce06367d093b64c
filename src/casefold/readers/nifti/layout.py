"""Which files make a scan: as dataset.json lists them, by patterns with named parts, or all NIfTI files of a folder."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casefold.config.datasets import NiftiDataset
from casefold.core import DataError
from casefold.files import read_json
from casefold.readers.nifti.grid import SUFFIXES, stem
from casefold.readers.patterns import find_files, part_names


@dataclass(frozen=True)
class ScanFiles:
    """The files that belong to one scan by their names, none opened yet.

    case: None where the path does not say it. images: (modality, file) in the config's order; modality "" where a
    file holds all.
    """

    name: str
    case: str | None
    images: tuple[tuple[str, Path], ...]
    labels: tuple[Path, ...] = ()


def training_files(config: NiftiDataset, root: Path) -> list[ScanFiles]:
    """Every scan of the training part, faulty ones too: without image, without label, with a modality twice."""
    if config.image is None:
        return _listed(root)
    return list(_matching(config, root, config.image, config.label))


def unlabelled_files(config: NiftiDataset, root: Path, folder: Path | None) -> list[ScanFiles]:
    """The scans of the test part, or those in `folder`; none where nothing is there.

    Without `image` in the config every NIfTI file of the folder is a scan. With it, the files in the folder are matched
    against the whole pattern, then without its first folder, then without the second, down to its file name alone, as
    long as {scan} (or {case}) and {modality} are still in it: the first that matches any file is the one that counts.
    So files may lie in the folder as they do below the root, in one folder a case, or all side by side.
    """
    if folder is None and config.test_is_pattern:
        return list(_matching(config, root, config.test, None))
    base = root / config.test if folder is None else folder
    if config.image is None:
        images = [path for path in _entries(base) if path.name.endswith(SUFFIXES) and not path.name.startswith(".")]
        return [_single(path) for path in images] or (_listed_tests(root) if folder is None else [])
    needed = part_names(config.image) & {"modality", _naming_part(config.image)}
    folders = re.split(r"/(?![^{}]*\})", config.image)  # a part's own expression may hold a /
    tails = ["/".join(folders[start:]) for start in range(len(folders))]
    found = (list(_matching(config, base, tail, None)) for tail in tails if needed <= part_names(tail))
    return next((scans for scans in found if scans), [])


def description(root: Path) -> dict[str, Any]:
    """What the Medical Segmentation Decathlon's dataset.json says; raises DataError where there is no such mapping."""
    path = root / "dataset.json"
    try:
        content = read_json(path)
    except FileNotFoundError as e:
        raise DataError(
            f"no {path}; the reader nifti wants the Medical Segmentation Decathlon layout, or `image` and `label` "
            "patterns in the data set's config"
        ) from e
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise DataError(f"{path} is not JSON: {e}") from e
    if not isinstance(content, dict):
        raise DataError(f"{path} should be a mapping, but is a {type(content).__name__}")
    return content


def _listed(root: Path) -> list[ScanFiles]:
    try:
        pairs = [(root / entry["image"], root / entry["label"]) for entry in description(root)["training"]]
    except (KeyError, TypeError) as e:
        raise DataError(f"{root / 'dataset.json'}: training should be a list of {{image, label}}") from e
    return [ScanFiles(stem(image), None, (("", image),), (label,)) for image, label in pairs]


def _listed_tests(root: Path) -> list[ScanFiles]:
    """The test files that dataset.json lists; none where not one of them is there, for then it was not downloaded."""
    if not (root / "dataset.json").is_file():
        return []
    images = [root / entry for entry in description(root).get("test", [])]
    return [_single(path) for path in images] if any(path.is_file() for path in images) else []


def _matching(config: NiftiDataset, base: Path, image: str, label: str | None) -> Iterator[ScanFiles]:
    """The scans below `base` by patterns: files that differ in their modality alone are one scan."""
    naming, order = _naming_part(image), ("", *config.modalities)
    words = "|".join(map(re.escape, config.modalities))  # else {scan}_{modality} would part a_b_t1 after its a
    images: dict[tuple[tuple[str, str], ...], list[tuple[str, Path]]] = {}
    for path, parts in find_files(base, image.replace("{modality}", f"{{modality:{words}}}")):
        modality = parts.pop("modality", "")
        if modality in order:
            images.setdefault(tuple(parts.items()), []).append((modality, path))
    labels: dict[tuple[str, ...], list[Path]] = {}
    shared = sorted(part_names(image) & part_names(label or ""))
    for path, parts in find_files(base, label) if label is not None else ():
        labels.setdefault(tuple(parts[name] for name in shared), []).append(path)
    for key, files in images.items():
        parts = dict(key)
        own = labels.pop(tuple(parts[name] for name in shared), [])
        files.sort(key=lambda file: order.index(file[0]))
        yield ScanFiles(parts[naming], parts.get("case"), tuple(files), tuple(own))
    for values, paths in labels.items():
        parts = dict(zip(shared, values, strict=True))
        yield ScanFiles(parts[naming], parts.get("case"), (), tuple(paths))


def _naming_part(image: str) -> str:
    return "scan" if "scan" in part_names(image) else "case"


def _single(path: Path) -> ScanFiles:
    return ScanFiles(stem(path), None, (("", path),))


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
