"""Draws one scan of an abdomen that never was: organs with their masks, what lies around them, and an MR's faults.

Lengths are in mm, places are (x, y, z): x to the patient's left, y to the back, z from foot to head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

CLASSES = ("large_bowel", "small_bowel", "stomach")
HEIGHT_MM = 400.0  # what the longest scan covers along z
WIDTH_MM = 346.0  # what the smallest side of a slice covers
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Level = float | NDArray[np.floating[Any]]

# x, y, z of points along a tube, and its radius there
COLON = (
    (-96, 14, 122, 17), (-98, 10, 160, 19), (-90, -8, 188, 18), (-48, -52, 190, 16), (2, -60, 182, 16),
    (50, -54, 192, 16), (94, 4, 222, 17), (100, 18, 188, 17), (98, 20, 122, 16),
)  # fmt: skip
STOMACH = ((60, 22, 232, 30), (54, -8, 218, 29), (38, -34, 206, 23), (4, -36, 203, 16))
BOWEL_BOX = ((-68, -50, 124), (68, 14, 178))
BOWEL_POINTS = 11
BOWEL_RADIUS = 13.0
LABEL_FLOOR_MM = 142.0  # where labels that are cut off begin


@dataclass(frozen=True)
class Drawing:
    """image: uint16 (z, y, x). organs: bool (class, z, y, x), what is there. labels: what was drawn of it."""

    image: NDArray[np.uint16]
    organs: Bools
    labels: Bools


def draw(
    seed: int, case: int, day: int, shape: tuple[int, int, int], *, pixel_mm: float, span: int, scale: float, cut: bool
) -> Drawing:
    """One scan: a case is an anatomy, a day moves it a little and fills it anew.

    shape: (z, y, x). span: slices that HEIGHT_MM would have; fewer are its middle. scale: the brightest tissue's value.
    cut: the labels stop short of the foot end, though the organs go on.
    """
    anatomy, moment = np.random.default_rng([seed, 1, case]), np.random.default_rng([seed, 2, case, day])
    at = _places(shape, pixel_mm, span)
    floor = at[2] >= LABEL_FLOOR_MM
    at = _warp(_warp(_move(at, moment), anatomy, 6.0), moment, 3.0)
    body, organs, value = _paint(at, anatomy, moment)
    image = _measure(value, body, scale, moment)
    return Drawing(image, organs, organs & floor if cut else organs)


def _places(shape: tuple[int, int, int], pixel_mm: float, span: int) -> Floats:
    """The place of every voxel, (3, z, y, x)."""
    z, y, x = (np.arange(count, dtype=np.float32) - (count - 1) / 2 for count in shape)
    z = (z + span / 2) * (HEIGHT_MM / span)
    grid = np.meshgrid(z, y * pixel_mm, x * pixel_mm, indexing="ij")
    return np.stack(grid[::-1]).astype(np.float32)


def _move(at: Floats, rng: np.random.Generator) -> Floats:
    """Turn a little about z, shift and stretch."""
    angle = rng.normal(0, 0.03)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turn *= rng.uniform(0.97, 1.03, (1, 3))
    centre = np.array([0, 0, HEIGHT_MM / 2])[:, None]
    flat: NDArray[np.float64] = turn @ (at.reshape(3, -1) - centre) + centre + rng.normal(0, 3.5, (3, 1))
    return flat.reshape(at.shape).astype(np.float32)


def _warp(at: Floats, rng: np.random.Generator, size_mm: float) -> Floats:
    """A few long waves: smooth and without folds, so that what was in one piece stays so."""
    moved = at.copy()
    for _ in range(3):
        wave = rng.normal(0, 1, 3)
        wave *= 2 * np.pi / (rng.uniform(140, 260) * np.linalg.norm(wave))
        phase = np.tensordot(wave, at, 1) + rng.uniform(0, 2 * np.pi)
        moved += (rng.normal(0, size_mm / 2, 3)[:, None, None, None] * np.sin(phase)).astype(np.float32)
    return moved


def _tube(at: Floats, points: Sequence[Sequence[float]] | NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Distance to the wall of a bent tube (negative inside) and the way along it, both (z, y, x)."""
    nodes = np.asarray(points, np.float32)
    nearest, along, start = np.full(at.shape[1:], np.inf, np.float32), np.zeros(at.shape[1:], np.float32), 0.0
    for one, two in pairwise(nodes):
        step, offset = two[:3] - one[:3], at - one[:3, None, None, None]
        length = float(np.linalg.norm(step))
        share = np.clip(np.tensordot(step, offset, 1) / length**2, 0, 1)
        offset -= step[:, None, None, None] * share
        distance = np.sqrt((offset**2).sum(0)) - (one[3] + (two[3] - one[3]) * share)
        closer = distance < nearest
        nearest[closer], along[closer] = distance[closer], (start + length * share)[closer]
        start += length
    return nearest, along


def _ellipsoid(at: Floats, centre: Sequence[float], radii: Sequence[float]) -> Floats:
    """About the distance to an ellipsoid (negative inside); an infinite radius makes a cylinder."""
    scaled = [((axis - c) / r) ** 2 for axis, c, r in zip(at, centre, radii, strict=True) if np.isfinite(r)]
    distance: Floats = (np.sqrt(np.sum(scaled, axis=0)) - 1) * np.float32(min(radii))
    return distance


def _speckle(shape: tuple[int, ...], rng: np.random.Generator, size_px: float) -> Floats:
    """A smooth random texture of mean 0 and spread 1."""
    noise: Floats = gaussian_filter(rng.standard_normal(shape, np.float32), (size_px / 4, size_px, size_px))
    noise -= noise.mean()
    noise /= noise.std()
    return noise


def _paint(at: Floats, anatomy: np.random.Generator, moment: np.random.Generator) -> tuple[Bools, Bools, Floats]:
    """The body, the organs (class, z, y, x) and the brightness 0..1 of everything."""
    y, shape, tall = at[1], at.shape[1:], np.inf
    fine, coarse, mottle = (_speckle(shape, moment, size) for size in (0.7, 3.0, 1.4))

    def shade(level: float, spread: float = 0.02) -> float:
        return level + anatomy.normal(0, spread) + moment.normal(0, 0.015)

    def nudge(points: NDArray[np.float64], case_mm: float, day_mm: float) -> NDArray[np.float64]:
        moved = points.copy()
        moved[:, :3] += anatomy.normal(0, case_mm, (1, 3)) + anatomy.normal(0, case_mm, (len(points), 3))
        moved[:, :3] += moment.normal(0, day_mm, (len(points), 3))
        moved[:, 3] *= anatomy.uniform(0.9, 1.12) * moment.uniform(0.93, 1.07, len(points))
        return moved

    size, fat = anatomy.uniform(0.96, 1.05), anatomy.uniform(9, 18)
    outline = _ellipsoid(at, (0, 0, 0), (150 * size, 112 * size, tall))
    body, muscle, cavity = outline < 0, outline < -fat, outline < -fat - 8
    value = np.full(shape, 0.0, np.float32)

    def put(where: Bools, level: Level) -> None:
        np.copyto(value, np.asarray(level, np.float32), where=where & body)

    put(body, shade(0.80) + 0.03 * coarse)
    put(muscle, shade(0.30) + 0.03 * fine)
    put(cavity, shade(0.66) + 0.05 * coarse)
    _surround(put, at, cavity, shade, fine, mottle)

    low, high = np.array(BOWEL_BOX, float)
    loops = anatomy.uniform(low, high, (BOWEL_POINTS, 3))
    loops[0, 2], loops[-1, 2] = low[2], high[2]
    loops = nudge(np.column_stack([loops, np.full(BOWEL_POINTS, BOWEL_RADIUS)]), 0.0, 5.0)
    small, along = _tube(at, loops)
    put(cavity & (small < 0), shade(0.50) + 0.13 * np.sin(2 * np.pi * along / 15) + 0.03 * fine)
    put(cavity & (small < 0) & (small > -3), shade(0.36))

    large, along = _tube(at, nudge(np.array(COLON, float), 4.0, 3.0))
    large -= 2.5 * np.sin(2 * np.pi * along / 34)  # haustra
    put(cavity & (large < 0), shade(0.43) + 0.11 * mottle)
    put(cavity & (large < -5) & (coarse > moment.uniform(0.5, 1.4)), 0.07)
    put(cavity & (large < 0) & (large > -3), shade(0.52))

    stomach, along = _tube(at, nudge(np.array(STOMACH, float), 4.0, 3.5))
    put(cavity & (stomach < 0), moment.uniform(0.36, 0.58) + 0.05 * coarse)
    put(cavity & (stomach < -4) & (y < moment.uniform(-70, -20)), 0.08)  # gas lies in front
    put(cavity & (stomach < 0) & (stomach > -7), shade(0.42) + 0.09 * np.sin(2 * np.pi * along / 11))
    return body, np.stack([large < 0, small < 0, stomach < 0]) & cavity, value


def _surround(
    put: Callable[[Bools, Level], None],
    at: Floats,
    cavity: Bools,
    shade: Callable[[float], float],
    fine: Floats,
    mottle: Floats,
) -> None:
    """Everything that is no class: much of it as bright as one that is."""
    x, y, z = at
    tall = np.inf
    put(_ellipsoid(at, (0, 72, 0), (22, 20, tall)) < 0, shade(0.48) + 0.10 * (np.sin(2 * np.pi * z / 38) > 0.8))
    put(_ellipsoid(at, (0, 94, 0), (8, 7, tall)) < 0, 0.85)
    for side in (-1, 1):
        put(_ellipsoid(at, (side * 38, 90, 0), (26, 13, tall)) < 0, shade(0.36) + 0.12 * np.sin(x / 2.4))
        put(cavity & (z < 215) & (_ellipsoid(at, (side * 37, 62, 0), (15, 17, tall)) < 0), shade(0.33) + 0.03 * fine)
        put(_ellipsoid(at, (side * 92, 35, 45), (30, 42, 48)) < 0, shade(0.45) + 0.05 * fine)
        kidney = _ellipsoid(at, (side * 66, 48, 186 + 8 * side), (22, 26, 48))
        put(cavity & (kidney < 0), shade(0.52))
        put(cavity & (kidney < -7), shade(0.45) + 0.13 * np.sin(np.arctan2(y - 48, x - side * 66) * 6))
    liver = _ellipsoid(at, (-62, -8, 262), (78, 80, 66))
    put(cavity & (liver < 0), shade(0.47) + 0.03 * fine)
    put(cavity & (liver < -8) & (mottle > 1.7), shade(0.66))
    put(cavity & (_ellipsoid(at, (102, 38, 244), (24, 40, 42)) < 0), shade(0.46) + 0.03 * fine)
    put(cavity & (_ellipsoid(at, (10, 18, 200), (48, 11, 16)) < 0), shade(0.47) + 0.09 * mottle)  # pancreas
    put(cavity & (_ellipsoid(at, (0, -8, 52), (44, 34, 30)) < 0), shade(0.52) + 0.03 * fine)  # bladder
    put(cavity & (z < 92) & (_ellipsoid(at, (4, 44, 0), (19, 17, tall)) < 0), shade(0.43) + 0.11 * mottle)  # rectum
    lungs = z > 292 - ((x / 9) ** 2 + (y / 7) ** 2) / 6
    put(cavity & lungs & (liver > 0), 0.06 + 0.02 * fine)
    put(cavity & lungs & (_ellipsoid(at, (18, -22, 345), (52, 48, 55)) < 0), shade(0.58))
    put(_ellipsoid(at, (12, 42, 0), (9, 9, tall)) < 0, shade(0.74))
    put(cavity & (_ellipsoid(at, (-14, 44, 0), (11, 8, tall)) < 0), shade(0.70))


def _measure(value: Floats, body: Bools, scale: float, rng: np.random.Generator) -> NDArray[np.uint16]:
    """What a scanner makes of it: blur, a bias field, Rician noise, a few hot voxels, whole numbers."""
    blurred = gaussian_filter(value, (0.0, 0.6, 0.6))
    axes = np.meshgrid(*(np.linspace(-1, 1, count, dtype=np.float32) for count in value.shape), indexing="ij")
    bias = sum(slope * axis for slope, axis in zip(rng.uniform(-0.22, 0.22, 3), axes, strict=True))
    centre = rng.uniform(-0.5, 0.5, 2)
    bias = bias - rng.uniform(0.1, 0.35) * ((axes[1] - centre[0]) ** 2 + (axes[2] - centre[1]) ** 2)
    real, imaginary = rng.normal(0, 0.035, (2, *value.shape)).astype(np.float32)
    measured: Floats = np.hypot(blurred * np.exp(bias) + real, imaginary)
    hot = rng.choice(np.flatnonzero(body), 6, replace=False)
    measured.reshape(-1)[hot] *= rng.uniform(2, 4, 6)
    rounded: Floats = np.clip(np.rint(measured * scale), 0, 65535)
    return rounded.astype(np.uint16)
