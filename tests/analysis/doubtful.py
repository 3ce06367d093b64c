"""Sixty scans with members whose errors are like those of real ones, and five with labels that are wrong."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from casefold.analysis.suspects import doubts
from casefold.analysis.voxels import pick

SHAPE = (24, 48, 48)
SCANS, MEMBERS = 60, 4
CLASSES = ("a", "b", "c")
PLACES = {"a": (16, 15, 9, 10), "b": (30, 20, 7, 9), "c": (18, 34, 6, 7)}  # middle y and x, radius along y and x
SHARED = 0.8  # of a border's displacement, the part that all members have
Mask = NDArray[np.bool_]


def smooth(random: np.random.Generator) -> NDArray[np.float64]:
    """A random field, about standard normal, that changes over some 4 slices and 8 pixels."""
    field = random.standard_normal((6, 6, 6)) * 1.4
    for length in SHAPE:  # the first axis grows and goes last
        at = np.linspace(0, 5, length)
        between = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(6)))
        field = np.tensordot(field, between, (0, 1))
    return np.asarray(field)


def inside(random: np.random.Generator, name: str) -> NDArray[np.float64]:
    """How far a voxel lies inside a class, in pixels; far outside on slices without it."""
    y, x, high, wide = np.array(PLACES[name]) * random.uniform(0.9, 1.1, 4)
    first, depth = random.integers(3, 8), random.integers(9, 13)
    z, rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    along = np.clip(1 - ((z - first - (depth - 1) / 2) / (0.55 * depth)) ** 2, 0, 1) ** 0.5
    far = np.sqrt(((rows - y) / high) ** 2 + ((columns - x) / wide) ** 2)
    deep = (along - far) * min(high, wide) + 0.8 * smooth(random)
    deep[(np.arange(SHAPE[0]) < first) | (np.arange(SHAPE[0]) >= first + depth)] = -20
    return np.asarray(deep)


def says(random: np.random.Generator, deep: NDArray[np.float64], common: NDArray[np.float64], hard: float) -> Mask:
    """A member's q: the border moved, the ends a slice or two off, slices missed, a thing seen where nothing is."""
    there = np.flatnonzero(deep.max((1, 2)) > 0)
    ends = there[[0, -1]] + np.rint(random.normal(0, 0.8 * hard, 2)).astype(int)
    z = np.arange(SHAPE[0])
    moved = deep[np.clip(z, there[0], there[-1])] + 1.2 * hard * (SHARED * common + 0.6 * smooth(random))
    if random.random() < 0.25:
        missed = random.integers(there[0], there[-1])
        moved[missed : missed + random.integers(1, 4)] -= 6
    q = np.rint(255 * expit(moved / 0.8))
    q[(z < ends[0]) | (z > ends[1])] = 0
    if random.random() < 0.4:
        at = [random.integers(0, n - 4) for n in SHAPE]
        q[at[0] : at[0] + 2, at[1] : at[1] + 4, at[2] : at[2] + 4] = random.integers(60, 250)
    return np.asarray(q, np.uint8)


@lru_cache(2)
def made(seed: int) -> tuple[list[Mask], list[list[NDArray[np.uint8]]]]:
    """Truth (class, z, y, x) and members' maps of each scan; class c isn't on every tenth scan."""
    truths, maps = [], []
    for n in range(SCANS):
        random = np.random.default_rng([seed, n])
        hard = float(np.exp(random.normal(0, 0.4)))
        truth, found = [], [[] for _ in range(MEMBERS)]
        for name in CLASSES:
            deep, common = inside(random, name), smooth(random)
            absent = name == "c" and n % 10 == 9
            truth.append((deep > 0) & (not absent))
            for own in found:
                own.append(np.zeros(SHAPE, np.uint8) if absent else says(random, deep, common, hard))
        truths.append(np.stack(truth))
        maps.append([np.stack(own) for own in found])
    return truths, maps


def shifted(truth: Mask, other: Mask) -> Mask:
    return np.roll(truth, (5, -4), (2, 3))


def swapped(truth: Mask, other: Mask) -> Mask:
    return truth[[1, 0, 2]]


def emptied(truth: Mask, other: Mask) -> Mask:
    """Without the class a on five slices of its run."""
    first = int(np.flatnonzero(truth[0].any((1, 2)))[0])
    changed = truth.copy()
    changed[0, first + 3 : first + 8] = False
    return changed


def foreign(truth: Mask, other: Mask) -> Mask:
    return other


def mirrored(truth: Mask, other: Mask) -> Mask:
    return truth[..., ::-1]


PLANTED: dict[str, Callable[[Mask, Mask], Mask]] = {
    "shifted": shifted,
    "swapped": swapped,
    "emptied": emptied,
    "foreign": foreign,
    "mirrored": mirrored,
}


def planted(seed: int, members: int) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The scan of each bad label, and the doubts of all scans, of the first so many members."""
    truths, maps = made(seed)
    random = np.random.default_rng([seed, SCANS])
    at = random.permutation(SCANS)[: len(PLANTED)].tolist()
    labels = {n: PLANTED[kind](truths[n], truths[(n + 30) % SCANS]) for kind, n in zip(PLANTED, at, strict=True)}
    seen = {
        f"scan{n:02d}": doubts(pick(labels.get(n, truths[n]), own[:members]), range(members))
        for n, own in enumerate(maps)
    }
    return {kind: f"scan{n:02d}" for kind, n in zip(PLANTED, at, strict=True)}, seen
