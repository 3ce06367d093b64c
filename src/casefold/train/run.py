"""One run: a member on one fold (or on every case), from its inputs to weights, OOF and manifest, exactly once."""

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from casefold.config.experiments import Cls, Experiment, Seg3d, Seg25d
from casefold.config.load import differing_fields, dump, save
from casefold.core import HALF, CasefoldError, Prediction, Scan, StaleError
from casefold.data.patches import PatchDataset
from casefold.data.sampler import BatchSampler
from casefold.data.slices import SliceDataset
from casefold.files import hash_file, hash_value, read_record, write_json, writing
from casefold.folds import FoldTable
from casefold.metrics import dice
from casefold.models.build import PaddedNet, build, parameters
from casefold.models.weights import WeightsInfo, read_info, save_weights
from casefold.oof import refuse_seen, write_prediction
from casefold.predict import Member, load_member, predict
from casefold.store import Store
from casefold.train.log import surroundings
from casefold.train.loop import fit, make_fabric

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
    workers: int = 0
    cache_bytes: int = 0

    @property
    def title(self) -> str:
        """How progress lines call it."""
        return f"{self.config.kind}/{self.config.name} {self.fold}"  # type: ignore[attr-defined]

    def inputs(self, store: Store) -> dict[str, Any]:
        """What the result depends on; device and workers stay outside."""
        return {"config": dump(self.config), "fold": self.fold, "folds": self.table.hash, "data": store.data_hash}


def is_done(job: Job, store: Store) -> bool:
    """Whether this run has ended with these inputs; raises StaleError, naming what changed, where with others."""
    path = job.run / "manifest.json"
    if not path.is_file():
        return False
    manifest = read_record(path)
    changed = differing_fields(manifest["inputs"], job.inputs(store))
    if changed:
        raise StaleError(
            f"{job.run} was trained from other inputs: {'; '.join(changed[:5])}. Give the experiment a new name, put "
            "the old inputs back, or call again with --redo, which moves the old run aside"
        )
    return bool(manifest["state"] == "done")


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
    save(job.config, job.run / "config.yaml")
    manifest = {"state": "running", "inputs": job.inputs(store), "seed": job.config.train.seed, **surroundings()}
    write_json(job.run / "manifest.json", manifest)

    fabric = make_fabric(job.config, job.device)
    modalities = len(store.scan(names[0]).image)
    torch.manual_seed(job.config.train.seed)
    net = build(job.config, modalities, len(store.classes), pretrained=not (job.run / "last.pt").is_file())
    info = WeightsInfo(
        member=job.config.name,
        fold=job.fold,
        config_hash=hash_value(dump(job.config)),
        modalities=modalities,
        classes=store.classes,
        seen_cases=tuple(dict.fromkeys(store.case_of[name] for name in names)),
        seen_scans=tuple(names) if job.table.kind == "time" else (),
    )

    def validate(weights: nn.Module) -> dict[str, float]:
        member = Member(job.config, (cast(PaddedNet, weights),), store.classes, job.fold, "")
        pairs = [(store.scan(name), predict(member, store.scan(name), fabric.device)) for name in held]
        return score(pairs)

    def report(row: dict[str, Any]) -> None:
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("step", "lr"))
        logger.info("%s  %s", job.title, numbers)

    dataset, sampler = _dataset(job, store, names, fabric.global_rank, fabric.world_size)
    weights, progress = fit(
        fabric, job.config, net, dataset, sampler, job.run, job.workers, validate if held else None, report, job.title
    )
    save_weights(weights.state_dict(), info, job.run / "weights.safetensors")
    if held:
        _write_oof(job, store, held, info, fabric.device)
    manifest |= {
        "state": "done",
        "parameters": parameters(net),
        "seen_cases": list(info.seen_cases),
        "cpu_s": round(progress.cpu_s, 1),
        "wall_s": round(sum(row["wall_s"] for row in progress.timing), 1),
        "score": {name: value for name, value in progress.rows[-1].items() if name.startswith("valid")},
        "weights_hash": hash_file(job.run / "weights.safetensors"),
        "pid": os.getpid(),
    }
    write_json(job.run / "manifest.json", manifest)
    return manifest


def score(pairs: list[tuple[Scan, Prediction]]) -> dict[str, float]:
    """Mean over scans at level 128: `valid_dice` (3D, classes absent from both skipped), or, for presence alone,
    `valid_f1` of the slices, pooled. Voxels to be ignored do not count; nan where nothing could be scored."""
    dices, hits, wrong = [], 0, 0
    for scan, prediction in pairs:
        truth = scan.class_masks()
        if prediction.maps is not None:
            predicted = prediction.maps >= HALF
            if scan.ignore is not None:
                truth, predicted = truth & ~scan.ignore, predicted & ~scan.ignore
            dices += [dice(t, p) for t, p in zip(truth, predicted, strict=True)]
        elif prediction.presence is not None:
            is_there, said = truth.any(axis=(2, 3)), prediction.presence >= HALF
            hits += int((is_there & said).sum())
            wrong += int((is_there ^ said).sum())
    if dices:
        return {"valid_dice": float(np.nanmean(dices)) if not np.isnan(dices).all() else float("nan")}
    return {"valid_f1": 2 * hits / (2 * hits + wrong) if hits + wrong else float("nan")}


def _dataset(job: Job, store: Store, names: list[str], rank: int, ranks: int) -> tuple[Any, BatchSampler]:
    config, cache_bytes = job.config, job.cache_bytes // max(1, job.workers)
    seed, batch = config.train.seed, config.train.batch_size
    if isinstance(config, Seg3d):
        patches = PatchDataset(store, names, config.data, config.sampler, config.augment, seed, cache_bytes)
        return patches, BatchSampler(np.ones(len(patches), np.bool_), 1.0, batch, seed, rank, ranks)
    if isinstance(config, Cls | Seg25d):
        slices = SliceDataset(store, names, config.data, config.augment, seed, cache_bytes)
        return slices, BatchSampler(slices.positive, config.sampler.empty_share, batch, seed, rank, ranks)
    raise CasefoldError(f"no data set is known for {type(config).__name__}")


def _write_oof(job: Job, store: Store, held: list[str], info: WeightsInfo, device: torch.device) -> None:
    member = load_member([job.run], device)
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
