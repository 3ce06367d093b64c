"""A detector's box of a scan, by the run of it: what `data.crop: {name: detector}` cuts by."""

from casefold.detect.find import CONFIG, WEIGHTS, Detector, detect_box, load_detector, scan_box, slice_boxes

__all__ = ["CONFIG", "WEIGHTS", "Detector", "detect_box", "load_detector", "scan_box", "slice_boxes"]
