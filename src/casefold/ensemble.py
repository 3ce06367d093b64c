"""What a rung of a recipe makes of its members' predictions; the same numbers in tune, submission and notebook."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from casefold.config.gates import GateStep
from casefold.core import HALF, DataError, Prediction, Triple
from casefold.postprocess import apply, hysteresis
from casefold.postprocess.signals import along_z
from casefold.recipe import Rung

Bytes = NDArray[np.uint8]
BLOCK = 1 << 17  # voxels combined at a time, so that their sums stay in the processor's cache
_STEPS = np.arange(256) + 0.5
LOGITS = np.log(_STEPS) - np.log(256 - _STEPS)  # of (q + 0.5) / 256; a difference, so that q and 255 - q mirror exactly


def combine_class(q: Sequence[Bytes], weights: Sequence[int], average: str) -> Bytes:
    """The weighted mean of several members' q of one class, uint8 of their shape, as a new array.

    q: a member each, equal in shape. weights: whole numbers, not all 0; only their ratio counts. probabilities: what
    rint(sum k q / sum k) is in float64. logits: the mean of the logits of (q + 0.5) / 256 in float64, in the order
    given, back as rint(256 p - 0.5), so that equal q give q.
    """
    if average not in AVERAGES:
        raise DataError(f"there is no mean of {average!r}; there is that of {', '.join(AVERAGES)}")
    if len(q) != len(weights) or min(weights, default=-1) < 0 or not any(weights):
        raise DataError(f"{len(q)} members with the weights {list(weights)}; wanted 0 or more for each, not all 0")
    if len({part.shape for part in q}) > 1:
        raise DataError(f"members of one mean should be equal in shape, but are {[part.shape for part in q]}")
    divisor = math.gcd(*weights)
    used = [(part, weight // divisor) for part, weight in zip(q, weights, strict=True) if weight > 0]
    if len(used) == 1:
        return used[0][0].copy()
    flat, whole = [part.reshape(-1) for part, _ in used], [weight for _, weight in used]
    mean = np.empty(flat[0].size, np.uint8)
    for start in range(0, mean.size, BLOCK):
        block = slice(start, start + BLOCK)
        mean[block] = AVERAGES[average]([part[block] for part in flat], whole)
    return mean.reshape(q[0].shape)


def combine(predictions: Mapping[str, Prediction], rung: Rung, classes: Sequence[str]) -> Bytes:
    """The combined maps (class, z, y, x): each class's weighted mean in the order of member names.

    Raises DataError for a member with a weight above 0 that predicts no maps.
    """
    names = sorted(rung.weights)
    maps = []
    for index, name in enumerate(classes):
        used = [member for member in names if rung.weights[member][name] > 0]
        q = [_maps(predictions[member])[index] for member in used]
        maps.append(combine_class(q, [rung.weights[member][name] for member in used], rung.average))
    return np.stack(maps)


def gate_signal(
    predictions: Mapping[str, Prediction], members: Sequence[str], source: str, steps: Sequence[GateStep] = (),
    classes: Sequence[str] = (),
) -> NDArray[np.int64]:  # fmt: skip
    """What a gate's levels are compared with, (class, z): of the members' equal-weight mean, its presence 0..255 or the
    number of its pixels of HALF or more, after the steps along z, which name classes.

    Raises DataError for a member that predicts no presence, or no maps.
    """
    if source not in SIGNALS:
        raise DataError(f"there is no gate by {source!r}; there is one by {', '.join(SIGNALS)}")
    return along_z(SIGNALS[source]([predictions[member] for member in members]), steps, classes)


def passed_gate(predictions: Mapping[str, Prediction], rung: Rung, classes: Sequence[str]) -> NDArray[np.bool_] | None:
    """Which classes the gate lets through, bool (class, z); None where the rung has no gate, or one with all levels 0.

    predictions: the gate's members at least, on every slice.
    """
    if rung.gate is None or not any(rung.gate.levels.values()):
        return None
    _check(predictions, rung.gate.members, classes)
    signal = gate_signal(predictions, rung.gate.members, rung.gate.source, rung.gate.along_z, classes)
    return np.asarray(signal >= np.array([rung.gate.levels[name] for name in classes])[:, None])


def to_masks(
    predictions: Mapping[str, Prediction], rung: Rung, classes: Sequence[str], spacing_mm: Triple | None = None
) -> tuple[NDArray[np.bool_], Bytes]:
    """Masks bool (class, z, y, x) of one scan, and the combined maps behind them.

    Order: gate, levels and peaks, post-processing. The maps are 0 on slices that the gate closes for every class, so
    that nothing depends on what members say of them, or whether they were asked. predictions: by member, all that the
    rung reads. spacing_mm: of (z, y, x), for steps in mm. Raises DataError where a member is missing, is of another
    scan, or names other classes.
    """
    if set(classes) != set(rung.levels):
        raise DataError(f"the rung is for {sorted(rung.levels)}, but wanted are {list(classes)}")
    _check(predictions, rung.members, classes)
    maps = combine(predictions, rung, classes)
    passed = passed_gate(predictions, rung, classes)
    if passed is not None:
        maps[:, ~passed.any(0)] = 0
    levels = [rung.levels[name] for name in classes]
    masks = hysteresis(maps, levels, [rung.peaks[name] for name in classes], passed)
    if rung.post:
        presence = {name: _presence(predictions[name], "truncation by") for name in rung.truncating}
        masks = apply(masks, rung.post, classes, spacing_mm=spacing_mm, presence=presence, maps=maps, levels=levels)
    return masks, maps


def near_level(maps: Bytes, rung: Rung, classes: Sequence[str]) -> int:
    """How many voxels of combined maps (class, z, y, x) lie within 1 of what decides them: the level of their class, or
    its peak where that is on."""
    count = 0
    for q, name in zip(maps, classes, strict=True):
        level, peak = rung.levels[name], rung.peaks[name]
        near = _within_1(q, level) | _within_1(q, peak) if peak > level else _within_1(q, level)
        count += int(np.count_nonzero(near))
    return count


def label_map(
    maps: NDArray[np.uint8],
    levels: Sequence[int],
    values: Sequence[int] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """The exclusive label map, uint8 (z, y, x): at each voxel the class of the largest q - level, if not negative.

    maps: q, uint8 (class, z, y, x). levels: 1..255, one a class. values: the label of each class, else 1, 2, 3, ...
    allowed: bool (class, z, y, x), where a gate or post-processing leaves a class. Ties go to the first class; 0 is
    background.
    """
    values = tuple(range(1, len(maps) + 1)) if values is None else tuple(values)
    if not len(maps) == len(levels) == len(values):
        raise DataError(
            f"{len(maps)} maps, {len(levels)} levels and {len(values)} label values; wanted one a class of each"
        )
    if min(values) < 1 or max(values) > 255 or len(set(values)) != len(values):
        raise DataError(f"label values should differ and lie in 1..255, but are {list(values)}")
    margin = maps.astype(np.int16) - np.asarray(levels, np.int16)[:, None, None, None]
    if allowed is not None:
        margin[~allowed] = -1
    best = np.asarray(values, np.uint8)[margin.argmax(0)]
    return np.where(margin.max(0) >= 0, best, np.uint8(0))


def _check(predictions: Mapping[str, Prediction], names: Sequence[str], classes: Sequence[str]) -> None:
    for name in names:
        if name not in predictions:
            raise DataError(f"the recipe wants {name}, but there are predictions of {sorted(predictions)}")
        own, first = predictions[name], predictions[names[0]]
        if own.classes != tuple(classes):
            raise DataError(f"{name} predicts {own.classes}, the recipe is for {tuple(classes)}")
        if (own.scan, own.shape) != (first.scan, first.shape):
            raise DataError(
                f"{name} predicts {own.scan} on a grid of {own.shape}, but {names[0]} {first.scan} on {first.shape}"
            )


def _within_1(q: Bytes, number: int) -> NDArray[np.bool_]:
    return (q >= max(number - 1, 0)) & (q <= min(number + 1, 255))


def _maps(prediction: Prediction) -> Bytes:
    if prediction.maps is None:
        raise DataError(f"{prediction.member} predicts no maps; weights and gates by pixels want a segmenter")
    return prediction.maps


def _presence(prediction: Prediction, role: str) -> Bytes:
    if prediction.presence is None:
        raise DataError(
            f"the {role} {prediction.member} predicts no presence; take a `cls` member or one with a presence head"
        )
    return prediction.presence


def _mean_of_probabilities(q: Sequence[Bytes], weights: Sequence[int]) -> NDArray[np.unsignedinteger]:
    """In whole numbers, exactly; a half goes to the even neighbour, as rint does."""
    whole = sum(weights)
    kind = np.min_scalar_type(256 * whole).type
    total: NDArray[np.unsignedinteger] = np.zeros(q[0].shape, kind)
    for part, weight in zip(q, weights, strict=True):
        total += part * kind(weight)
    if whole % 2:
        total += kind(whole // 2)
    else:  # a remainder of whole / 2 is a half: it carries where the quotient is odd
        total += ((total // kind(whole)) & kind(1)) + kind(whole // 2 - 1)
    total //= kind(whole)
    return total


def _mean_of_logits(q: Sequence[Bytes], weights: Sequence[int]) -> Bytes:
    said = q[0] > 0
    for part in q[1:]:
        said |= part > 0
    if said.all():
        return _mean_of_all_logits(q, weights)
    mean = np.zeros(q[0].shape, np.uint8)
    mean[said] = _mean_of_all_logits([part[said] for part in q], weights)  # most voxels of a scan are 0 for all
    return mean


def _mean_of_all_logits(q: Sequence[Bytes], weights: Sequence[int]) -> Bytes:
    total, logit = np.zeros(q[0].shape), np.empty(q[0].shape)
    for part, weight in zip(q, weights, strict=True):
        total += np.take(weight * LOGITS, part, out=logit, mode="clip")
    total /= sum(weights)
    return np.rint(256 * expit(total, out=total) - 0.5).astype(np.uint8)


def _mean_presence(predictions: Sequence[Prediction]) -> NDArray[np.int64]:
    mean = combine_class([_presence(p, "gate") for p in predictions], [1] * len(predictions), "probabilities")
    return mean.astype(np.int64)


def _pixels(predictions: Sequence[Prediction]) -> NDArray[np.int64]:
    mean = combine_class([_maps(p) for p in predictions], [1] * len(predictions), "probabilities")
    counts: NDArray[np.int64] = (mean >= HALF).sum(axis=(2, 3), dtype=np.int64)
    return counts


AVERAGES: dict[str, Callable[[Sequence[Bytes], Sequence[int]], NDArray[np.unsignedinteger]]] = {
    "probabilities": _mean_of_probabilities,
    "logits": _mean_of_logits,
}
SIGNALS: dict[str, Callable[[Sequence[Prediction]], NDArray[np.int64]]] = {
    "presence": _mean_presence,
    "pixels": _pixels,
}
