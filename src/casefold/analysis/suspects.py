"""Labels to look at: scans and slices where the members agree with each other, and against the label."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from casefold.analysis.voxels import ClassVoxels
from casefold.core import DataError
from casefold.tune.objective import Floats

DOUBTS = ("said", "labelled", "spread", "unlabelled", "unfound")
WINDOW = 5  # slices in a row that are judged together: an emptied run is little of a whole scan
BACKGROUND = 0.1  # of the class's usual volume: a smaller thing weighs less
LEAST_SPREAD = 0.02  # scores of a data set that is all alike would make a trifle stand out
ONE_SIDED = 3  # times as much on one side as on the other
SCAN_COLUMNS = ["scan", "class", "first", "last", "why", "agreement", "disagreement", "score", "excess"]
SLICE_COLUMNS = ["scan", "class", "z", "why", "agreement", "disagreement", "score"]


def doubts(voxels: Sequence[ClassVoxels], members: Sequence[int]) -> Floats:
    """What one scan's slices say for and against its labels, in voxels: float64 (class, z, DOUBTS).

    said: of the members' mean probability p. labelled: of the label. spread: how far members lie apart, 0 to about
    `said`. unlabelled: voxels without label that they find; unfound: labelled ones that they don't: each weighs as
    much as p is beyond one half, so only confident members count. members: which of the maps.
    """
    count, found = len(members), []
    if not count:
        raise DataError("doubts of a label want one member or more")
    for own in voxels:
        q = own.q[list(members)].astype(np.int32)
        total = q.sum(axis=0, dtype=np.int32)
        beyond = 2 * total - 255 * count
        apart = np.zeros_like(total)
        for one in q:
            apart += np.abs(count * one - total)
        unlabelled = np.where(own.truth, 0, np.maximum(beyond, 0))
        unfound = np.where(own.truth, np.maximum(-beyond, 0), 0)
        whole = 255.0 * count
        parts = [own.by_slice(part) / whole for part in (total, unlabelled, unfound)]
        spread = own.by_slice(apart) / (whole * 2 * max(count - 1, 1))  # at most as large as `said`
        found.append(np.stack([parts[0], own.by_slice(own.truth), spread, *parts[1:]], axis=-1))
    return np.stack(found)


def suspect_scans(scans: Sequence[str], seen: Sequence[Floats], classes: Sequence[str], members: int) -> pd.DataFrame:
    """Every scan, the most suspect first: its class, and the slices first..last, for which most speaks against it.

    seen: of `doubts`, one a scan. agreement: among members, 0..1; NaN with a single member, which can only say that it
    is sure, and finds fewer of the bad labels. disagreement: of their mean with the label, 0..1. score: the product
    (with one member, the disagreement). Whole scans and WINDOW slices in a row are both judged.
    excess: how far a scan's scores stand out among all scans', class by class, for members fail more often on some: the
    root of the summed squares over classes and both ways of judging, in robust standard deviations. It ranks.
    """
    usual_volume, usual_area = _usual(seen)
    found = []  # by kind: (scan, class) of agreement, disagreement; and where
    for n, own in enumerate(seen):
        depth = own.shape[1]
        size = min(WINDOW, depth)
        summed = np.concatenate([np.zeros_like(own[:, :1]), own.cumsum(axis=1)], axis=1)
        windows = summed[:, size:] - summed[:, :-size]
        for c, name in enumerate(classes):
            runs = judge(windows[c], usual_area[c], members)
            at = int((runs[0] * runs[1]).argmax())
            whole = judge(own[c].sum(axis=0), BACKGROUND * usual_volume[c], members)
            judged = {"whole": (whole, 0, depth - 1), "run": ((runs[0][at], runs[1][at]), at, at + size - 1)}
            for kind, ((agree, against), first, last) in judged.items():
                part = own[c, first : last + 1].sum(axis=0)
                found.append((n, scans[n], kind, name, first, last, why(part), float(agree), float(against)))
    names = ["n", "scan", "kind", "class", "first", "last", "why", "agreement", "disagreement"]
    rows = pd.DataFrame(found, columns=names)
    rows["score"] = rows["agreement"] * rows["disagreement"]
    usual = rows.groupby(["kind", "class"])["score"]
    middle = usual.transform("median")
    apart = (rows["score"] - middle).abs().groupby([rows["kind"], rows["class"]]).transform("median")
    rows["excess"] = ((rows["score"] - middle) / (1.4826 * apart + LEAST_SPREAD)).clip(lower=0)
    shown = rows.loc[rows.groupby("n")["excess"].idxmax()].set_index("n")
    shown["excess"] = np.sqrt((rows["excess"] ** 2).groupby(rows["n"]).sum())
    worst = shown.sort_values("excess", ascending=False, kind="stable")
    return _told(worst[SCAN_COLUMNS], members)


def suspect_slices(
    scans: Sequence[str], seen: Sequence[Floats], classes: Sequence[str], members: int, most: int = 100
) -> pd.DataFrame:
    """Up to `most` slices by class, the most suspect first; columns as in `suspect_scans`, without `excess`.

    A slice on which there is less than on the class's usual one weighs less: members and labels often end a slice
    apart.
    """
    _, usual_area = _usual(seen)
    found = []
    for name, own in zip(scans, seen, strict=True):
        agree, against = judge(own, usual_area[:, None], members)
        score = agree * against
        for c, z in zip(*np.nonzero(score > 0), strict=True):
            found.append((name, classes[c], int(z), why(own[c, z]), agree[c, z], against[c, z], score[c, z]))
    rows = pd.DataFrame(found, columns=SLICE_COLUMNS).sort_values("score", ascending=False, kind="stable")
    return _told(rows[:most], members)


def judge(part: Floats, usual: float | Floats, members: int) -> tuple[Floats, Floats]:
    """Agreement among members and their disagreement with the label, each 0..1, of sums (..., DOUBTS).

    usual: voxels beside which a small thing does not count as much. A single member agrees with itself.
    """
    said, labelled, spread, unlabelled, unfound = np.moveaxis(part, -1, 0)
    agree = 1 - spread / np.maximum(np.maximum(said, labelled), 1e-9) if members > 1 else np.ones_like(said)
    return np.clip(agree, 0, 1), (unlabelled + unfound) / np.maximum(said + labelled + usual, 1e-9)


def why(part: Floats) -> str:
    """What the members say against the label, of sums (DOUBTS,)."""
    unlabelled, unfound = part[3:]
    if unlabelled > ONE_SIDED * unfound:
        return "members find it, the label lacks it"
    if unfound > ONE_SIDED * unlabelled:
        return "the label has it, members don't find it"
    return "members find it elsewhere"


def _usual(seen: Sequence[Floats]) -> tuple[Floats, Floats]:
    """By class, the median labelled volume of the scans that have it, and area of the slices; 1 voxel without any."""
    volumes = np.stack([own[..., 1].sum(axis=1) for own in seen], axis=1)
    areas = np.concatenate([own[..., 1] for own in seen], axis=1)
    usual = [np.array([np.median(line[line > 0]) if line.any() else 1.0 for line in part]) for part in (volumes, areas)]
    return usual[0], usual[1]


def _told(rows: pd.DataFrame, members: int) -> pd.DataFrame:
    rows = rows.reset_index(drop=True)
    return rows.assign(agreement=np.nan) if members == 1 else rows
