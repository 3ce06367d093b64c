"""What the DICOM readers say of faults: those on their way to the reporter, mere notes, and pydicom's many warnings."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from casefold.core import DataError
from casefold.readers import FaultKind, Report, refuse

log = logging.getLogger(__name__)
LISTED = 5  # names that a line of the log gives


class Fault(DataError):
    """A fault on its way to the reporter."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind


@contextmanager
def quiet(where: str, level: int = logging.INFO) -> Iterator[None]:
    """What pydicom warns of inside becomes one line of the log, at a level."""
    before = {name: logging.getLogger(name).level for name in ("pydicom", "highdicom")}
    for name in before:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("once")
            yield
    finally:
        for name, its_level in before.items():
            logging.getLogger(name).setLevel(its_level)
    if caught:
        log.log(level, "%s: pydicom warns of %d odd values, the first: %s", where, len(caught), caught[0].message)


def in_one_line(e: Exception) -> str:
    """An exception of pydicom, whose texts run over several lines, as its kind and text in one."""
    return f"{type(e).__name__}: {' '.join(str(e).split())}"


def note(report: Report, kind: FaultKind, where: str, message: str) -> None:
    """A finding that ends nothing: a line of the log, or a row of `check`."""
    if report is refuse:
        log.warning("%s", message)
    else:
        report(kind, where, message)


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def pass_over(kind: FaultKind, where: str, message: str) -> None:
    """A reporter for where faults are another step's business: they are left out in silence."""
