"""A team mate's maps as his files hold them, brought to uint8 and to the data set's order of classes, or refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from casefold.config.external import Entry, External, Manifest
from casefold.config.load import read_manifest
from casefold.core import DataError, Prediction, Scan, quantise
from casefold.files import hash_file, hash_value
from casefold.folds import natural_key
from casefold.readers.images.files import as_grey, read_image

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Outside:
    """A member made elsewhere. classes: the data set's, in its order."""

    config: External
    folder: Path
    manifest: Manifest
    classes: tuple[str, ...]

    @property
    def manifest_path(self) -> Path:
        """The file that says what is what."""
        return self.folder / "manifest.json"

    def path(self, entry: Entry) -> Path:
        """An entry's file, or its folder of PNGs."""
        return self.folder / entry.file

    def digest(self, entry: Entry) -> str:
        """Of all that an entry's file or folder holds."""
        path = self.path(entry)
        if path.is_file():
            return hash_file(path)
        return hash_value({str(file.relative_to(path)): hash_file(file) for file in path.rglob("*") if file.is_file()})


def open_outside(config: External, folder: Path, classes: tuple[str, ...]) -> Outside:
    """Read a manifest and check all of it that needs no scan; raises DataError naming what is wrong."""
    outside = Outside(config, folder, read_manifest(folder / "manifest.json"), classes)
    path, manifest = outside.manifest_path, outside.manifest
    if sorted(manifest.classes) != sorted(classes):
        raise DataError(f"{path}: classes should be {sorted(classes)} in any order, but are {sorted(manifest.classes)}")
    for what, entries in (("oof", manifest.oof), ("test", manifest.test)):
        for field in ("scan", "file"):
            words = [getattr(entry, field) for entry in entries]
            twice = sorted({word for word in words if words.count(word) > 1}, key=natural_key)
            if twice:
                raise DataError(f"{path}: {what} names the {field} {twice[0]} more than once (so it does {twice[1:5]})")
        for entry in entries:
            if Path(entry.file).is_absolute() or ".." in Path(entry.file).parts:
                raise DataError(f"{path}: {entry.file} should lie below the manifest's folder")
        missing = [entry.file for entry in entries if not outside.path(entry).exists()]
        if missing:
            raise DataError(f"{path}: {len(missing)} files of {what} are not there, the first are {missing[:5]}")
    return outside


def read_outside(outside: Outside, entry: Entry, shape: tuple[int, int, int]) -> Arrays:
    """`maps` uint8 (class, z, y, x), and `presence` (class, z) where the file has it; shape: the scan's own grid.

    Raises DataError naming the file where what it holds is not on that grid, or no probabilities.
    """
    path = outside.path(entry)
    held = _read_npz(path) if outside.config.format == "npz" else _read_pngs(path, outside.manifest.classes)
    order = [outside.manifest.classes.index(name) for name in outside.classes]
    found = {}
    for name, wanted in (("maps", (len(order), *shape)), ("presence", (len(order), shape[0]))):
        if name in held:
            array = held[name]
            if array.shape != wanted:
                swapped = ", the same axes in another order" if sorted(array.shape) == sorted(wanted) else ""
                axes = "(class, z, y, x)" if name == "maps" else "(class, z)"
                raise DataError(
                    f"{path}: {name} should be {axes} = {wanted} for scan {entry.scan}, but are {array.shape}{swapped}"
                )
            found[name] = np.stack([_as_bytes(array[index], f"{path}: {name}") for index in order])
    return found


def predict_outside(outside: Outside, scan: Scan) -> Prediction | None:
    """What the member says of a test scan; None where it says nothing and its weight is to be shared out."""
    entry = next((entry for entry in outside.manifest.test if entry.scan == scan.name), None)
    if entry is None:
        if outside.config.missing_test == "share":
            return None
        raise DataError(
            f"{outside.config.name} has no maps of scan {scan.name} among the test of {outside.manifest_path}; add "
            "them, or let the other members do without: `missing_test: share`"
        )
    arrays = read_outside(outside, entry, scan.grid.shape)
    return Prediction(
        case=scan.case,
        scan=scan.name,
        classes=outside.classes,
        shape=scan.grid.shape,
        member=outside.config.name,
        fold="mean",
        maps=arrays["maps"],
        presence=arrays.get("presence"),
    )


def _as_bytes(one: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """A class's probabilities as uint8, rint(255 p)."""
    if one.dtype == np.uint8:
        return one
    if one.dtype == np.uint16:
        return quantise((one / np.float32(65535)).astype(np.float32))
    if one.dtype.kind != "f":
        raise DataError(f"{where} are {one.dtype}; wanted floats 0..1, uint8 0..255, or uint16 0..65535")
    if one.size and not (one.min() >= 0 and one.max() <= 1):
        raise DataError(
            f"{where} should be probabilities in 0..1, but span {one.min()} to {one.max()}; of logits, give the "
            "sigmoid, and of bytes, uint8"
        )
    return quantise(one.astype(np.float32))


def _read_npz(path: Path) -> Arrays:
    try:
        with np.load(path) as content:
            held = {name: content[name] for name in ("maps", "presence") if name in content}
            names = sorted(content)
    except (OSError, ValueError, EOFError, TypeError, BadZipFile, ZlibError) as e:
        raise DataError(f"{path} can't be read as .npz ({type(e).__name__}: {e}); write it again") from e
    if "maps" not in held:
        raise DataError(f"{path} should hold an array called maps, but holds {names}")
    return held


def _read_pngs(path: Path, classes: tuple[str, ...]) -> Arrays:
    volumes = []
    for name in classes:
        files = sorted((path / name).glob("*.png"), key=lambda file: natural_key(file.stem))
        if not files:
            raise DataError(f"{path / name} should be a folder with a PNG a slice, but has none")
        planes = [as_grey(read_image(file)) for file in files]
        for file, plane in zip(files, planes, strict=True):
            if plane is None:
                raise DataError(f"{file} is a colour image; wanted grey, a PNG a class and slice")
            if planes[0] is not None and (plane.shape, plane.dtype) != (planes[0].shape, planes[0].dtype):
                raise DataError(
                    f"{file} is {plane.dtype} of {plane.shape}, but {files[0].name} beside it is {planes[0].dtype} of "
                    f"{planes[0].shape} (height, width)"
                )
        volumes.append(np.stack([plane for plane in planes if plane is not None]))
    if len({(volume.shape, volume.dtype) for volume in volumes}) > 1:
        found = {name: (str(one.dtype), *one.shape) for name, one in zip(classes, volumes, strict=True)}
        raise DataError(f"{path}: the classes should have as many slices, of one size and type, but have {found}")
    return {"maps": np.stack(volumes)}
