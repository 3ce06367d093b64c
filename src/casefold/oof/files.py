"""Prediction files: one a scan, most of which is 0, so a map is kept as where it is not 0 and what stands there.

An .npz of `header` (JSON in UTF-8, with `schema`), `presence`, and for class c `where_c`, a bit a voxel, and
`values_c`, the voxels above 0 in order, both deflated. That is smaller than deflated maps and read faster, for the long
runs of zeros are an eighth as long. A class, or the header alone, is read without the rest.
"""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from casefold.core import DataError, Prediction
from casefold.files import atomic

SCHEMA = 2
LEVEL = 6  # of zlib


def write_prediction(prediction: Prediction, path: Path) -> None:
    """Write a prediction, atomically."""
    plain = {name: value for name, value in vars(prediction).items() if name not in ("maps", "presence")}
    arrays = {"header": np.frombuffer(json.dumps({"schema": SCHEMA, **plain}).encode(), np.uint8)}
    if prediction.presence is not None:
        arrays["presence"] = prediction.presence
    for index, one in enumerate(() if prediction.maps is None else prediction.maps):
        inside = one > 0
        arrays[f"where_{index}"] = _deflated(np.packbits(inside))
        arrays[f"values_{index}"] = _deflated(one[inside])
    with atomic(path) as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def read_header(path: Path) -> dict[str, Any]:
    """All but the arrays of a prediction file."""
    with _open(path) as (header, _):
        return header


def read_prediction(path: Path) -> Prediction:
    """One prediction file; raises DataError where it can't be read or is of another version."""
    with _open(path) as (header, content):
        fields = header | {"classes": tuple(header["classes"]), "shape": tuple(header["shape"])}
        presence = content["presence"] if "presence" in content else None
        maps = None
        if "where_0" in content:
            maps = np.zeros((len(fields["classes"]), *fields["shape"]), np.uint8)
            for index, one in enumerate(maps):
                _fill(one, content, index)
    return Prediction(**fields, maps=maps, presence=presence)


def read_map(path: Path, name: str) -> NDArray[np.uint8]:
    """The map (z, y, x) of one class, without unpacking the others; raises DataError where the file has none."""
    with _open(path) as (header, content):
        if name not in header["classes"] or "where_0" not in content:
            held = header["classes"] if "where_0" in content else "presence alone"
            raise DataError(f"prediction {path} has no map of {name}; it holds {held}")
        one = np.zeros(header["shape"], np.uint8)
        _fill(one, content, header["classes"].index(name))
    return one


def _deflated(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.frombuffer(zlib.compress(array.tobytes(), LEVEL), np.uint8)


def _fill(one: NDArray[np.uint8], content: Any, index: int) -> None:
    """Set what a file holds of a class in a map of zeros."""
    where = np.frombuffer(zlib.decompress(content[f"where_{index}"]), np.uint8)
    values = np.frombuffer(zlib.decompress(content[f"values_{index}"]), np.uint8)
    if len(where) != -(-prod(one.shape) // 8):
        raise ValueError(f"{len(where)} bytes of bits for a shape of {one.shape}")
    inside = np.unpackbits(where, count=one.size).view(np.bool_)
    one.reshape(-1)[inside] = values


@contextmanager
def _open(path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    """The header and the arrays, each of which is read when it is asked for."""
    try:
        with np.load(path) as content:
            header = json.loads(content["header"].tobytes())
            version = header.pop("schema", None)
            if version != SCHEMA:
                raise DataError(
                    f"prediction {path} has schema {version}, this casefold reads schema {SCHEMA}; remove it, and the "
                    "same command makes it again"
                )
            yield header, content
    except (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile, zlib.error) as e:
        raise DataError(f"prediction {path} can't be read ({type(e).__name__}: {e}); make it again") from e
