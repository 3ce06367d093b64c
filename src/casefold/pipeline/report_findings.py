"""The records of all scans as frames: where score is lost, curves over levels, suspect labels, and what to pick."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from casefold.analysis.agreement import agreement
from casefold.analysis.compared import objective_difference
from casefold.analysis.curves import calibration, gate_curve, set_confusion, sweep
from casefold.analysis.ledger import ledger_frame, pooled_ledger
from casefold.analysis.picks import Candidate, last_two
from casefold.analysis.suspects import suspect_scans, suspect_slices
from casefold.config.ensembles import Objective
from casefold.pipeline.report_record import EDGES, SIDES
from casefold.pipeline.report_scores import METRICS, Gathered
from casefold.recipe import Rung
from casefold.report.content import Curves, Ledger, Losses, Picks, Suspects
from casefold.report.sections.thresholds import ALL
from casefold.tune.objective import value

FINE = 300  # points of a gate's curve
OUTLIERS = ["class", "side", "z", "y", "x", "distance_voxels", "distance"]


def losses(held: Gathered) -> Losses:
    """The ledger over all scans, slices by distance, size and contrast, and the voxels behind Hausdorff distances."""
    states = np.stack([record.states for record in held.records])
    entries = ledger_frame(pooled_ledger(held.objective, states, held.case_of))
    reached = float(value(held.objective, held.rows(held.ways[0]).sum(axis=0)))
    edges = _joined(held, [record.edges for record in held.records], EDGES)
    outliers = _joined(held, [record.outliers for record in held.records], OUTLIERS)
    outliers["side"] = [SIDES[int(side)] for side in outliers["side"]]
    return Losses(
        Ledger(METRICS[held.objective], reached, 1.0, entries),
        edges.astype({"z": int, "truth_voxels": int, "found_voxels": int}),
        outliers.sort_values("distance", ascending=False, kind="stable", ignore_index=True),
    )


def curves(held: Gathered, rung: Rung) -> Curves:
    """What levels and gate do. rung: the recipe's, whose levels are marked; the curves are of each case's own rung."""
    swept = sweep([record.sweep for record in held.records], held.classes)
    column = "dice_scan" if held.objective in ("dice_case", "dice_scan") else "dice_slice"
    swept = swept.rename(columns={column: "score"})[["class", "level", "score"]]
    every = swept.groupby("level", as_index=False)["score"].mean().assign(**{"class": ALL})
    histogram = np.sum([record.histogram for record in held.records], axis=0)
    said = [calibration(own).assign(**{"class": name}) for name, own in zip(held.classes, histogram, strict=True)]
    there, found, signal = (
        np.concatenate([getattr(record, name) for record in held.records], axis=1)
        for name in ("there", "found", "signal")
    )
    gates = []
    if signal.size:
        for name, own, truth in zip(held.classes, signal, there, strict=True):
            curve = gate_curve(own, truth).assign(**{"class": name})
            kept = np.unique(np.linspace(0, len(curve) - 1, min(FINE, len(curve))).round().astype(int))
            gates.append(curve.iloc[kept])
    return Curves(
        sweeps=pd.concat([swept, every[["class", "level", "score"]]], ignore_index=True),
        levels=dict(rung.levels),
        gate=pd.concat(gates, ignore_index=True) if gates else pd.DataFrame(),
        gate_levels={} if rung.gate is None else dict(rung.gate.levels),
        calibration=pd.concat(said, ignore_index=True),
        confusion=set_confusion(there, found, held.classes),
    )


def suspects(held: Gathered, segmenters: int) -> Suspects:
    """Labels that the members doubt."""
    seen = [record.doubts for record in held.records]
    return Suspects(
        suspect_scans(held.scans, seen, held.classes, segmenters),
        suspect_slices(held.scans, seen, held.classes, segmenters),
        segmenters,
    )


def alike(held: Gathered) -> pd.DataFrame:
    """Dice of each way's masks with each other's, by title; of the ways that the records compare and that can be."""
    shared = np.sum([record.shared for record in held.records], axis=0)
    kept = [place for place, way in enumerate(held.ways[: shared.shape[-1]]) if way in held.there]
    return agreement(shared[:, kept][:, :, kept], [held.title(held.ways[place]) for place in kept])


def picks(held: Gathered, notes: Sequence[str], book: pd.DataFrame) -> Picks:
    """The last two of this ensemble, others of the data set, members alone and the ensemble without one; beside them
    what was handed in. book: of `leaderboard.book_frame`."""
    dice = alike(held)
    names = {held.title(way): f"{way.name} alone" for way in held.there if way.kind == "member"}
    dice = dice.rename(index=names, columns=names)
    ways = {names.get(held.title(way), held.title(way)): way for way in held.there}
    ways = {name: way for name, way in ways.items() if name in dice.index}
    candidates = [Candidate(name, held.rows(way)) for name, way in ways.items()]
    chosen = last_two(candidates, dice, held.objective)
    best = next(one for one in candidates if one.name == chosen.first)
    near = {str(name): float(own) for name, own in dice.loc[best.name].to_dict().items()}
    rows = []
    for one in candidates:
        behind = objective_difference(held.objective, best.rows, one.rows)
        pick = {chosen.first: "first", chosen.second: "second"}.get(one.name, "")
        rows.append((one.name, one.score(held.objective), *behind, near[one.name], pick))
    heads = ["candidate", "score", "behind", "behind_low", "behind_high", "agreement", "pick"]
    frame = pd.DataFrame(rows, columns=heads).sort_values("score", ascending=False, kind="stable", ignore_index=True)
    second = chosen.second or "none, there is no other"
    why = f"First: {chosen.first}. Second: {second}.", chosen.reason
    return Picks(frame, (*why, *notes), board(book, held.objective))


def board(book: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Of the submissions in the book with a cross-fitted score by this objective and one of the leaderboard: both, the
    public score where there is one."""
    scores = book.assign(cv=book["cross_fitted"], lb=book["public"].fillna(book["private"]), submission=book["file"])
    known = scores["cv"].notna() & scores["lb"].notna() & (scores["objective"] == objective)
    return scores.loc[known, ["submission", "ensemble", "cv", "lb", "private"]].dropna(axis="columns", how="all")


def member_agreement(held: Gathered) -> pd.DataFrame:
    """`alike` of the members and the ensemble."""
    dice = alike(held)
    names = [held.title(way) for way in held.there if way.kind in ("member", "ensemble")]
    names = [name for name in names if name in dice.index]
    return dice.loc[names, names]


def _joined(held: Gathered, parts: Sequence[np.ndarray], names: Sequence[str]) -> pd.DataFrame:
    """Rows of all scans, with the scan's name, and the class by its name."""
    counts = [len(part) for part in parts]
    frame = pd.DataFrame(np.concatenate(parts), columns=list(names))
    frame.insert(0, "scan", np.repeat(held.scans, counts))
    return frame.assign(**{"class": [held.classes[int(c)] for c in frame["class"]]})
