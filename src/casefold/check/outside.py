"""Objects outside the body."""

import numpy as np
from scipy import ndimage

from casefold.check.findings import Finding, runs, span
from casefold.check.overview import Overview
from casefold.check.table import PIXELS
from casefold.core import Scan


def objects_outside(scan: Scan, seen: Overview) -> list[Finding]:
    """Bright pieces that are not joined to the largest one; one finding a scan, for a marker has fellows."""
    drawn = np.flatnonzero(~seen.constant)  # a blank slice would part the body
    if not seen.surrounded or len(drawn) < 2:
        return []
    limits, image = PIXELS["object outside the body"].limits, seen.image[drawn]
    pieces, count = ndimage.label(seen.tissue[drawn], np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    body = int(sizes.argmax()) + 1
    least = seen.air + limits["brightness"] * (seen.bright - seen.air)
    apart, slices = 0, set[int]()
    for piece, box in enumerate(ndimage.find_objects(pieces), start=1):
        own = pieces[box] == piece
        large = own.sum() >= max(limits["voxels"], limits["body_share"] * sizes.max())
        large = large and own.mean() >= limits["filled_share"]
        if piece != body and large and image[box][own].mean() >= least:
            apart += 1
            slices.update(drawn[box[0]].tolist())
    if not apart:
        return []
    where = ", ".join(span([scan.slice_names[z] for z in run]) for run in runs(slices))
    what = f"{apart} bright piece{'s' if apart > 1 else ''} apart from the body"
    return [Finding("object outside the body", scan.case, scan.name, where, what)]
