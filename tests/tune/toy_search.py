"""Small labelled scans with predictions, and a search over them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.ensembles import Gate, Tune
from casefold.config.postprocess import StepConfig
from casefold.core import Grid, Prediction, Scan, pack_masks
from casefold.tune.memory import Memory
from casefold.tune.search import Search, Task
from casefold.tune.voxels import gather

Pair = tuple[Scan, dict[str, Prediction]]
CLASSES = ("a", "b")
SHAPE = (4, 3, 5)
CASES = (("case1", "day0"), ("case2", "day0"), ("case2", "day9"), ("case3", "day0"), ("case4", "day0"), ("case5", "d"))


def scan_of(case: str, day: str, truth: NDArray[np.bool_], ignore: NDArray[np.bool_] | None = None) -> Scan:
    shape = (truth.shape[1], truth.shape[2], truth.shape[3])
    image, names = np.zeros((1, *shape), np.uint8), tuple(f"{day}_{z}" for z in range(shape[0]))
    classes = CLASSES[: len(truth)]
    return Scan(case, f"{case}_{day}", image, Grid(shape), classes, names, pack_masks(truth), ignore)


def says(scan: Scan, member: str, maps: Any = None, presence: Any = None) -> Prediction:
    given = [None if array is None else np.asarray(array, np.uint8) for array in (maps, presence)]
    return Prediction(scan.case, scan.name, scan.classes, scan.grid.shape, member, "0", *given)


def random_pairs(seed: int = 0, ignoring: bool = False, members: Sequence[str] = ("m", "n")) -> list[Pair]:
    """Scans with empty slices and a case without class `b`; maps of few values, so that levels meet them."""
    random = np.random.default_rng(seed)
    pairs = []
    for case, day in CASES:
        truth = random.random((2, *SHAPE)) < 0.4
        truth[:, random.integers(SHAPE[0])] = False
        truth[0, 0] = False
        if case == "case3":
            truth[1] = False
        ignore = random.random(SHAPE) < 0.3 if ignoring else None
        scan = scan_of(case, day, truth, ignore)
        found = {
            name: says(scan, name, np.where(truth, 40, 0) + 10 * random.integers(0, 20, truth.shape))
            for name in members
        }
        found["gate"] = says(scan, "gate", presence=random.choice([0, 50, 100, 255], (2, SHAPE[0])))
        pairs.append((scan, found))
    return pairs


def search_of(
    pairs: Sequence[Pair], folder: Path, config: Tune, members: Sequence[str] = ("m", "n"), gate: Gate | None = None,
    fixed: tuple[tuple[StepConfig, ...], ...] | None = None, kept: Path | None = None,
    run: Callable[..., Iterable[Any]] = map,
) -> Search:  # fmt: skip
    """A search over these pairs, its files in `folder`."""
    members = tuple(sorted(members))
    folder.mkdir(exist_ok=True)
    files = tuple(folder / f"{scan.name}.safetensors" for scan, _ in pairs)
    for (scan, predictions), file in zip(pairs, files, strict=True):
        gather(scan, predictions, members, gate, min(config.levels), file)
    classes = pairs[0][0].classes
    cases = tuple(scan.case for scan, _ in pairs)
    gates = (0,) if gate is None else gate.ladder
    task = Task(files, cases, classes, members, gates, config, fixed or ((),) * len(classes))
    return Search(task, Memory(kept, "known", tuple((name, f"hash of {name}") for name in members)), run)
