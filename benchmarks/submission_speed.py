"""Seconds a slice from raw files to masks: gated, ungated, in fast batches, and by a loop as public notebooks write it.

CASEFOLD_DATA=... python benchmarks/submission_speed.py RECIPE.yaml --members DIR [--gate MEMBER=LEVEL] [--scans N]

RECIPE: rung 0 of a tuned recipe. --members: the folder that holds `<member>/fold<k>/`. --gate: where the recipe has no
gate, this classifier's presence at this level, for every class. --equal: these members with equal weights instead of
the recipe's, which may have dropped some. CPU-seconds of one thread over labelled scans; every
way in turn for each scan, after one scan for nothing. The plain loop: each member reads the scan and normalises every
slice on its own, all slices in small batches, one flip after the other, float32, no channels_last, no gate.
"""

import argparse
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from casefold.config.base import Dataset
from casefold.config.experiments import Seg25d
from casefold.config.load import load_dataset
from casefold.config.paths import Paths
from casefold.core import DataError, Prediction, Scan, quantise
from casefold.data.slices import slice_input, to_grid
from casefold.ensemble import combine, passed_gate, to_masks
from casefold.infer import Loaded, infer, load_ensemble_models
from casefold.intensity import scan_statistics
from casefold.models import engines
from casefold.predict import Member, SharedSlices, predict
from casefold.predict.passes import average, passes
from casefold.readers import RawScan
from casefold.readers.table import find, load
from casefold.recipe import GateRule, Recipe, Rung, load_recipe

CPU = torch.device("cpu")
LOOP_BATCH = 4
WAYS = ("plain loop", "ungated", "gated", "ungated, fast", "gated, fast")
COUNTS = (
    "maps: fast beside plain batches, differ at all", "maps: fast beside plain batches, differ by more than 1",
    "masks: gated beside ungated", "masks: fast beside plain batches", "within 1 of a level",
    "maps: loop beside ungated, differ by more than 1", "masks without a gate: loop beside ungated",
)  # fmt: skip
Bytes = NDArray[np.uint8]
Masks = NDArray[np.bool_]
T = TypeVar("T")


@dataclass(frozen=True)
class Bench:
    """What every way has: the data, the ensemble as casefold runs it, and its stage-two members as a notebook does."""

    dataset: Dataset
    loaded: Loaded
    plain: dict[str, Member]

    @property
    def rung(self) -> Rung:
        return self.loaded.recipe.rungs[0]

    def read(self, raw: RawScan) -> Scan:
        """A scan from its files, with what normalises it."""
        scan = load(self.dataset, raw)
        return replace(scan, statistics=scan_statistics(scan.image))

    def masks(self, said: dict[str, Prediction], rung: Rung, scan: Scan) -> Masks:
        return to_masks(said, rung, self.loaded.recipe.classes, scan.grid.spacing_mm)[0]


def notebook_recipe(recipe: Recipe, gate: str | None, equal: Sequence[str]) -> Recipe:
    """Rung 0 alone, with the gate that was asked for where it has none; equal: its members, where not the recipe's."""
    rung = recipe.rungs[0]
    if equal:
        rung = replace(rung, weights={name: dict.fromkeys(recipe.classes, 1) for name in sorted(equal)})
    if rung.gate is None and gate is not None:
        name, _, level = gate.partition("=")
        rung = replace(rung, gate=GateRule((name,), "presence", dict.fromkeys(recipe.classes, int(level))))
    if rung.gate is None or not all(rung.gate.levels.values()):
        raise DataError(f"recipe {recipe.name} lets every slice through; give --gate MEMBER=LEVEL or another recipe")
    return replace(recipe, rungs=(rung,))


def as_notebooks_do(member: Member) -> Member:
    """Networks in the plain memory format, float32."""
    config = member.config.model_copy(update={"train": member.config.train.model_copy(update={"precision": "fp32"})})
    nets = tuple(net.to(memory_format=torch.contiguous_format) for net in member.nets)
    return replace(member, config=config, nets=nets)


def loop(bench: Bench, raw: RawScan) -> dict[str, Prediction]:
    """What the stage-two members say, each on its own."""
    return {name: _loop_of(member, bench.read(raw)) for name, member in bench.plain.items()}


def _loop_of(member: Member, scan: Scan) -> Prediction:
    config, (depth, height, width) = member.config, scan.grid.shape
    if not isinstance(config, Seg25d):
        return predict(member, scan, CPU)  # MONAI's sliding window, as in a notebook
    maps = []
    with torch.inference_mode():
        for start in range(0, depth, LOOP_BATCH):
            planes = range(start, min(start + LOOP_BATCH, depth))
            image = torch.stack([slice_input(scan, z, config.data) for z in planes])
            mean = average(passes(member, image, lambda net, x, _: net(x)), config)["maps"]
            maps.append(quantise(to_grid(mean, config.data, (height, width)).numpy()))
    whole = np.ascontiguousarray(np.concatenate(maps).swapaxes(0, 1))
    return Prediction(scan.case, scan.name, member.classes, scan.grid.shape, config.name, "mean", whole)


def ungated(bench: Bench, scan: Scan, fast: bool = False) -> dict[str, Prediction]:
    """What every member says of every slice."""
    shared = SharedSlices()
    members = {name: bench.loaded.members[name] for name in bench.rung.members}
    return {name: predict(member, scan, CPU, fast=fast, shared=shared) for name, member in members.items()}


def measure(bench: Bench, raw: RawScan) -> tuple[dict[str, float], dict[str, int], int, int]:
    """CPU-seconds by way, voxels by what differs, slices, and how many of them the gate closes, of one scan."""
    rung, scan = bench.rung, bench.read(raw)
    free = replace(rung, gate=None)
    seconds: dict[str, float] = {}

    def timed(way: str, work: Callable[[], T]) -> T:
        start = time.process_time()
        result = work()
        seconds[way] = time.process_time() - start
        return result

    def whole(fast: bool) -> tuple[dict[str, Prediction], Masks]:
        fresh = bench.read(raw)
        said = ungated(bench, fresh, fast)
        return said, bench.masks(said, rung, fresh)

    def looped() -> tuple[dict[str, Prediction], Masks]:
        said = loop(bench, raw)
        return said, bench.masks(said, free, scan)

    by_loop, loop_masks = timed("plain loop", looped)
    said, masks = timed("ungated", lambda: whole(False))
    gated = timed("gated", lambda: infer(bench.loaded, bench.read(raw)))
    said_fast, _ = timed("ungated, fast", lambda: whole(True))
    gated_fast = timed("gated, fast", lambda: infer(bench.loaded, bench.read(raw), fast=True))
    classes = bench.loaded.recipe.classes
    maps, maps_fast, maps_loop = (combine(made, free, classes).astype(int) for made in (said, said_fast, by_loop))
    counts = (
        _count(maps != maps_fast), _count(abs(maps - maps_fast) > 1), _count(gated.masks != masks),
        _count(gated_fast.masks != masks), gated_fast.near_level, _count(abs(maps - maps_loop) > 1),
        _count(bench.masks(said, free, scan) != loop_masks),
    )  # fmt: skip
    passed = passed_gate(said, rung, classes)
    closed = 0 if passed is None else _count(np.asarray(~passed.any(0)))
    return seconds, dict(zip(COUNTS, counts, strict=True)), scan.grid.shape[0], closed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--members", type=Path, required=True, help="holds <member>/fold<k>/")
    parser.add_argument("--folds", type=int, nargs="+", help="which of them; else those of the recipe")
    parser.add_argument("--gate", help="MEMBER=LEVEL, where the recipe has none")
    parser.add_argument("--equal", nargs="+", default=[], help="members of equal weight")
    parser.add_argument("--scans", type=int, default=5)
    parser.add_argument("--engine", default="torch", help="of casefold's side: torch, openvino or onnx")
    parser.add_argument("--precision", help="of casefold's side, instead of what the members' configs say")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    torch.set_num_threads(1)
    paths, recipe = Paths.from_environment(), notebook_recipe(load_recipe(options.recipe), options.gate, options.equal)
    dataset = load_dataset(paths.configs, recipe.dataset)
    folds = options.folds or recipe.folds
    runs = {name: [options.members / name / f"fold{fold}" for fold in folds] for name in recipe.members}
    with contextlib.ExitStack() as stack:
        if options.precision:  # an engine's networks are converted to it while they are loaded
            stack.enter_context(patch.object(engines, "resolve", return_value=options.precision))
        loaded = load_ensemble_models(recipe, runs, "cpu", engine=options.engine)
    if options.precision:
        loaded = replace(loaded, members={name: _in(m, options.precision) for name, m in loaded.members.items()})
    second = [name for name, own in recipe.rungs[0].weights.items() if any(own.values())]
    apart = load_ensemble_models(recipe, runs, "cpu").members
    bench = Bench(dataset, loaded, {name: as_notebooks_do(apart[name]) for name in second})
    print(f"{len(second)} stage-two members ({', '.join(second)}), {len(folds)} folds each; {options.engine}")
    raws = find(dataset, paths.raw(dataset.root), "train")[: options.scans]
    measure(bench, raws[0])
    found = [measure(bench, raw) for raw in raws]
    slices = sum(depth for _, _, depth, _ in found)
    closed = sum(closed for *_, closed in found)
    print(f"{len(raws)} scans, {slices} slices, {closed} of them closed by the gate for every class\n")
    total = pd.Series({way: sum(seconds[way] for seconds, _, _, _ in found) / slices for way in WAYS})
    frame = pd.DataFrame({"cpu_s_a_slice": total, "times_the_loop": total["plain loop"] / total})
    print(frame.to_string(float_format=lambda value: f"{value:.4f}"))
    print("\nvoxels that differ, of all classes")
    for what in COUNTS:
        print(f"{sum(counts[what] for _, counts, _, _ in found):>12,}  {what}")


def _count(where: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(where))


def _in(member: Member, precision: str) -> Member:
    train = member.config.train.model_copy(update={"precision": precision})
    return replace(member, config=member.config.model_copy(update={"train": train}))


if __name__ == "__main__":
    main()
