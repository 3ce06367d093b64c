"""Which experiments a data set starts with, by its scans' shapes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casefold.config.load import load_experiment
from casefold.core import Grid, Scan
from casefold.starter.members import Looked, look, starter_ensemble

CONFIGS = Path(__file__).parents[2] / "configs"


def looked(shape: tuple[int, int, int], anisotropy: float | None = None, empty_share: float = 0.0) -> Looked:
    return Looked(shape, anisotropy, empty_share, "uint8", 1)


@pytest.mark.parametrize(
    ("seen", "members"),
    [
        (looked((36, 50, 35)), ["seg25d/start_25d", "seg3d/start_3d"]),
        (looked((30, 256, 256)), ["seg25d/start_25d", "seg3d/start_3d_flat"]),
        (looked((144, 266, 266), 2.0), ["seg25d/start_25d", "seg3d/start_3d_large"]),
        (looked((144, 266, 266), 2.5), ["seg25d/start_25d", "seg3d/start_3d_flat"]),
        (looked((30, 256, 256), None, 0.4), ["cls/start_cls", "seg25d/start_25d", "seg3d/start_3d_flat"]),
        (None, ["seg25d/start_25d"]),
    ],
)
def test_volumes_get_members_of_their_shape(seen: Looked | None, members: list[str]) -> None:
    fields = starter_ensemble("x", seen, flat=False)
    assert fields["members"].value == members
    assert ("gate" in fields) == ("cls/start_cls" in members)


@pytest.mark.parametrize("seen", [None, looked((1, 300, 400), None, 0.9)])
def test_images_get_one_2d_member(seen: Looked | None) -> None:
    assert {name: finding.value for name, finding in starter_ensemble("x", seen, flat=True).items()} == {
        "name": "x",
        "dataset": "x",
        "members": ["seg25d/start_2d"],
    }


def test_the_reasons_stand_beside_the_members() -> None:
    why = starter_ensemble("x", looked((30, 256, 256), None, 0.65), flat=False)["members"].why.splitlines()
    assert why[0] == "cls/start_cls: a gate, for 65% of the slices looked at hold no class"
    assert why[2].endswith("patches of few slices, for scans of 30 x 256 x 256")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/start_*.yaml")), ids=lambda path: path.stem)
def test_every_starter_loads(path: Path) -> None:
    assert load_experiment(CONFIGS, f"{path.parent.name}/{path.stem}").name == path.stem


def test_all_that_are_named_are_there() -> None:
    there = {f"{path.parent.name}/{path.stem}" for path in CONFIGS.glob("*/start_*.yaml")}
    named = [
        starter_ensemble("x", seen, flat)["members"].value
        for flat in (True, False)
        for seen in (looked((9, 9, 9), 1, 1), looked((9, 300, 9)), looked((99, 300, 9)))
    ]
    assert {member for members in named for member in members} == there


def scan(depth: int, filled: list[int], **grid: Any) -> Scan:
    masks = np.zeros((depth, 4, 6), np.uint8)
    masks[filled] = 1
    names = tuple(str(z) for z in range(depth))
    return Scan("a", "a", np.zeros((2, depth, 4, 6), np.int16), Grid((depth, 4, 6), **grid), ("x",), names, masks)


def test_what_scans_look_like() -> None:
    scans = [scan(3, [0], spacing_mm=(6.0, 2.0, 3.0)), scan(5, [1, 2], spacing_mm=(4.0, 4.0, 4.0)), scan(4, [])]
    assert look(scans) == Looked((4, 4, 6), 2.0, 0.75, "int16", 2)
