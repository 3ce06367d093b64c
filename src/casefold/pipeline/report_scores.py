"""The records of all scans as frames: how good each way is, by class, fold, case, scan and group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.analysis.compared import objective_difference
from casefold.analysis.groups import grouped
from casefold.analysis.measure import dice_of_stats
from casefold.analysis.volumes import changes
from casefold.config.ensembles import Objective
from casefold.metrics import DICE_WEIGHT, nan_mean
from casefold.pipeline.report_masks import Way
from casefold.pipeline.report_record import VOLUMES, Record
from casefold.report.content import Estimate, Scores
from casefold.tune.objective import DISTANCE, Floats, N, S, columns, resampled, value

METRICS: dict[Objective, str] = {
    "dice_case": "Dice, mean over cases",
    "dice_scan": "Dice of a scan, mean over cases",
    "dice_slice": "Dice of a slice, mean over cases",
    "uw_score": "UW-Madison score",
}
DRAWS = 2000
MANY = 30  # groups of words; a column with more (a name, a date) groups nothing


@dataclass(frozen=True)
class Gathered:
    """All records. scans, cases, folds: of each, in the same order. ways: as in the records' stats."""

    ensemble: str
    objective: Objective
    classes: tuple[str, ...]
    scans: tuple[str, ...]
    cases: tuple[str, ...]
    folds: tuple[int, ...]
    ways: tuple[Way, ...]
    records: tuple[Record, ...]

    @cached_property
    def stats(self) -> Floats:
        """(way, class, scan, STATS)."""
        return np.moveaxis(np.stack([record.stats for record in self.records]), 0, 2)

    @cached_property
    def case_names(self) -> tuple[str, ...]:
        """Each case once, in the order of its first scan."""
        return tuple(dict.fromkeys(self.cases))

    @cached_property
    def case_of(self) -> NDArray[np.int64]:
        """The case's number of each scan."""
        return np.array([self.case_names.index(case) for case in self.cases])

    @property
    def there(self) -> list[Way]:
        """The ways that can be in every scan."""
        return [way for way, own in zip(self.ways, self.stats, strict=True) if not np.isnan(own[..., :DISTANCE]).any()]

    def title(self, way: Way) -> str:
        """The way in words."""
        words = {"ensemble": f"ensemble {self.ensemble}", "without": f"without {way.name}"}
        return words.get(way.kind, f"ensemble {way.name}" if way.kind == "other" else way.name)

    def of(self, way: Way) -> Floats:
        """A way's statistics, (class, scan, STATS)."""
        return np.asarray(self.stats[self.ways.index(way)])

    def rows(self, way: Way) -> Floats:
        """The objective's rows of a way, (case, 4)."""
        return columns(self.objective, list(self.of(way)), self.case_of)


def estimate(objective: Objective, rows: Floats) -> Estimate:
    """The objective of rows (case, 4) with its bootstrap interval over cases; of one case, no interval."""
    found = float(value(objective, rows.sum(axis=0)))
    drawn = resampled(objective, rows, DRAWS, 0)
    drawn = drawn[~np.isnan(drawn)]
    if len(rows) < 2 or not drawn.size:
        return Estimate(found)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(found, float(low), float(high))


def scan_scores(objective: Objective, stats: Floats) -> Floats:
    """The objective of each scan by itself, (scan,). stats: (class, scan, STATS)."""
    return value(objective, columns(objective, list(stats), np.arange(stats.shape[1])))


def metrics(stats: Floats, case_of: NDArray[np.int64]) -> dict[str, float]:
    """The metrics that `tune` prints of masks, of statistics (class, scan, STATS)."""
    by_case = np.zeros((int(case_of.max()) + 1, len(stats), stats.shape[-1]))
    np.add.at(by_case, case_of, np.moveaxis(stats, 1, 0))
    count = stats[..., N].sum()
    by_slice = stats[..., S].sum() / count if count else np.nan
    distance = float(nan_mean(stats[..., DISTANCE]))
    return {
        "dice_slice": float(by_slice),
        "dice_scan": float(nan_mean(dice_of_stats(stats))),
        "dice_case": float(nan_mean(nan_mean(dice_of_stats(by_case), axis=1))),
        "uw_score": float(DICE_WEIGHT * by_slice + (1 - DICE_WEIGHT) * (1 - distance)),
        "uw_distance": distance,
    }


def scores(held: Gathered, tuned: pd.DataFrame, cases: pd.DataFrame) -> tuple[Scores, list[str]]:
    """The frames of scores, and what to warn of. tuned: scores.csv of `tune`. cases: columns to group by, by case."""
    ensemble = held.ways[0]
    by_scan = _by_scan(held, held.of(ensemble))
    groups, warnings = _groups(held, by_scan, cases)
    volumes = pd.concat(
        [
            pd.DataFrame(record.volumes, columns=VOLUMES).assign(**{"case": case, "scan": scan, "class": held.classes})
            for scan, case, record in zip(held.scans, held.cases, held.records, strict=True)
        ],
        ignore_index=True,
    )[["case", "scan", "class", *VOLUMES]]
    by_case = pd.DataFrame({"case": held.case_names, "scans": np.bincount(held.case_of)})
    by_case["score"] = value(held.objective, held.rows(ensemble))
    found = Scores(
        ways=_ways(held, tuned),
        by_class=_by_class(held, held.of(ensemble)),
        by_fold=_by_fold(held),
        by_case=by_case.sort_values("score", kind="stable", ignore_index=True),
        by_scan=by_scan.drop(columns=[name for name in GROUPS if name in by_scan]),
        groups=groups,
        volumes=volumes,
        changes=changes(volumes),
    )
    return found, warnings


def adds(held: Gathered, members: Sequence[str]) -> pd.DataFrame:
    """A row a member that the ensemble reads: its score alone, and the ensemble's less that without it."""
    rows, whole = [], held.rows(held.ways[0])
    for name in members:
        alone, without = Way("member", name), Way("without", name)
        score = estimate(held.objective, held.rows(alone)).value if alone in held.there else np.nan
        gain = (np.nan,) * 3
        if without in held.there:
            gain = objective_difference(held.objective, whole, held.rows(without))
        rows.append((name, score, *gain))
    return pd.DataFrame(rows, columns=["member", "score", "adds", "adds_low", "adds_high"])


def _ways(held: Gathered, tuned: pd.DataFrame) -> pd.DataFrame:
    """`tuned`: on what was tuned on. `own_levels`: of a member alone at its own levels, cross-fitted, as `tune` has it;
    its `score` is at the ensemble's levels, behind the ensemble's gate."""
    by_name = {str(row["what"]): row for row in tuned.to_dict("records")}
    rows = []
    for way in held.there:
        if way.kind == "other":
            continue
        score = estimate(held.objective, held.rows(way))
        row: dict[str, Any] = {
            "what": held.title(way),
            "kind": way.kind,
            "score": score.value,
            "low": score.low,
            "high": score.high,
        }
        name = {"ensemble": "recipe", "member": way.name}.get(way.kind, "")
        known = by_name.get(name, {})
        row |= {"tuned": known.get("tuned", np.nan)}
        row |= {"own_levels": known.get("cross_fitted", np.nan) if way.kind == "member" else np.nan}
        rows.append(row | metrics(held.of(way), held.case_of))
    frame = pd.DataFrame(rows)
    return frame if frame["own_levels"].notna().any() else frame.drop(columns="own_levels")


def _by_class(held: Gathered, stats: Floats) -> pd.DataFrame:
    rows = []
    for name, own in zip(held.classes, stats, strict=True):
        score = estimate(held.objective, columns(held.objective, [own], held.case_of))
        found = metrics(own[None], held.case_of)
        rows.append({"class": name, "score": score.value, "low": score.low, "high": score.high, **found})
    return pd.DataFrame(rows)


def _by_fold(held: Gathered) -> pd.DataFrame:
    rows = []
    for way in held.there:
        if way.kind in ("ensemble", "member"):
            for fold in sorted(set(held.folds)):
                inside = np.array([own == fold for own in held.folds])
                _, case_of = np.unique(held.case_of[inside], return_inverse=True)
                own = columns(held.objective, list(held.of(way)[:, inside]), case_of)
                rows.append((held.title(way), fold, float(value(held.objective, own.sum(axis=0)))))
    return pd.DataFrame(rows, columns=["what", "fold", "score"])


GROUPS = {
    "size": "slice size, px",
    "spacing": "spacing, mm",
    "slices": "number of slices",
    "motion": "motion (check)",
}


def _by_scan(held: Gathered, stats: Floats) -> pd.DataFrame:
    """The worst first; a scan in which nothing is scored last."""
    frame = pd.DataFrame({"case": held.cases, "scan": held.scans, "fold": held.folds})
    frame["score"] = scan_scores(held.objective, stats)
    for name, dice in zip(held.classes, dice_of_stats(stats), strict=True):
        frame[f"dice {name}"] = dice
    frame["uw_distance"] = nan_mean(stats[..., DISTANCE], axis=0)
    grids = np.stack([record.grid for record in held.records])
    frame["size"] = [f"{y:.0f} x {x:.0f}" for _, y, x in grids[:, :3]]
    frame["spacing"] = [
        " x ".join(f"{mm:g}" for mm in own) if own[0] == own[0] else "unknown" for own in grids[:, 3:].tolist()
    ]
    frame["slices"] = grids[:, 0].astype(int)
    frame["motion"] = ["yes" if record.motion.any() else "no" for record in held.records]
    return frame.sort_values("score", kind="stable", ignore_index=True)


def _groups(held: Gathered, by_scan: pd.DataFrame, cases: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """What all scans have in common groups nothing; a column of too many words neither."""
    parts, warnings = [], []
    wide = by_scan[["case", "scan", "score", *GROUPS]].merge(
        cases.add_prefix("given "), how="left", left_on="case", right_index=True
    )
    titles: Mapping[str, str] = GROUPS | {f"given {name}": str(name) for name in cases.columns}
    for name, title in titles.items():
        distinct = wide[name].nunique(dropna=False)
        if distinct > MANY and not pd.api.types.is_numeric_dtype(wide[name]):
            warnings.append(f"`{title}` has {distinct} different values, too many to group scans by.")
        elif distinct > 1:
            parts.append(grouped(wide, name).assign(by=title))
    if not parts:
        return pd.DataFrame(), warnings
    frame = pd.concat(parts, ignore_index=True)
    return frame[["by", *(name for name in frame.columns if name != "by")]], warnings
