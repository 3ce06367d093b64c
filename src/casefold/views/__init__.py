"""Views of a scan: a part of it, cut in another plane; what is said of a view is brought back to the scan exactly."""

from casefold.views.box import Box, whole_box
from casefold.views.crops import (
    BOXES,
    Detect,
    FindBox,
    crop_of,
    detector_run,
    find_box,
    read_boxes,
    refuse_without_boxes,
    stored_box,
    write_boxes,
)
from casefold.views.turning import crop_scan, put_back, turn_scan, view_scan

__all__ = [
    "BOXES",
    "Box",
    "Detect",
    "FindBox",
    "crop_of",
    "crop_scan",
    "detector_run",
    "find_box",
    "put_back",
    "read_boxes",
    "refuse_without_boxes",
    "stored_box",
    "turn_scan",
    "view_scan",
    "whole_box",
    "write_boxes",
]
