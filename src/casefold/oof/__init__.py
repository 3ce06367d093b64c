"""Out-of-fold predictions on disk, a file a scan; read back only where none is missing, doubled or tainted."""

from casefold.oof.files import read_header, read_map, read_prediction, write_prediction
from casefold.oof.joining import join, refuse_seen

__all__ = ["join", "read_header", "read_map", "read_prediction", "refuse_seen", "write_prediction"]
