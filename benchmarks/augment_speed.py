"""CPU-milliseconds of every augmentation on a slice and on a patch, and of MONAI's transforms beside our own.

python benchmarks/augment_speed.py; one thread, process time.
"""

import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import cv2
import monai.transforms as M
import numpy as np
import pandas as pd
import torch

from casefold.data.augment import SLICE_PIPELINES, augment_patch, augment_slice, patch_pipeline, slice_pipeline
from casefold.data.patch_pipelines import Steps
from casefold.data.warp import warp

SLICE, PATCH, TARGETS, CALLS = (3, 256, 256), (40, 56, 40), 3, 100
BOTH = ["image", "targets"]
TURN = partial(warp, degrees=(20, 10, 10), scale=(0.85, 1.15), stretch=True)
MONAI_TURN = {"rotate_range": (0.35, 0.175, 0.175), "scale_range": (0.15,) * 3, "padding_mode": "zeros"}


def milliseconds(call: Callable[[int], Any]) -> float:
    """Of one call, numbered; the first calls are not counted."""
    for number in range(10):
        call(number)
    start = time.process_time()
    for number in range(CALLS):
        call(number)
    return (time.process_time() - start) / CALLS * 1000


def pipelines() -> pd.DataFrame:
    """A row a name."""
    rng = np.random.default_rng(0)
    image, masks = rng.random(SLICE, np.float32), (rng.random((TARGETS, *SLICE[1:])) < 0.5).astype(np.uint8)
    volume, marks = torch.rand(1, *PATCH), (torch.rand(TARGETS, *PATCH) < 0.5).float()
    rows = []
    for name in SLICE_PIPELINES:
        on_slice, on_patch = slice_pipeline(name), patch_pipeline(name)
        rows.append(
            {
                "pipeline": name,
                "slice_ms": milliseconds(lambda n, p=on_slice: augment_slice(p, image, masks, (0, 0, n))),  # type: ignore[misc]
                "patch_ms": milliseconds(lambda n, p=on_patch: augment_patch(p, volume, marks, (0, 0, n))),  # type: ignore[misc]
            }
        )
    return pd.DataFrame(rows)


def beside_monai() -> pd.DataFrame:
    """The same done by MONAI on a patch; a warp alone is drawn every time."""
    volume, marks = torch.rand(1, *PATCH), (torch.rand(TARGETS, *PATCH) < 0.5).float()
    modes = {"mode": ("bilinear", "nearest")}
    flips = [M.RandFlipd(BOTH, 0.5, axis) for axis in (1, 2)]
    intensities = [
        M.RandScaleIntensityd("image", 0.25, prob=0.3),
        M.RandShiftIntensityd("image", 0.1, prob=0.3),
        M.RandAdjustContrastd("image", prob=0.2, gamma=(0.7, 1.5)),
    ]
    pairs: dict[str, tuple[Steps, list[Any]]] = {
        "turn and scale": ([(1.0, TURN)], [M.RandAffined(BOTH, prob=1, **MONAI_TURN, **modes)]),
        "turn, scale, elastic": (
            [(1.0, partial(TURN, elastic=0.6))],
            [M.Rand3DElasticd(BOTH, (4, 6), (50, 100), prob=1, **MONAI_TURN, **modes)],
        ),
        "grid distortion": (
            [(1.0, partial(warp, distort=0.3, cells=5))],
            [M.RandGridDistortiond(BOTH, prob=1, **modes)],
        ),
        "all of medium": (
            patch_pipeline("medium"),
            [*flips, M.RandAffined(BOTH, prob=0.5, **MONAI_TURN, **modes), *intensities],
        ),
    }
    rows = []
    for name, (own, transforms) in pairs.items():
        theirs = M.Compose([M.EnsureTyped(BOTH, track_meta=False), *transforms])

        def call_own(number: int, own: Steps = own) -> None:
            augment_patch(own, volume, marks, (0, 0, number))

        def call_theirs(number: int, theirs: Any = theirs) -> None:
            theirs.set_random_state(seed=number)
            theirs({"image": volume, "targets": marks})

        rows.append({"what": name, "ours_ms": milliseconds(call_own), "monai_ms": milliseconds(call_theirs)})
    return pd.DataFrame(rows).assign(times=lambda row: row["monai_ms"] / row["ours_ms"])


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(f"a slice of {SLICE} and a patch of {(1, *PATCH)}, with {TARGETS} target channels each")
    _show(pipelines())
    print(f"\nthe patch alone; ours, and MONAI {version('monai')}")
    _show(beside_monai())


def _show(frame: pd.DataFrame) -> None:
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()
