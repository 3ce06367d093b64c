"""Every fault of a data set at once: what the reader says of its files, and what the pixels and the masks say."""

from casefold.check.run import check_dataset, exit_code

__all__ = ["check_dataset", "exit_code"]
