"""SIGTERM and SIGINT while training: the step is finished, a checkpoint is written, and the process ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StoppedError(SystemExit):
    """Training was told to stop and has saved; ends the process with 128 + the signal's number (143 for SIGTERM)."""


class Stop:
    """Whether a signal has come."""

    def __init__(self) -> None:
        self.signal = 0

    def __bool__(self) -> bool:
        return self.signal > 0

    @property
    def exit_code(self) -> int:
        """128 + the signal's number; where another rank was told, that of SIGTERM."""
        return 128 + (self.signal or signal.SIGTERM)


@contextmanager
def noting_signals() -> Iterator[Stop]:
    """While the block runs, SIGTERM and a first SIGINT are only noted; a second SIGINT interrupts as ever.

    Only a process's main thread is told of signals; elsewhere nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, frame: FrameType | None) -> None:
        if stop.signal == signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signal = number

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
