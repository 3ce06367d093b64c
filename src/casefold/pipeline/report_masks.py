"""Every way of making a scan's masks that a report looks at, from one reading of its predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from casefold.analysis.edges import RING_PX
from casefold.analysis.voxels import FLOOR, Bytes, ClassVoxels, pick
from casefold.config.postprocess import Truncate
from casefold.core import Prediction, Scan
from casefold.ensemble import combine_class, to_masks
from casefold.metrics import Mask
from casefold.postprocess.part import Box
from casefold.recipe import Rung

MIX = "(mix)"  # stands for members whose maps are combined already; no member can be called so
Kind = Literal["ensemble", "member", "without", "other"]


class Way(NamedTuple):
    """A way of making masks: the ensemble, a member alone, the ensemble without one, or another ensemble, by name."""

    kind: Kind
    name: str


def rungs_of(
    rung: Rung, segmenters: Sequence[str], readers: Sequence[str], others: Mapping[str, Rung]
) -> dict[Way, Rung | None]:
    """The rung of each way, None where there can be none; the same ways in the same order for every scan.

    segmenters: members with maps. readers: members that are left out in turn. others: other ensembles' rungs.
    """
    found: dict[Way, Rung | None] = {Way("ensemble", ""): rung}
    found |= {Way("other", name): own for name, own in others.items()}
    found |= {Way("member", name): alone(rung, name) for name in segmenters}
    return found | {Way("without", name): without(rung, name, segmenters) for name in readers}


def alone(rung: Rung, member: str) -> Rung:
    """The rung with this member's maps alone; gate, levels, peaks and post-processing stay."""
    return replace(rung, weights={member: dict.fromkeys(rung.levels, 1)})


def without(rung: Rung, member: str, segmenters: Sequence[str]) -> Rung | None:
    """The rung without a member: the others' weights stay, as the levels do; None where there is no other segmenter.

    A class that the member had alone goes to the others in equal parts, if need be to those with no weight; a gate of
    that member alone is opened.
    """
    nothing = dict.fromkeys(rung.levels, 0)
    weights = {name: own for name, own in rung.weights.items() if name != member}
    weights = weights or {name: nothing for name in segmenters if name != member}
    if not weights:
        return None
    bare = [name for name in rung.levels if not any(own[name] for own in weights.values())]
    weights = {name: own | dict.fromkeys(bare, 1) for name, own in weights.items()}
    gate = rung.gate
    if gate is not None:
        left = tuple(name for name in gate.members if name != member)
        gate = replace(gate, members=left) if left else None
    post = tuple(step for step in rung.post if not (isinstance(step, Truncate) and step.member == member))
    return replace(rung, weights=weights, gate=gate, post=post)


class Maker:
    """Makes one scan's masks by any rung: what a mix of members says is worked out once, and only where one says
    something.

    names: the members with maps, in the order of `voxels`' maps, by name. box: what is kept of the scan, whole along z;
    masks, `truth` and `ignore` are cut to it. rungs: those to come; `alone` and `without` of them are known too.
    """

    def __init__(self, scan: Scan, predictions: Mapping[str, Prediction], rungs: Sequence[Rung]) -> None:
        lowest = min(min(rung.levels.values()) for rung in rungs)
        gates = [rung.gate for rung in rungs if rung.gate is not None and rung.gate.source == "pixels"]
        counted = {name for gate in gates for name in gate.members}
        maps = {name: given.maps for name, given in sorted(predictions.items()) if given.maps is not None}
        truth = scan.class_masks()
        self.names = tuple(maps)
        self.voxels = pick(truth, list(maps.values()), floor=min(FLOOR, lowest))
        self.box = _box(self.voxels, scan.grid.shape)
        self.truth: Mask = np.ascontiguousarray(truth[:, *self.box])
        self.ignore = None if scan.ignore is None else np.ascontiguousarray(scan.ignore[self.box])
        self.place = [_moved(own.index, scan.grid.shape, self.box) for own in self.voxels]
        self._maps = np.zeros(self.truth.shape, np.uint8)
        self._named = scan.case, scan.name
        self._classes, self._spacing = scan.classes, scan.grid.spacing_mm
        cut = {name: _cut(given, self.box, name in counted) for name, given in predictions.items()}
        self._predictions = {name: own for name, own in cut.items() if own is not None}
        self._mixed: dict[tuple[int, tuple[tuple[str, int], ...], str], Bytes] = {}
        if self.ignore is not None:
            self.truth &= ~self.ignore

    def q(self, c: int, rung: Rung) -> Bytes:
        """What the rung's mix says of a class, at its voxels: uint8 (voxel,)."""
        own = {name: rung.weights[name][self._classes[c]] for name in sorted(rung.weights)}
        used = tuple((name, weight) for name, weight in own.items() if weight)
        key = c, used, rung.average
        if key not in self._mixed:
            maps = [self.voxels[c].q[self.names.index(name)] for name, _ in used]
            self._mixed[key] = combine_class(maps, [weight for _, weight in used], rung.average)
        return self._mixed[key]

    def masks(self, rung: Rung) -> Mask:
        """What `ensemble.to_masks` makes, cut to the box; voxels to be ignored are not taken out."""
        maps = self._maps  # every rung fills the same voxels
        for c, place in enumerate(self.place):
            maps[c].reshape(-1)[place] = self.q(c, rung)
        mix = Prediction(*self._named, self._classes, self.truth[0].shape, MIX, "", maps)
        rung = replace(rung, weights={MIX: dict.fromkeys(self._classes, 1)})
        return to_masks(self._predictions | {MIX: mix}, rung, self._classes, self._spacing)[0]

    def scored(self, masks: Mask) -> Mask:
        """The masks without the voxels that no score counts."""
        return masks if self.ignore is None else masks & ~self.ignore


def _box(voxels: Sequence[ClassVoxels], shape: tuple[int, int, int]) -> Box:
    """What holds all voxels, with room for a ring round them along y and x; of none, one voxel."""
    _, height, width = shape
    index = np.concatenate([own.index for own in voxels])
    sides = []
    for line, length in ((index // width % height, height), (index % width, width)):
        first, last = (int(line.min()), int(line.max())) if line.size else (0, 0)
        sides.append(slice(max(first - RING_PX, 0), min(last + RING_PX + 1, length)))
    return slice(0, shape[0]), sides[0], sides[1]


def _moved(index: NDArray[np.int64], shape: tuple[int, int, int], box: Box) -> NDArray[np.int64]:
    """Where voxels of the flat grid are on the flat box."""
    _, height, width = shape
    high, wide = (side.stop - side.start for side in box[1:])
    y, x = index // width % height - box[1].start, index % width - box[2].start
    return np.asarray((index // (width * height) * high + y) * wide + x)


def _cut(given: Prediction, box: Box, counted: bool) -> Prediction | None:
    """What gate and truncation read of a prediction: maps only where a gate counts their pixels."""
    shape = given.shape[0], box[1].stop - box[1].start, box[2].stop - box[2].start
    maps = np.ascontiguousarray(given.maps[:, *box]) if counted and given.maps is not None else None
    return None if maps is None and given.presence is None else replace(given, maps=maps, shape=shape)
