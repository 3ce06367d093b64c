"""What to do next, read from what the page holds."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from casefold.report.content import Content

# by the ledger's repair: what went wrong, and what usually helps
REPAIRS = {
    "gate misses": (
        "the gate closes a class on slices that have it",
        "lower the gate's level, or give its members more context and longer training",
    ),
    "gate false alarms": (
        "something is found on slices where the truth has nothing",
        "raise the gate's level, or train on more empty slices (`sampler.empty_share`)",
    ),
    "extent along z": (
        "the found stretch of slices starts or ends elsewhere than the truth's",
        "look at the edge slices; a wider window, a 3D member, or `fill_gaps` and `drop_ends` may help",
    ),
    "class swaps": (
        "voxels are found as another class",
        "give the members more context (larger input, a wider window, 3D)",
    ),
    "stray components": (
        "pieces that touch no truth",
        "search peaks and small components (`tune.post`), or train on more empty slices",
    ),
    "boundary": (
        "outlines differ from the truth's",
        "train at a larger size, tune the levels by class, or average more members and flips",
    ),
}
WIDE_GAP = 0.08  # training above validation by more than this is overfitting that is worth fighting
NARROW_GAP = 0.01  # below this a member could still be trained longer
OPTIMISM = 0.01  # tuned above cross-fitted by more than this: the search has fitted noise
STANDS_OUT = 6.0  # robust standard deviations; even of hundreds of good labels next to none is so far out
NAMED = 3  # scans named in a line
FEW_HOLD = 0.5  # a tenth of the distances holding more of their sum than this: it is outliers, not outlines
WEAK_CLASS = 0.05  # a class this far below the mean of the classes is worth a look of its own


@dataclass(frozen=True)
class Advice:
    """One line. lead: in bold; section: the id of the section that shows it, or empty."""

    lead: str
    text: str
    section: str


def advice(content: Content) -> list[Advice]:
    """The lines that the content gives rise to, in the order of RULES; there may be none."""
    return [line for rule in RULES for line in rule(content)]


def _ledger(content: Content) -> Iterator[Advice]:
    """The ledger's largest part."""
    ledger = content.losses.ledger
    if ledger is None or not (ledger.entries["part"] > 0).any():
        return
    entry = ledger.entries.nlargest(1, "part").iloc[0]
    repair, part, lost = str(entry["repair"]), float(entry["part"]), ledger.perfect - ledger.reached
    why, how = REPAIRS.get(repair, ("the largest part of what is lost", "look at it"))
    yield Advice(f"Most is lost to {repair}: {part:.3f} of {lost:.3f}.", f"Here {why}. To mend it, {how}.", "lost")


def _suspects(content: Content) -> Iterator[Advice]:
    frame = content.suspects.scans
    names = [] if frame.empty else [str(name) for name in frame.loc[frame["excess"] > STANDS_OUT, "scan"]]
    if names:
        told = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
        yield Advice(
            f"Look at {_count(len(names), 'label')}: {told}.",
            "The members are sure of something else there. A wrong label costs score in training and here; "
            "`drop_scans` leaves a scan out.",
            "suspects",
        )


def _gaps(content: Content) -> Iterator[Advice]:
    gaps = content.members.gaps
    if gaps.empty:
        return
    means = gaps.groupby("member", sort=False)[["training", "validation"]].mean().dropna()
    for member, (training, validation) in zip(means.index, means.to_numpy().tolist(), strict=True):
        if training - validation > WIDE_GAP:
            yield Advice(
                f"{member} overfits: {training:.3f} in training, {validation:.3f} in validation.",
                "Stronger augmentation, weight decay, pretrained weights, a smaller net or shorter training may narrow "
                "it; more cases surely would.",
                "members",
            )
        elif training - validation < NARROW_GAP:
            yield Advice(
                f"{member} has room: {training:.3f} in training, {validation:.3f} in validation.",
                "It hardly fits its own cases better than new ones: train longer, or take a larger net or input.",
                "members",
            )


def _optimism(content: Content) -> Iterator[Advice]:
    tuned, honest = content.headline.tuned.value, content.headline.cross_fitted.value
    if tuned - honest > OPTIMISM:
        yield Advice(
            f"The search has fitted noise: {tuned - honest:.3f} of the tuned score is not there on other cases.",
            "Search fewer numbers: one level for all classes, a coarser grid, fewer members.",
            "thresholds" if len(content.curves.sweeps) else "",
        )


def _classes(content: Content) -> Iterator[Advice]:
    frame = content.scores.by_class
    if len(frame) < 2 or frame["score"].isna().all():
        return
    worst = frame.nsmallest(1, "score").iloc[0]
    mean = float(frame["score"].mean())
    if mean - float(worst["score"]) > WEAK_CLASS:
        yield Advice(
            f"{worst['class']} is the weakest class: {worst['score']:.3f}, the mean is {mean:.3f}.",
            "Look at its worst scans; a member of its own, or more of its slices in a batch, may help.",
            "scores",
        )


def _idle(content: Content) -> Iterator[Advice]:
    adds = content.members.adds
    if len(adds) < 2:
        return
    interval = adds["adds_low"] if "adds_low" in adds else adds["adds"]
    idle = [str(name) for name in adds.loc[interval <= 0, "member"]]
    if idle:
        yield Advice(
            f"{', '.join(idle)}: no gain beyond noise.",
            f"The ensemble without {'it' if len(idle) == 1 else 'one of them'} scores as high, within the interval; "
            "leave it out where time counts, or train one that errs elsewhere (agreement matrix).",
            "members",
        )


def _outliers(content: Content) -> Iterator[Advice]:
    distances = content.losses.outliers["distance"] if len(content.losses.outliers) else None
    if distances is None or math.isnan(distances.sum()) or not distances.sum():
        return
    few = len(distances) // 10
    share = float(distances.nlargest(few).sum() / distances.sum())
    if share > FEW_HOLD:
        yield Advice(
            f"A tenth of the Hausdorff distances holds {share:.0%} of their sum.",
            "A few far voxels make them: see which, and drop small or far components.",
            "lost",
        )


RULES: tuple[Callable[[Content], Iterator[Advice]], ...] = (
    _ledger,
    _suspects,
    _gaps,
    _optimism,
    _classes,
    _idle,
    _outliers,
)


def _count(number: int, one: str) -> str:
    return f"1 {one}" if number == 1 else f"{number} {one}s"
