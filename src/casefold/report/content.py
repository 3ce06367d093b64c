"""What the page is drawn from: plain records and frames, filled by the pipeline.

Frames: a row a thing, columns as named here. Further columns may follow and are shown as they come. What a name ends
with is its unit (`_mm3`, `_voxels`, `_s`, `_gb`); `low` and `high`, or `X_low` and `X_high` beside `X`, are the ends of
its 95 % interval. A number that isn't there is NaN. An empty frame leaves its table or plot out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from casefold.core import DataError
from casefold.report.viewer import Packed

EXACT = 1e-6  # what the ledger's parts may miss their sum by


@dataclass(frozen=True)
class Estimate:
    """A score with the ends of its 95 % interval over cases; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Headline:
    """The ensemble's score. metric: in words, the larger the better ("Dice, mean over cases")."""

    metric: str
    cross_fitted: Estimate
    tuned: Estimate


@dataclass(frozen=True)
class Scores:
    """How good it is.

    ways: [what, kind, score], kind ensemble | member | without (leave-one-out), score the headline's metric; the
    metrics of evaluation (dice_slice, uw_score ...) may follow. by_class: [class, score]. by_fold: [what, fold, score].
    by_case: [case, score]. by_scan: [case, scan, score], the worst first. groups: [by, group, scans, mean], `by` what
    was grouped by, the rest of `analysis.groups.grouped`. volumes: of `analysis.volumes.volume_rows`. changes: of
    `analysis.volumes.changes`.
    """

    ways: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_class: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_fold: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_case: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_scan: pd.DataFrame = field(default_factory=pd.DataFrame)
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    volumes: pd.DataFrame = field(default_factory=pd.DataFrame)
    changes: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        _check("scores.ways", self.ways, "what kind score")
        _check("scores.by_class", self.by_class, "class score")
        _check("scores.by_fold", self.by_fold, "what fold score")
        _check("scores.by_case", self.by_case, "case score")
        _check("scores.by_scan", self.by_scan, "case scan score")
        _check("scores.groups", self.groups, "by group scans mean")
        _check("scores.volumes", self.volumes, "case scan class truth_voxels found_voxels truth_mm3 found_mm3")
        _check("scores.changes", self.changes, "case class scan_before scan")


@dataclass(frozen=True)
class Ledger:
    """Where the distance from a perfect score is lost.

    metric: in words. reached, perfect: the score as it is and the best there can be. entries: [repair, part, alone] in
    the order of `analysis.ledger.REPAIRS`; the parts sum to perfect - reached, or DataError is raised.
    """

    metric: str
    reached: float
    perfect: float
    entries: pd.DataFrame

    def __post_init__(self) -> None:
        _check("ledger.entries", self.entries, "repair part alone")
        lost, told = self.perfect - self.reached, float(self.entries["part"].sum())
        if not abs(lost - told) <= EXACT:
            raise DataError(
                f"the ledger's parts sum to {told:.9f}, but {self.metric} falls {lost:.9f} short of perfect"
            )


@dataclass(frozen=True)
class Losses:
    """Where it is lost.

    edges: of `analysis.edges.slice_rows`, a row a slice and class. outliers: [scan, class, side, z, y, x, distance],
    the voxel behind a scan's Hausdorff distance (NaN where one side is empty), `distance` normalised, 0..1.
    """

    ledger: Ledger | None = None
    edges: pd.DataFrame = field(default_factory=pd.DataFrame)
    outliers: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        _check("losses.edges", self.edges, "class distance dice truth_voxels contrast")
        _check("losses.outliers", self.outliers, "scan class side z y x distance")


@dataclass(frozen=True)
class Curves:
    """Thresholds and gate.

    sweeps: [class, level, score], the class "all" for one level for every class. levels, gate_levels: those chosen, by
    class. gate: [class, level, precision, recall, false_alarms], the last as a share of the slices without the class.
    calibration: [class, said, true, voxels] of `analysis.curves.calibration`: a probability, the truth's share there.
    confusion: of `analysis.curves.set_confusion`, slices by the truth's classes (index) and those found (columns).
    """

    sweeps: pd.DataFrame = field(default_factory=pd.DataFrame)
    levels: Mapping[str, int] = field(default_factory=dict)
    gate: pd.DataFrame = field(default_factory=pd.DataFrame)
    gate_levels: Mapping[str, int] = field(default_factory=dict)
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    confusion: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        _check("curves.sweeps", self.sweeps, "class level score")
        _check("curves.gate", self.gate, "class level precision recall false_alarms")
        _check("curves.calibration", self.calibration, "class said true voxels")
        _check_square("curves.confusion", self.confusion)


@dataclass(frozen=True)
class Members:
    """What each member is worth.

    adds: [member, score, adds], the ensemble's score minus that of the ensemble without it. weights: [member, class,
    weight], shares 0..1. agreement: of `analysis.agreement`. training: [member, fold, epoch, loss, score], score NaN
    where an epoch was not validated. gaps: [member, training, validation], scores, by fold or of all.
    fields: [member, share], of the scan that a net's receptive field covers. costs: [member], and what was measured
    (peak_memory_gb, disk_mb, hardware, per_1000_steps_s, per_scan_s).
    """

    adds: pd.DataFrame = field(default_factory=pd.DataFrame)
    weights: pd.DataFrame = field(default_factory=pd.DataFrame)
    agreement: pd.DataFrame = field(default_factory=pd.DataFrame)
    training: pd.DataFrame = field(default_factory=pd.DataFrame)
    gaps: pd.DataFrame = field(default_factory=pd.DataFrame)
    fields: pd.DataFrame = field(default_factory=pd.DataFrame)
    costs: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        _check("members.adds", self.adds, "member score adds")
        _check("members.weights", self.weights, "member class weight")
        _check_square("members.agreement", self.agreement)
        _check("members.training", self.training, "member fold epoch loss score")
        _check("members.gaps", self.gaps, "member training validation")
        _check("members.fields", self.fields, "member share")
        _check("members.costs", self.costs, "member")


@dataclass(frozen=True)
class Suspects:
    """Labels to look at, the most suspect first: scans and slices of `analysis.suspects`.

    members: how many had a say.
    """

    scans: pd.DataFrame = field(default_factory=pd.DataFrame)
    slices: pd.DataFrame = field(default_factory=pd.DataFrame)
    members: int = 0

    def __post_init__(self) -> None:
        _check("suspects.scans", self.scans, "scan class first last why agreement disagreement score excess")
        _check("suspects.slices", self.slices, "scan class z why agreement disagreement score")


@dataclass(frozen=True)
class Picks:
    """The last two submissions.

    candidates: [candidate, score], cross-fitted; `behind`, `behind_low`, `behind_high` (the best's score minus its own)
    and `pick` (first, second or empty) may follow. why: what `analysis.picks` says, and anything that a reader should
    know of it, a sentence each. board: [submission, cv, lb], from the book-keeping.
    """

    candidates: pd.DataFrame = field(default_factory=pd.DataFrame)
    why: tuple[str, ...] = ()
    board: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        _check("picks.candidates", self.candidates, "candidate score")
        _check("picks.board", self.board, "submission cv lb")


@dataclass(frozen=True)
class Content:
    """All that the page shows.

    made: when and by what, one line. warnings: what a reader must know before any number (runs that are missing, same
    case, selected on the fold), a sentence each. viewer: the scans to look at, as `viewer.pack` makes them.
    """

    ensemble: str
    dataset: str
    classes: tuple[str, ...]
    members_used: tuple[str, ...]
    cases: int
    scans: int
    folds: tuple[int, ...]
    made: str
    headline: Headline
    warnings: tuple[str, ...] = ()
    scores: Scores = field(default_factory=Scores)
    losses: Losses = field(default_factory=Losses)
    curves: Curves = field(default_factory=Curves)
    members: Members = field(default_factory=Members)
    suspects: Suspects = field(default_factory=Suspects)
    picks: Picks = field(default_factory=Picks)
    viewer: tuple[Packed, ...] = ()


def _check(what: str, frame: pd.DataFrame, wanted: str) -> None:
    missing = [name for name in wanted.split() if name not in frame.columns]
    if missing and len(frame):
        raise DataError(
            f"{what} should have the columns {wanted.split()}; {missing} are missing of {list(frame.columns)}"
        )


def _check_square(what: str, frame: pd.DataFrame) -> None:
    if list(frame.index) != list(frame.columns):
        raise DataError(
            f"{what} should have the same rows as columns, not {list(frame.index)} and {list(frame.columns)}"
        )
