"""How good a detector is on held-out scans: boxes on slices, and what its crop of a scan costs and saves."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from casefold.core import Scan
from casefold.detect.find import Found
from casefold.detect.pictures import Boxes
from casefold.detect.yolo import average_precision
from casefold.views import Box

SAME = 0.5  # overlap from which on a box found is the one that is there
LEAST = 0.001  # confidence that average precision counts from


class Tally:
    """What is counted scan by scan."""

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence
        self._hits: list[NDArray[np.bool_]] = []
        self._found: list[Found] = []
        self._true: list[NDArray[np.int64]] = []
        self._met = self._voxels = self._cut = 0
        self._kept: list[float] = []

    def add(
        self, scan: Scan, found: Sequence[Found], true: Sequence[tuple[Boxes, NDArray[np.int64]]], box: Box
    ) -> None:
        """One labelled scan: what was found at LEAST and what is there, by slice looked at; and its box."""
        for boxes, (wanted, kinds) in zip(found, true, strict=True):
            self._hits.append(pairs(boxes, wanted, kinds)[0])
            self._met += int(pairs(boxes[boxes[:, 4] > self.confidence], wanted, kinds)[1].sum())
            self._found.append(boxes)
            self._true.append(kinds)
        there = np.asarray(scan.class_masks().any(0))
        if scan.ignore is not None:
            there = there & ~scan.ignore
        self._voxels += int(there.sum())
        self._cut += int(there.sum() - there[:, slice(*box.y), slice(*box.x)].sum())
        self._kept.append(box.shape[1] * box.shape[2] / (there.shape[1] * there.shape[2]))

    def row(self) -> dict[str, float]:
        """Of all: mAP50; share of the boxes found; share of the mask voxels outside of the crop, along y and x; and the
        share of a slice that the crop keeps, the mean over scans. nan where nothing is there to be found."""
        found, true = np.concatenate(self._found), np.concatenate(self._true)
        return {
            "valid_map50": average_precision(np.concatenate(self._hits), found[:, 4], found[:, 5], true),
            "valid_box_recall": self._met / len(true) if len(true) else float("nan"),
            "valid_cut_off": self._cut / self._voxels if self._voxels else float("nan"),
            "valid_kept_area": float(np.mean(self._kept)),
        }


def pairs(found: Found, wanted: Boxes, kinds: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which boxes found are ones wanted, and which wanted are found: the closest first, each once, of the same kind."""
    hit, met = np.zeros(len(found), np.bool_), np.zeros(len(wanted), np.bool_)
    unions = box_iou(torch.from_numpy(found[:, :4]).double(), torch.from_numpy(wanted).double()).numpy()
    closeness = np.nan_to_num(unions) * (found[:, 5, None] == kinds)  # two boxes without area have none
    for place in np.argsort(-closeness, axis=None, kind="stable"):
        one, other = np.unravel_index(place, closeness.shape)
        if closeness[one, other] < SAME:
            break
        if not hit[one] and not met[other]:
            hit[one] = met[other] = True
    return hit, met
