"""What a report says of the members beside their masks: weights, training, gaps, what they see, what they cost."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casefold.config.experiments import Cls, Experiment, Seg3d, Seg25d
from casefold.config.inputs import VolumeData
from casefold.files import read_record, write_json
from casefold.models.precision import pick_device
from casefold.pipeline.project import Project
from casefold.pipeline.report_findings import member_agreement
from casefold.pipeline.report_scores import Gathered, adds
from casefold.predict import load_member, predict
from casefold.recipe import Recipe
from casefold.report.content import Members
from casefold.store import Store
from casefold.train.run import mean_score, scan_score

logger = logging.getLogger(__name__)
GAP_S = 60.0  # for predicting training scans, by what the runs took a scan
UNKNOWN_S = 2.0  # a scan, of a run that does not say
GAP_SCANS = 3  # training scans of a run, at most


def members(project: Project, held: Gathered, recipe: Recipe, store: Store, folds: Sequence[int]) -> Members:
    """What each member adds, weighs, sees and costs, how it was trained, and how far it fits its training scans."""
    runs = {name: [project.run(name, str(fold)) for fold in folds] for name in project.trained}
    return Members(
        adds=adds(held, recipe.members),
        weights=_weights(recipe),
        agreement=member_agreement(held),
        training=pd.concat(
            [_log(name, run) for name, own in runs.items() for run in own] or [pd.DataFrame()], ignore_index=True
        ),
        gaps=gaps(project, store, folds),
        fields=pd.DataFrame(
            [(name, seen_share(config, held)) for name, config in project.trained.items()], columns=["member", "share"]
        ),
        costs=pd.DataFrame([{"member": name, **_cost(own)} for name, own in runs.items()]),
    )


def gaps(project: Project, store: Store, folds: Sequence[int]) -> pd.DataFrame:
    """The score of each run on a few of the scans that it learnt from, beside that on those it held back.

    Both at level 128 by the run's own measure, Dice of scans or F1 of slices. Predicts GAP_SCANS of each run's scans,
    or as many as GAP_S allows by what its runs took, on the first fold alone if need be; of none, an empty frame.
    """
    manifests = {(name, fold): _manifest(project.run(name, str(fold))) for name in project.trained for fold in folds}
    if not manifests:
        return pd.DataFrame()
    seconds = {key: max(float(own.get("s_a_scan") or UNKNOWN_S), 1e-3) for key, own in manifests.items()}
    if sum(seconds.values()) > GAP_S:
        manifests = {key: own for key, own in manifests.items() if key[1] == folds[0]}
    count = int(min(GAP_SCANS, GAP_S / sum(seconds[key] for key in manifests)))
    if not count:
        logger.info("report: no training scans are predicted, that would take longer than %g s", GAP_S)
        return pd.DataFrame()
    rows = []
    device = pick_device(project.device)
    tables = project.tables(store, project.trained)
    for (name, fold), manifest in manifests.items():
        run = project.run(name, str(fold))
        path = project.out / "report_gaps" / f"{manifest['weights_hash']}.json"
        learnt = tables[name].split(store, fold)[0]
        picked = np.unique(np.linspace(0, len(learnt) - 1, min(count, len(learnt))).round().astype(int))
        own = _training_score(run, store, [learnt[place] for place in picked], device, path)
        validation = float(next(iter(manifest["score"].values()), np.nan))
        rows.append((name, fold, own, validation))
    return pd.DataFrame(rows, columns=["member", "fold", "training", "validation"])


def seen_share(config: Experiment, held: Gathered) -> float:
    """The share of a scan that one input of a member holds, 0..1, the mean over scans: the most that a net can see at
    once. Its receptive field may be smaller."""
    return float(np.mean([_share(config, record.grid) for record in held.records]))


def _share(config: Experiment, grid: Any) -> float:
    shape, spacing = grid[:3], grid[3:]
    if isinstance(config, Cls | Seg25d):
        sides = [len(set(config.data.window)), *(shape[1:] if config.data.fit == "resize" else config.data.size)]
    elif isinstance(config, Seg3d):
        shape = shape * _zoom(config.data, spacing)
        sides = list(shape if config.data.patch is None else config.data.patch)
    else:
        return float("nan")
    return float(np.prod(np.minimum(1, np.array(sides, np.float64) / shape)))


def _zoom(data: VolumeData, spacing: Any) -> Any:
    if data.spacing_mm is not None:
        return spacing / np.array(data.spacing_mm)
    return np.array(data.zoom or (1.0, 1.0, 1.0))


def _weights(recipe: Recipe) -> pd.DataFrame:
    weights = recipe.rungs[0].weights
    total = {name: sum(own[name] for own in weights.values()) for name in recipe.classes}
    rows = [(member, name, own[name] / total[name]) for member, own in weights.items() for name in recipe.classes]
    return pd.DataFrame(rows, columns=["member", "class", "weight"])


def _log(member: str, run: Path) -> pd.DataFrame:
    """A row an epoch; empty where the run has no log."""
    path = run / "log.csv"
    if not path.is_file() or not path.stat().st_size:
        return pd.DataFrame()
    log = pd.read_csv(path)
    scores = [name for name in map(str, log) if name.startswith("valid")]
    score = log[scores[0]] if scores else np.nan
    fold = run.name.removeprefix("fold")
    return pd.DataFrame({"member": member, "fold": fold, "epoch": log["epoch"], "loss": log["loss"], "score": score})


def _manifest(run: Path) -> dict[str, Any]:
    path = run / "manifest.json"
    return dict(read_record(path)) if path.is_file() else {}


def _cost(runs: Sequence[Path]) -> dict[str, Any]:
    """Of a member: the most memory of its runs, all that they take on disk, and the mean of their times."""
    found = [_manifest(run) for run in runs]
    disk = sum(path.stat().st_size for run in runs for path in run.rglob("*") if path.is_file())
    memory = max((float(own.get("peak_mb") or np.nan) for own in found), default=np.nan)
    return {
        "peak_memory_gb": memory / 1000,
        "disk_mb": disk / 1e6,
        "per_1000_steps_s": _mean(found, "s_per_1000_steps"),
        "per_scan_s": _mean(found, "s_a_scan"),
        "hardware": "; ".join(dict.fromkeys(_hardware(own.get("machine", {})) for own in found)),
    }


def _mean(manifests: Sequence[dict[str, Any]], name: str) -> float:
    values = [float(own[name]) for own in manifests if own.get(name) is not None]
    return float(np.mean(values)) if values else float("nan")


def _hardware(machine: dict[str, Any]) -> str:
    """A GPU's name where there is one, else the processor's and its cores."""
    if machine.get("gpus"):
        return ", ".join(machine["gpus"])
    return f"{machine['processor']}, {machine.get('cores')} cores" if machine.get("processor") else "not known"


def _training_score(run: Path, store: Store, scans: Sequence[str], device: Any, path: Path) -> float:
    """Kept in a file, by the weights."""
    if path.is_file():
        known = read_record(path)
        if known["scans"] == list(scans):
            return float(known["score"])
    member = load_member([run], device)
    found = mean_score([scan_score(store.scan(name), predict(member, store.scan(name), device)) for name in scans])
    score = next(iter(found.values()), float("nan"))
    write_json(path, {"scans": list(scans), "score": score})
    return score
