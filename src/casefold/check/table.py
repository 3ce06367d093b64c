"""The one table of what `check` looks for: how bad it is, where the thresholds lie and why, and what to do about it.

error: `prepare` refuses it, or scores would lie. warning: it can be read, but should be looked at. note: good to know.
The figures in the reasons were measured on `lgg` (70 scans), `hippocampus` (208) and phantoms of three seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Rule:
    """reason: why it is a fault, and why the thresholds lie where they do. limits: the thresholds, by name."""

    severity: Severity
    reason: str
    advice: str
    limits: Mapping[str, float] = field(default_factory=dict)


FILES = {
    "unreadable": Rule("error", "it can't be decoded, or ends too soon", "fetch the file again, or drop the scan"),
    "not an image": Rule("warning", "a stray file among the images", "move it elsewhere"),
    "size": Rule("error", "one array holds one size", "fetch the file again, or take it out of the scan"),
    "type": Rule("error", "one array holds one type", "write all of them in the same form"),
    "name": Rule("error", "the name says which scan and slice it is", "rename it, or move it elsewhere"),
    "spacing": Rule("error", "one scan has one spacing", "find out which is right, and rename or mend the others"),
    "missing slice": Rule("warning", "neighbouring slices are no neighbours", "fetch the slices again"),
    "duplicate slice": Rule("error", "one place along z, two images", "keep the right one"),
    "gap": Rule("warning", "slices do not lie at even steps", "fetch the slices again, or allow gaps in the config"),
    "rle": Rule("error", "the runs are no mask of this slice", "mend the row; was the mask drawn at another size?"),
    "unknown class": Rule("error", "its masks would be lost", "mend the row, or add the class to the config"),
    "doubled label": Rule("error", "two masks for one slice and class", "keep the right row"),
    "partly labelled": Rule("error", "a missing row is no empty mask", "add the rows, empty where nothing is there"),
    "label without image": Rule("error", "a mask of nothing", "fetch the image, or remove the label"),
    "image without label": Rule("warning", "it is read, but neither trains nor scores", "add its labels, or drop it"),
    "label grid": Rule("error", "mask and image are not of the same place", "resample the label onto the image"),
    "label value": Rule("error", "a label that is no class", "mend the label, or add its value to the config"),
    "missing modality": Rule("error", "a member wants all modalities", "fetch it, or set missing_modality"),
    "missing file": Rule("error", "a file that should be there is not", "fetch it, or mend the config"),
    "dropped scan": Rule("error", "drop_scans no longer fits the data", "mend drop_scans or dropped_slices"),
}

PIXELS = {
    "not a number": Rule("error", "one NaN makes the loss NaN", "write numbers there, or drop the scan"),
    "constant scan": Rule("error", "nothing was exported", "export it again, or drop the scan"),
    "constant slice": Rule("warning", "the slices round it hold something", "export it again, or drop the scan"),
    "blank end": Rule("note", "resampling and padding leave such slices at the ends", "leave it, or crop the scan"),
    "truncated image": Rule(
        "warning",
        "what the neighbour shows is cut off along a straight line by one flat value: a file cut short, or a corner "
        "that a rotation left empty. All 37 slices of lgg that lose 0.05 or more of the neighbour's tissue are cut. A "
        "body that gets smaller loses a ring, which no line parts from what is left: 0.95 only as a last tip of 0.06",
        "export it again, or leave the slice out",
        {"lost_share": 0.1, "parted_share": 0.95},
    ),
    "saturated": Rule(
        "warning",
        "values were cut off at the top; scanners leave single hot voxels there, at most 0.001 of a slice",
        "export with a wider window or more bits",
        {"share": 0.05},
    ),
    "metal": Rule(
        "note",
        "bone stays below 3,000 HU; an image with values below -500 is taken for a CT",
        "expect streaks; clip in `normalize` (a CT window)",
        {"ct_below_hu": -500, "metal_above_hu": 3000, "pixels": 10},
    ),
    "streaks": Rule(
        "warning",
        "on a slice with metal the tissue is this many times as rough as on the slices without",
        "look at the masks there; drop the scan if they can't be trusted",
        {"times": 1.5},
    ),
    "object outside the body": Rule(
        "note",
        "bright as tissue and not joined to the body: a marker, a tube, the table, an arm. Smaller ones are noise, "
        "dimmer or ragged ones ghosts and haze; judged only where air surrounds the body. Those of lgg (9 scans) are "
        "markers on the skin",
        "leave it if it is a marker or an arm, else crop it off",
        {"voxels": 8, "body_share": 1e-4, "brightness": 0.5, "filled_share": 0.35},
    ),
    "intensity jump": Rule(
        "warning",
        "a slice between alike neighbours differs from both by 1.28 (e^0.25), or the scan changes by 1.35 (e^0.3) from "
        "one slice to the next: far outside its own spread, and twice what the slices beside do, for at a coil's end "
        "it fades over several. Sound scans stay below e^0.09 and e^0.12; the 7 of lgg above that jump to the eye",
        "normalise by slice, or drop the scan",
        {"log_alone": 0.25, "log_step": 0.3, "spreads": 5, "step_times": 2},
    ),
    "motion": Rule(
        "warning",
        "the slice's neighbours are more alike than it is to either: it was moved, or belongs elsewhere. In a sound "
        "scan one of them is always more like it, by 0.004 at least",
        "look at the slice; drop the scan if it is blurred or out of order",
        {"correlation": 0.05, "neighbours": 0.5},
    ),
}

LABELS = {
    "mask outside the body": Rule(
        "error",
        "most of the mask lies in the air round the body (where none is to be seen: on pixels that are all the slice's "
        "minimum). No mask of lgg, hippocampus or a sound phantom does; the phantom's scan with another place's does",
        "mend or drop the scan's labels",
        {"share": 0.5, "brightness": 0.1, "pixels": 10},
    ),
    "mask missing between slices": Rule(
        "warning",
        "the slices round the gap hold the same thing at the same place: it was forgotten rather than absent. Nothing "
        "in lgg and hippocampus has such a gap",
        "draw it, or drop the scan",
        {"slices": 3, "neighbours": 0.5},
    ),
    "mask out of line": Rule(
        "warning",
        "the masks before and after cover each other, and this one covers neither: another slice's, or mirrored. In "
        "lgg a slice falls short of its neighbours' overlap by 0.11 at most",
        "draw it again, or drop the scan",
        {"own": 0.2, "neighbours": 0.5},
    ),
    "all empty": Rule("note", "labelled, with no mask on any slice", "make sure that it was looked at"),
    "class never seen": Rule("error", "nothing to learn it from", "mend its name in the config or in the labels"),
    "class on one slice only": Rule(
        "note",
        "elsewhere the class spans many slices (at the median)",
        "make sure that it was drawn to the end",
        {"usual_slices": 5, "scan_slices": 10},
    ),
}

ACROSS = {
    "leak": Rule("error", "the same pixels in two cases: one fold sees the other's", "join the cases, or drop one"),
    "same slice in two scans": Rule("warning", "the same pixels in two scans of a case", "drop one of the scans"),
    "same slice twice": Rule("warning", "the same pixels under two names in one scan", "export the scan again"),
    "implausible spacing": Rule(
        "warning",
        "no scanner gives pixels below 0.1 mm or slices above 20 mm; pixels are square or nearly so",
        "set spacing_mm in the config",
        {"least_mm": 0.1, "most_mm": 20, "pixel_sides": 1.5, "z_times": 15},
    ),
    "odd spacing": Rule(
        "warning",
        "twice or half that of the others, where nearly all others are alike: a wrong header or name",
        "check it against the scanner's protocol",
        {"times": 2, "scans_share": 0.1},
    ),
    "mixed spacing": Rule(
        "note", "the set's spacings differ by more than 2", "let 3D members resample (`spacing_mm`)", {"times": 2}
    ),
    "stand-in spacing": Rule(
        "note",
        "exactly 1 mm everywhere is what converters write when they do not know; so is one spacing for images whose "
        "sizes differ by more than 1.5",
        "set spacing_mm: unknown, unless the set's own text says so",
        {"size_times": 1.5, "scans": 2},
    ),
}

# How tissue is told from air: as a share of the way from the air's median to the tissue's, on both sides of Otsu's
# threshold. These hold for every rule that speaks of tissue or body.
TISSUE = 0.25  # below the dimmest tissue of lgg's scans, above the haze of their air
SIGNAL = 0.05  # what is no air, be it ever so dim
DARKEST = 1e-3  # what a black slice counts as, for the logarithm
FLAT = 0.1  # the air's median deviation, at most: lgg 0.05, hippocampus (crops without air) 0.2
AIR_ON_BORDER = 0.5  # of the border, at least, where air surrounds a body: lgg 0.85, hippocampus 0.4
FULL_SLICE = 0.5  # of the median slice's tissue: less is a scan's end, where brightness and likeness fade by themselves
FLAT_COVER = 0.99  # of the pixels that one pixel of the overview stands for

RULES: Mapping[str, Rule] = FILES | PIXELS | LABELS | ACROSS
