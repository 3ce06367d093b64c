"""Dice by case of the runs of `peers.py`, and what ours has over a peer: full volumes, one class a voxel, no flips."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from monai.networks.nets import UNet
from numpy.typing import NDArray

from casefold.core import HALF, DataError
from casefold.ensemble import combine_class, label_map
from casefold.folds import FoldTable
from casefold.metrics import bootstrap_interval, dice_by_scan
from casefold.oof import join, read_prediction
from casefold.store import Store
from peer_training import Bench, Spent

LABELS = ("anterior", "posterior")  # 1 and 2 in the label maps
ROUNDED = 1e-3
Dice = dict[str, list[float]]


@dataclass(frozen=True)
class Run:
    """One training: what trained, the fold held back, what it took, and by case the Dice of each label."""

    name: str
    fold: int
    spent: Spent
    dice: Dice


def our_dice(members: Sequence[Path], table: FoldTable, store: Store, fold: int) -> Dice:
    """Of the verified OOF against the store's truth, the mean of the members' maps where there are several.

    A voxel has the class of the larger q, if that is 128 or more.
    """
    scores = {}
    files = [join(member, table, store, [fold]) for member in members]
    for scan in files[0]:
        maps = [q for own in files if (q := read_prediction(own[scan]).maps) is not None]
        if store.classes != LABELS or len(maps) < len(files):
            raise DataError(f"{[str(own[scan]) for own in files]} should hold maps of {LABELS}")
        mean = combine_class(maps, [1] * len(maps), "probabilities")
        predicted = _as_masks(label_map(mean, [HALF] * len(LABELS)))
        scores[scan] = dice_by_scan(store.scan(scan).class_masks(), predicted).tolist()
    return scores


def nnunet_dice(bench: Bench, configuration: str, fold: int, names: Sequence[str]) -> Dice:
    """By nnU-Net's own Python, once."""
    path = bench.work / "scores" / f"nnunet_{configuration}_{fold}.json"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        bench.call(
            f"score_{path.stem}.log", bench.nnunet("python"), Path(__file__).resolve().with_name("nnunet_cases.py"),
            "--model", bench.model(configuration), "--fold", str(fold), "--images", bench.data / "imagesTr",
            "--labels", bench.data / "labelsTr", "--names", *(f"{name}.nii.gz" for name in names), "--out", path,
        )  # fmt: skip
    scores: Dice = json.loads(path.read_text())["dice"]
    return scores


def monai_dice(bench: Bench, fold: int, names: Sequence[str]) -> Dice:
    """From the averaged weights, as the baseline scores itself; raises DataError where its own mean is another."""
    path = bench.work / "monai" / f"unet_{fold}.json"
    said: Any = json.loads(path.read_text())
    channels = [int(number) for number in said["args"]["ch"].split(",")]
    net = UNet(3, 1, 1 + len(LABELS), channels, [2] * (len(channels) - 1), num_res_units=2, norm="INSTANCE")
    net.load_state_dict(torch.load(path.with_suffix(".pt"), weights_only=True))
    net.eval()
    scores = {name: _monai_case(net, bench.data, f"{name}.nii.gz", said["args"]["amp"]) for name in names}
    mean = float(np.mean(list(scores.values())))
    if abs(mean - said["final_ema"]["mean"]) > ROUNDED:
        raise DataError(
            f"{path} says {said['final_ema']['mean']}, but its weights give {mean:.4f} on {len(names)} cases"
        )
    return scores


def _monai_case(net: torch.nn.Module, data: Path, name: str, bf16: bool) -> list[float]:
    image, truth = (np.asarray(nib.load(data / part / name).dataobj) for part in ("imagesTr", "labelsTr"))
    image = image.astype(np.float32)
    volume = torch.from_numpy((image - image.mean()) / image.std())[None, None]
    before = [(-size % 8) // 2 for size in image.shape]
    after = [-size % 8 - start for size, start in zip(image.shape, before, strict=True)]
    pads = [amount for pair in zip(before[::-1], after[::-1], strict=True) for amount in pair]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        labels = net(F.pad(volume, pads))[0].float().argmax(0).numpy()
    inside = tuple(slice(start, start + size) for start, size in zip(before, image.shape, strict=True))
    scores: list[float] = dice_by_scan(_as_masks(truth), _as_masks(labels[inside])).tolist()
    return scores


def _as_masks(labels: NDArray[Any]) -> NDArray[np.bool_]:
    return np.stack([labels == value for value in range(1, len(LABELS) + 1)])


def table_of(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a training, and one a name over all its folds; patches: (or slices) seen a CPU-second of training."""
    rows = [_row(run.name, str(run.fold), [run.spent], run.dice) for run in runs]
    for name in dict.fromkeys(run.name for run in runs):
        own = [run for run in runs if run.name == name]
        cases = {case: values for run in own for case, values in run.dice.items()}
        rows.append(_row(name, "all", [run.spent for run in own], cases))
    return pd.DataFrame(rows)


def _row(name: str, fold: str, spent: Sequence[Spent], dice: Dice) -> dict[str, Any]:
    cpu_s = sum(seconds for seconds, _ in spent)
    rate = sum(seconds * rate for seconds, rate in spent) / cpu_s
    means = np.array(list(dice.values())).mean(axis=0)
    by_label = dict(zip(LABELS, means.tolist(), strict=True))
    took = {"cpu_s": round(cpu_s), "patches_a_cpu_s": round(rate, 2)}
    return {"run": name, "fold": fold, **took, "cases": len(dice), **by_label, "mean": float(means.mean())}


def differences(runs: Sequence[Run], ours: Sequence[str]) -> pd.DataFrame:
    """Ours minus each peer by case, over the folds that both have: mean, and its paired bootstrap interval (95 %)."""
    by_name: dict[str, dict[int, Dice]] = {}
    for run in runs:
        by_name.setdefault(run.name, {})[run.fold] = run.dice
    rows = []
    for own in ours:
        for peer in (name for name in by_name if name not in ours):
            folds = sorted(set(by_name[own]) & set(by_name[peer]))
            parts = [_paired(by_name[own][fold], by_name[peer][fold]) for fold in folds]
            if parts:
                values = np.concatenate(parts)
                low, high = bootstrap_interval(values)
                said = {"ours": own, "minus": peer, "folds": " ".join(map(str, folds)), "cases": len(values)}
                rows.append({**said, "mean": float(values.mean()), "low": low, "high": high})
    return pd.DataFrame(rows)


def _paired(own: Mapping[str, Sequence[float]], peer: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    """Differences of the mean of both labels, in one order of cases."""
    if set(own) != set(peer):
        raise DataError(f"two runs of one fold were scored on other cases: {sorted(set(own) ^ set(peer))[:5]}")
    return np.array([np.mean(own[case]) - np.mean(peer[case]) for case in sorted(own)])
