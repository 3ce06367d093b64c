"""CPU-milliseconds of the exact 3D Hausdorff distance on whole scans: ours, SciPy's, MONAI's and SimpleITK's.

python benchmarks/hausdorff_speed.py; one thread, process time, the least of three calls. Prints 20 close pairs, 10 far
ones and 5 with holes, then a tuning's usual work, and writes it all to results/hausdorff_speed.txt. Each distance of
ours is held against the exact Euclidean distance transform in float64 (scipy), to 1e-12 of itself.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch
from monai.metrics import compute_hausdorff_distance
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import directed_hausdorff

from casefold.metrics import TruthDistances, hausdorff_voxels, surface
from casefold.metrics.farthest import Box, box_of, joint_box

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Triple = tuple[float, float, float]
SHAPE = (144, 266, 266)
CALLS = 3
ORGANS: dict[str, tuple[Triple, Triple]] = {  # centre and radii, voxels (z, y, x)
    "large": ((72, 140, 130), (34, 45, 75)),
    "small": ((70, 150, 140), (28, 40, 60)),
    "stomach": ((95, 110, 160), (20, 38, 30)),
}
RATIOS = ("times", "quick_times")
LEVELS = range(16, 256, 16)


def lumpy(seed: int, centre: Triple, radii: Triple, rough: float = 0.12) -> Mask:
    """An ellipsoid whose radius goes up and down smoothly by `rough` of itself (one standard deviation)."""
    ends = [
        (max(int(c - 1.6 * r), 0), min(int(c + 1.6 * r), size)) for c, r, size in zip(centre, radii, SHAPE, strict=True)
    ]
    mask, box = np.zeros(SHAPE, bool), tuple(slice(*pair) for pair in ends)
    radius = np.sqrt(sum(((axis - c) / r) ** 2 for axis, c, r in zip(np.ogrid[box], centre, radii, strict=True)))
    mask[box] = radius + rough * _noise(seed, radius.shape, 10) < 1
    return mask


def outline(mask: Mask, seed: int, voxels: float) -> Mask:
    """Its border moved in and out smoothly, by `voxels` at the most."""
    return np.asarray(_signed_distance(mask, seed, voxels) < 0)


def slices(mask: Mask, above: int, below: int = 0) -> Mask:
    """So many slices more (copies of the one that is as deep inside) or, below zero, fewer at both ends."""
    changed, (z, *_) = mask.copy(), _box(mask)
    for end, inwards, count in ((z.stop - 1, -1, above), (z.start, 1, below)):
        for number in range(1, abs(count) + 1):
            if count > 0:
                changed[end - inwards * number] = mask[end + inwards * count]
            else:
                changed[end + inwards * (number - 1)] = False
    return changed


def stray(mask: Mask, at: tuple[int, int, int], sides: tuple[int, int, int] = (1, 1, 1)) -> Mask:
    """A cuboid more, its first corner `at`."""
    changed = mask.copy()
    changed[tuple(slice(start, start + side) for start, side in zip(at, sides, strict=True))] = True
    return changed


def shifted(mask: Mask, *voxels: int) -> Mask:
    """Moved; nothing reaches the array's edge."""
    return np.roll(mask, voxels, (0, 1, 2))


def hollow(mask: Mask, wall: int) -> Mask:
    """Only what lies no deeper than `wall` voxels."""
    return mask & ~np.asarray(ndimage.binary_erosion(mask, iterations=wall))


def close_pairs() -> dict[str, tuple[Mask, Mask]]:
    """Outlines that differ by at most 5 voxels, slices more or fewer, stray components."""
    large, small, stomach = (lumpy(seed, *ORGANS[name]) for seed, name in enumerate(ORGANS))
    return {
        "large, outline up to 2": (large, outline(large, 10, 2)),
        "large, outline up to 5": (large, outline(large, 11, 5)),
        "small, outline up to 3": (small, outline(small, 12, 3)),
        "small, outline up to 5": (small, outline(small, 13, 5)),
        "stomach, outline up to 2": (stomach, outline(stomach, 14, 2)),
        "stomach, outline up to 5": (stomach, outline(stomach, 15, 5)),
        "large, 3 px to the side": (large, shifted(large, 0, 0, 3)),
        "small, 2 px each way": (small, shifted(small, 0, 2, -2)),
        "stomach, 1 slice, 4 px": (stomach, shifted(stomach, 1, 4, 0)),
        "large, 1 slice up": (large, shifted(large, 1, 0, 0)),
        "large, 5 slices fewer above": (large, slices(large, -5)),
        "large, 2 slices more above": (large, slices(large, 2)),
        "small, 3 fewer at both ends": (small, slices(small, -3, -3)),
        "small, 4 slices more below": (small, slices(small, 0, 4)),
        "stomach, 5 more, 1 fewer": (stomach, slices(stomach, 5, -1)),
        "large, outline 3, stray voxel": (large, stray(outline(large, 16, 3), (20, 40, 40))),
        "small, outline 2, stray 3 x 4 x 4": (small, stray(outline(small, 17, 2), (110, 60, 60), (3, 4, 4))),
        "stomach, stray voxel alone": (stomach, stray(stomach, (10, 200, 30))),
        "stomach, outline 4, stray 5 x 9 x 9": (stomach, stray(outline(stomach, 18, 4), (40, 50, 200), (5, 9, 9))),
        "small, 3 px and a stray voxel": (small, stray(shifted(small, 0, 3, 0), (71, 230, 30))),
    }


def far_pairs() -> dict[str, tuple[Mask, Mask]]:
    """Organs of other shapes in other places, apart or across one another."""
    pairs = {}
    for seed in range(10):
        rng = np.random.default_rng(seed)
        radii = rng.uniform((15, 25, 25), (35, 50, 60), (2, 3))
        shift = rng.uniform(-25, 25, (2, 3)) + (seed % 2) * np.array([[20, 40, -45], [-20, -40, 45]])
        one, other = (
            lumpy(100 + 2 * seed + side, tuple(np.array([72, 133, 133]) + shift[side]), tuple(radii[side]))
            for side in range(2)
        )
        pairs[f"seed {seed}, {'apart' if seed % 2 else 'across'}"] = (one, other)
    return pairs


def hole_pairs() -> dict[str, tuple[Mask, Mask]]:
    """Masks of which one fills the other's hole."""
    large, small, stomach = (lumpy(seed, *ORGANS[name]) for seed, name in enumerate(ORGANS))
    ball = lumpy(50, (72, 140, 130), (10, 12, 14))
    return {
        "large, hollow": (large, hollow(large, 6)),
        "stomach, hollow, wall of 2": (stomach, hollow(stomach, 2)),
        "large, a hole": (large, large & ~ball),
        "large, a hole moved": (large & ~shifted(ball, 0, 0, 20), large & ~ball),
        "small, hollow, outline 3": (small, hollow(outline(small, 51, 3), 8)),
    }


def scipys(one: Mask, other: Mask, points: Callable[[Mask], Floats]) -> float:
    """Both ways over surface points."""
    p, q = points(one), points(other)
    return max(directed_hausdorff(p, q)[0], directed_hausdorff(q, p)[0])


def eroded_points(mask: Mask) -> Floats:
    """The usual recipe: within the mask's box, what an erosion takes away."""
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    inner = mask[box]
    points: Floats = np.argwhere(inner & ~ndimage.binary_erosion(inner)) + [float(side.start) for side in box]
    return points


def quick_points(mask: Mask) -> Floats:
    """The same points by our own quick border."""
    points: Floats = np.stack(np.unravel_index(np.flatnonzero(surface(mask)), mask.shape), axis=1).astype(np.float64)
    return points


def monais(one: Mask, other: Mask) -> float:
    """Over surface points."""
    batch = [torch.from_numpy(mask)[None, None] for mask in (one, other)]
    return float(compute_hausdorff_distance(*batch, include_background=True))


def itks(one: Mask, other: Mask) -> float:
    """Over all voxels."""
    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(*(sitk.GetImageFromArray(mask.view(np.uint8)) for mask in (one, other)))
    return float(measure.GetHausdorffDistance())


METHODS: dict[str, Callable[[Mask, Mask], float]] = {
    "ours": hausdorff_voxels,
    "scipy": partial(scipys, points=eroded_points),
    "monai": monais,
    "itk": itks,
    "quick": partial(scipys, points=quick_points),
}


def table(pairs: dict[str, tuple[Mask, Mask]]) -> pd.DataFrame:
    """A row a pair: voxels of both, distances, milliseconds, and the fastest other one's time over ours."""
    rows = []
    for name, (one, other) in pairs.items():
        found = {method: milliseconds(partial(call, one, other)) for method, call in METHODS.items()}
        times = {f"{method}_ms": spent for method, (_, spent) in found.items()}
        ours, distance = found["ours"][1], found["ours"][0]
        row = {"pair": name, "voxels": int(one.sum()), "and": int(other.sum()), "distance": distance}
        row |= {"exact": abs(distance - exact(one, other)) <= 1e-12 * distance, "surfaces": found["scipy"][0], **times}
        row["times"] = min(found[method][1] for method in ("scipy", "monai", "itk")) / ours
        rows.append(row | {"quick_times": found["quick"][1] / ours})
    return pd.DataFrame(rows)


def exact(one: Mask, other: Mask) -> float:
    """Over all voxels, from the whole distance transforms of the joint box."""
    box = joint_box(_box(one), _box(other))
    return max(float(ndimage.distance_transform_edt(~b[box])[a[box]].max()) for a, b in ((one, other), (other, one)))


def tuning() -> pd.DataFrame:
    """One scan of three classes: a candidate's distances, and those of many candidates against one truth."""
    rows = []
    for seed, (name, (centre, radii)) in enumerate(ORGANS.items()):
        truth = lumpy(seed, centre, radii)
        map_ = 255 / (1 + np.exp(_signed_distance(truth, 60 + seed, 3) / 2))
        map_[20:22, 40:44, 40:44] = 100
        masks = [map_ >= level for level in LEVELS]
        masks += [mask & (ndimage.label(mask)[0] == 1) for mask in masks]
        plain, spent = milliseconds(lambda t=truth, m=masks: [hausdorff_voxels(t, mask) for mask in m])  # type: ignore[misc]

        def kept(truth: Mask = truth, masks: Sequence[Mask] = masks) -> list[float]:
            distances = TruthDistances(truth)
            return [distances.to(mask) for mask in masks]

        same, quick = milliseconds(kept)
        count = len(masks)
        row = {"class": name, "candidates": count, "plain_ms": spent / count, "kept_ms": quick / count}
        rows.append(row | {"times": spent / quick, "equal": plain == same})
    frame = pd.DataFrame(rows)
    whole = frame[["plain_ms", "kept_ms"]].sum()
    last = {"class": "the scan", "candidates": "", **whole, "times": whole["plain_ms"] / whole["kept_ms"]}
    return pd.concat([frame, pd.DataFrame([last | {"equal": frame["equal"].all()}])])


def milliseconds(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and the CPU time of the quickest of some."""
    spent = []
    for _ in range(CALLS):
        start = time.process_time()
        result = call()
        spent.append(time.process_time() - start)
    return result, min(spent) * 1000


def _noise(seed: int, shape: tuple[int, ...], sigma: float) -> NDArray[np.float32]:
    """Smooth, of standard deviation 1."""
    drawn = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape, np.float32), sigma)
    return np.asarray(drawn / drawn.std())


def _signed_distance(mask: Mask, seed: int, voxels: float) -> Floats:
    """Voxels from the mask's border, negative inside, plus noise of at most `voxels`."""
    box = tuple(slice(max(side.start - 16, 0), side.stop + 16) for side in _box(mask))
    inner, signed = mask[box], np.full(mask.shape, 100.0)
    distance: Floats = ndimage.distance_transform_edt(~inner) - ndimage.distance_transform_edt(inner)
    noise = _noise(seed, inner.shape, 5)
    signed[box] = distance + noise * (voxels / np.abs(noise[np.abs(distance) < 2]).max())
    return signed


def _box(mask: Mask) -> Box:
    box = box_of(mask)
    if box is None:
        raise ValueError("a pair's mask is empty")
    return box


def main() -> None:
    """Print and write all."""
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    warnings.simplefilter("ignore", FutureWarning)  # MONAI's of its own arguments
    names = {"scipy": "scipy", "monai": "monai", "SimpleITK": "simpleitk"}
    parts = [
        f"Exact 3D Hausdorff distance of masks of {SHAPE}, CPU-milliseconds, one thread, the least of {CALLS} calls; "
        f"two cores shared with other work. {date.today()}.",
        "python benchmarks/hausdorff_speed.py",
        ", ".join(f"{name} {version(package)}" for name, package in names.items()),
        "distance: ours, over all voxels, voxels; exact: equal to scipy's distance transforms in float64 to 1e-12;",
        "surfaces: scipy's directed_hausdorff over surface voxels, another definition where masks have holes.",
        "scipy: directed_hausdorff both ways, points by erosion in each mask's box; quick: points by our own border.",
        "times: the fastest of scipy, monai and itk over ours; quick_times: scipy with our own points over ours.",
    ]
    for title, pairs in (("close", close_pairs()), ("far", far_pairs()), ("holes", hole_pairs())):
        frame = table(pairs)
        ratios = (f"{name}: median {frame[name].median():.1f}, least {frame[name].min():.1f}" for name in RATIOS)
        parts += [
            "",
            f"{title}: {len(frame)} pairs, all exact: {frame['exact'].all()}; {'; '.join(ratios)}",
            _text(frame),
        ]
    parts += ["", f"tuning: a candidate's distance; {len(LEVELS)} levels, each with and without its small components."]
    parts += ["plain: hausdorff_voxels; kept: TruthDistances, the truth's own part made once.", _text(tuning())]
    text = "\n".join(parts)
    print(text)
    (Path(__file__).parent / "results" / "hausdorff_speed.txt").write_text(text + "\n")


def _text(frame: pd.DataFrame) -> str:
    digits = {name: 1 for name in frame.columns if name.endswith(("_ms", "times"))}
    digits |= {name: 4 for name in ("distance", "surfaces") if name in frame}
    return frame.round(digits).to_string(index=False)


if __name__ == "__main__":
    main()
