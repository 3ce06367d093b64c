"""One run: a member on one fold (or on every case), from its inputs to weights, OOF and manifest, exactly once."""

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from casefold.config.experiments import Cls, Experiment, Seg3d, Seg25d
from casefold.config.inputs import DetectorCrop
from casefold.config.load import differing_fields, dump, parse_detector, parse_experiment, save
from casefold.config.presence import IS_THERE, PresenceTarget
from casefold.core import HALF, CasefoldError, ConfigError, Prediction, Scan, StaleError
from casefold.data.patches import PatchDataset
from casefold.data.presence import presence_truth, target_of
from casefold.data.sampler import BatchSampler
from casefold.data.slices import SliceDataset
from casefold.detect import detect_box
from casefold.files import hash_file, hash_value, read_record, write_json, writing
from casefold.folds import FoldTable
from casefold.metrics import dice, nan_mean
from casefold.models.build import PaddedNet, build, parameters
from casefold.models.weights import WeightsInfo, read_info, save_weights
from casefold.oof import refuse_seen, write_prediction
from casefold.predict import Member, detectors_of, load_member, predict
from casefold.store import Store
from casefold.train.initial import Initial, find_detector, find_initial, load_initial
from casefold.train.log import Boards
from casefold.train.loop import Habits, fit, make_fabric
from casefold.train.machine import surroundings
from casefold.train.pseudo import Enlarged, Pseudo, find_pseudo
from casefold.train.state import BEFORE, LAST
from casefold.views import BOXES, Box, Detect, FindBox, crop_of, find_box, stored_box

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What one run needs. fold: a number, or `full` for every labelled case but the test's (no OOF, no score).

    cache_bytes: memory that prepared arrays may be kept in, shared out among the loading workers.
    """

    config: Experiment
    table: FoldTable
    fold: str
    store: Path
    run: Path
    device: str = "auto"
    data: Path = Path("data")
    habits: Habits = field(default_factory=Habits)
    cache_bytes: int = 0

    @property
    def title(self) -> str:
        """How progress lines call it."""
        return f"{self.config.kind}/{self.config.name} {self.fold}"  # type: ignore[attr-defined]

    def inputs(self, store: Store) -> dict[str, Any]:
        """What the result depends on; device and workers stay outside."""
        inputs = {"config": dump(self.config), "fold": self.fold, "folds": self.table.hash, "data": store.data_hash}
        first, detector = self.initial(), self.detector()
        if (pseudo := self.pseudo()) is not None:
            inputs["pseudo"] = hash_file(pseudo.path)
        if detector is not None:
            inputs["detector"] = [hash_file(detector.path), hash_file(detector.path.with_name(BOXES))]
        return inputs if first is None else inputs | {"initial": hash_file(first.path)}

    def initial(self) -> Initial | None:
        """The weights that training begins with, where the config names some."""
        config = self.config.train.init_from
        return None if config is None else find_initial(config, self.run, self.data)

    def detector(self) -> Initial | None:
        """The detector that crops what this run reads, where the config names one."""
        crop = crop_of(self.config)
        return find_detector(crop, self.run) if isinstance(crop, DetectorCrop) else None

    def detectors(self, detect: Detect = stored_box) -> tuple[FindBox, ...]:
        """What crops scans for this run's network: those of the data set by the boxes that its detector has noted."""
        return () if self.detector() is None else detectors_of(self.config, self.run, torch.device("cpu"), detect)

    def pseudo(self) -> Pseudo | None:
        """The pseudo-labelled scans that train beside the data set's, where the config names some."""
        config = self.config.train.pseudo
        return None if config is None else find_pseudo(config, self.run, self.fold)


class Trained(Protocol):
    """What every run has, whatever it trains."""

    @property
    def run(self) -> Path:
        """Its folder."""

    def inputs(self, store: Store) -> dict[str, Any]:
        """What the result depends on."""


def is_done(job: Trained, store: Store) -> bool:
    """Whether this run has ended with these inputs; raises StaleError, naming what changed, where with others."""
    path = job.run / "manifest.json"
    if not path.is_file():
        return False
    manifest = read_record(path)
    changed = differing_fields(_in_todays_words(manifest["inputs"]), job.inputs(store))
    if changed:
        raise StaleError(
            f"{job.run} was trained from other inputs: {'; '.join(changed[:5])}. Give the experiment a new name, put "
            "the old inputs back, or call again with --redo, which moves the old run aside"
        )
    return bool(manifest["state"] == "done")


def _in_todays_words(inputs: dict[str, Any]) -> dict[str, Any]:
    """An earlier run's inputs; fields that the schema got since have their defaults, under which nothing changes."""
    try:
        parse = parse_detector if inputs["config"].get("kind") == "detect" else parse_experiment
        return inputs | {"config": dump(parse(dict(inputs["config"]), Path("manifest.json")))}
    except ConfigError:
        return inputs


def move_aside(run: Path) -> None:
    """Rename a run's folder out of the way; nothing is deleted."""
    if run.exists():
        aside = run.with_name(f"{run.name}.{time.strftime('%Y%m%d-%H%M%S')}")
        while aside.exists():
            aside = aside.with_name(f"{aside.name}+")
        with writing(aside):
            run.rename(aside)


def train(job: Job) -> dict[str, Any]:
    """Train one run to its end, going on where it stopped; gives its manifest.

    A finished one is left alone, but for OOF files that were lost since: its weights make them again. Raises DataError
    where those are gone.
    """
    store = Store(job.store)
    if is_done(job, store):
        _write_lost_oof(job, store, read_info(job.run / "weights.safetensors"))
        return dict(read_record(job.run / "manifest.json"))
    names, held = (job.table.learnable(store), []) if job.fold == "full" else job.table.split(store, int(job.fold))
    if not names:
        raise CasefoldError(f"{job.title}: no scan is left to train on")
    fabric = make_fabric(job.config, job.device)
    manifest = {"state": "running", "inputs": job.inputs(store), "seed": job.config.train.seed, **surroundings()}
    if fabric.is_global_zero:
        save(job.config, job.run / "config.yaml")
        write_json(job.run / "manifest.json", manifest)
    fabric.barrier()
    by_scan = job.table.kind == "time"
    modalities = len(store.scan(names[0]).image)
    torch.manual_seed(job.config.train.seed)
    fresh = not any((job.run / name).is_file() for name in (LAST, BEFORE))
    net = build(job.config, modalities, len(store.classes), pretrained=fresh)
    first = job.initial()
    if first is not None and fresh:
        load_initial(net, first.path)
    built_on = [origin for origin in (first, job.detector(), job.pseudo()) if origin is not None]
    info = WeightsInfo(
        member=job.config.name,
        fold=job.fold,
        config_hash=hash_value(dump(job.config)),
        modalities=modalities,
        classes=store.classes,
        seen_cases=tuple(
            dict.fromkeys([*(store.case_of[name] for name in names), *(c for o in built_on for c in o.seen_cases)])
        ),
        seen_scans=tuple(dict.fromkeys([*names, *(s for o in built_on for s in o.seen_scans)])) if by_scan else (),
        selected_on_fold=job.config.train.patience is not None,
    )
    for name in held:
        refuse_seen(info, store, name, job.table.kind)
    mine = held[fabric.global_rank :: fabric.world_size]
    detectors, target = job.detectors(), target_of(job.config)

    def validate(weights: nn.Module) -> dict[str, float]:
        found = {}
        for scan in map(store.scan, mine):
            said = predict_with(job.config, weights, store.classes, scan, fabric.device, detectors)
            found[scan.name] = scan_score(scan, said, target)
        return mean_score(_gathered(fabric, found, held))

    boards = Boards(job.habits.boards if fabric.is_global_zero else (), job.run, job.title)

    def report(row: dict[str, Any]) -> None:
        if fabric.is_global_zero:
            boards.write(row)
            numbers = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("step", "lr"))
            logger.info("%s  %s", job.title, numbers)

    dataset, sampler = datasets(job, store, names, fabric.global_rank, fabric.world_size)
    fixed = {"config": info.config_hash, "ranks": fabric.world_size}
    weights, progress = fit(
        fabric, job.config, net, dataset, sampler, job.run, job.habits, validate if held else None, report, job.title,
        fixed,
    )  # fmt: skip
    if fabric.is_global_zero:
        save_weights(weights.state_dict(), info, job.run / "weights.safetensors")
    fabric.barrier()
    began = time.perf_counter()
    if mine:
        _write_oof(job, store, mine, info, fabric.device)
    seconds_a_scan = (time.perf_counter() - began) / len(mine) if mine else None
    fabric.barrier()
    manifest |= {
        "state": "done",
        "parameters": parameters(net),
        "seen_cases": list(info.seen_cases),
        "cpu_s": round(progress.cpu_s, 1),
        "wall_s": round(sum(row["wall_s"] for row in progress.timing), 1),
        "s_per_1000_steps": round(1000 * sum(row["wall_s"] for row in progress.timing) / progress.step, 1),
        "s_a_scan": None if seconds_a_scan is None else round(seconds_a_scan, 3),
        "peak_mb": round(max(row["peak_mb"] for row in progress.timing)),
        "score": _last_score(progress.rows),
        "weights_hash": hash_file(job.run / "weights.safetensors"),
        "pid": os.getpid(),
    }
    if fabric.is_global_zero:
        write_json(job.run / "manifest.json", manifest)
        (job.run / BEFORE).unlink(missing_ok=True)
    fabric.barrier()
    return manifest


def scan_score(scan: Scan, prediction: Prediction, target: PresenceTarget = IS_THERE) -> dict[str, list[float]]:
    """At level 128: `dice` by class (3D, nan where absent from both), or, for presence alone, `hits` and `wrong` of the
    slices, by what presence says. Voxels to be ignored do not count."""
    if prediction.maps is not None:
        truth = scan.class_masks()
        predicted = prediction.maps >= HALF
        if scan.ignore is not None:
            truth, predicted = truth & ~scan.ignore, predicted & ~scan.ignore
        return {"dice": [float(dice(t, p)) for t, p in zip(truth, predicted, strict=True)]}
    if prediction.presence is not None:
        is_there, said = presence_truth(scan, target), prediction.presence >= HALF
        return {"hits": [float((is_there & said).sum())], "wrong": [float((is_there ^ said).sum())]}
    return {}


def mean_score(scans: Sequence[dict[str, list[float]]]) -> dict[str, float]:
    """`valid_dice`, the mean over scans and classes, or `valid_f1` of the slices, pooled; nan where nothing counts."""
    pooled = {name: [value for scan in scans for value in scan.get(name, [])] for name in ("dice", "hits", "wrong")}
    if pooled["dice"]:
        return {"valid_dice": float(nan_mean(np.array(pooled["dice"]), axis=0))}
    hits, wrong = sum(pooled["hits"]), sum(pooled["wrong"])
    return {"valid_f1": 2 * hits / (2 * hits + wrong) if hits + wrong else float("nan")}


def _gathered(fabric: Fabric, found: dict[str, Any], order: Sequence[str]) -> list[Any]:
    """What every rank found by scan, in one order."""
    if fabric.world_size > 1:
        everywhere: list[dict[str, Any]] = [{} for _ in range(fabric.world_size)]
        torch.distributed.all_gather_object(everywhere, found)
        found = {name: value for part in everywhere for name, value in part.items()}
    return [found[name] for name in order]


def _last_score(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {name: value for name, value in rows[-1].items() if name.startswith("valid")}


def predict_with(
    config: Experiment, weights: nn.Module, classes: tuple[str, ...], scan: Scan, device: torch.device,
    detectors: tuple[FindBox, ...] = (),
) -> Prediction:  # fmt: skip
    """One scan's prediction by weights in training; it is nobody's, so it has no fold and no hash."""
    member = Member(config, (cast(PaddedNet, weights),), classes, "", "", detectors=detectors)
    return predict(member, scan, device)


def datasets(job: Job, store: Store, names: list[str], rank: int, ranks: int) -> tuple[Any, BatchSampler]:
    """The training items of a run and what draws batches from them, for one rank of several."""
    config, cache_bytes = job.config, job.cache_bytes // max(1, job.habits.workers)
    pseudo = job.pseudo()
    if pseudo is not None:
        store = Enlarged(store, pseudo, names)
        names = [*names, *store.added]
    seed, batch, group = config.train.seed, config.train.batch_size, config.train.accumulate
    epochs, boxes = config.train.epochs, _boxes(job, store, names)
    if isinstance(config, Seg3d):
        patches = PatchDataset(
            store, names, config.data, config.sampler, config.augment, seed, cache_bytes, epochs, boxes
        )
        return patches, BatchSampler(np.ones(len(patches), np.bool_), 1.0, batch, seed, rank, ranks, group)
    if isinstance(config, Cls | Seg25d):
        shown, ignored = config.sampler, config.sampler.ignore_edges
        if isinstance(config, Cls) and ignored > 0:
            raise ConfigError(
                f"{config.name}: sampler.ignore_edges {ignored} leaves slices out of the losses on maps, but a "
                "classifier has none; take it out"
            )
        exclusive = isinstance(config, Seg25d) and config.model.activation == "softmax"
        slices = SliceDataset(
            store, names, config.data, config.augment, seed, cache_bytes, ignored, exclusive, boxes, target_of(config)
        )
        return slices, BatchSampler(
            slices.positive, shown.empty_share, batch, seed, rank, ranks, group, positive_share=shown.positive_share,
            cases=slices.cases if shown.by == "case" else None, epochs=epochs,
        )  # fmt: skip
    raise CasefoldError(f"no data set is known for {type(config).__name__}")


def _boxes(job: Job, store: Store, names: list[str]) -> dict[str, Box]:
    """What `data.crop` leaves of each scan that trains."""
    crop = crop_of(job.config)
    if crop is None:
        return {}
    noted, fresh = job.detectors(), job.detectors(detect_box)
    new = store.added if isinstance(store, Enlarged) else ()
    return {name: find_box(crop, store.scan(name), *(fresh if name in new else noted)) for name in names}


def _write_oof(job: Job, store: Store, held: list[str], info: WeightsInfo, device: torch.device) -> None:
    member = load_member([job.run], device, detect=stored_box)  # the boxes that its validation had
    for name in held:
        refuse_seen(info, store, name, job.table.kind)
        write_prediction(predict(member, store.scan(name), device), job.run / "oof" / f"{name}.npz")


def _write_lost_oof(job: Job, store: Store, info: WeightsInfo) -> None:
    held = [] if job.fold == "full" else job.table.split(store, int(job.fold))[1]
    lost = [name for name in held if not (job.run / "oof" / f"{name}.npz").is_file()]
    if lost:
        logger.info("%s: predicting %d scans again, whose OOF is gone", job.title, len(lost))
        device = make_fabric(job.config, job.device).device
        _write_oof(job, store, lost, info, device)
