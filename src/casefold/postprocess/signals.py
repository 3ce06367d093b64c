"""A gate's signal along z: rules on which slices pass, applied before there is a level.

Each rule is about slices that pass or do not, and one more that passes never makes another fall. Such a rule and a
level change places (stack filters; Wendt, Coyle and Gallagher 1986): to filter the signal once and then compare it with
any level gives what comparing first and applying the rule gives.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from casefold.config.gates import GateStep, Majority, Runs

Signal = NDArray[np.int64]


def along_z(signal: Signal, steps: Sequence[GateStep], classes: Sequence[str]) -> Signal:
    """The signal (class, z), 0 and more, after each step in its order, on the step's classes; no slices give none."""
    signal = signal.copy()
    for step in steps:
        for c, name in enumerate(classes):
            if step.classes is None or name in step.classes:
                signal[c] = STEPS[step.name](signal[c], step)
    return signal


def _majority(signal: Signal, step: Majority) -> Signal:
    reach = step.slices
    if len(signal) <= 2 * reach:
        return signal
    beside = np.delete(sliding_window_view(signal, 2 * reach + 1), reach, axis=1)
    inner = np.clip(signal[reach:-reach], beside.min(1), beside.max(1))
    return np.concatenate([signal[:reach], inner, signal[len(signal) - reach :]])


def _runs(signal: Signal, step: Runs) -> Signal:
    ahead = sliding_window_view(np.pad(signal, (0, step.slices - 1)), step.slices) if len(signal) else signal[:, None]
    passed, last = np.zeros_like(signal), 0
    for z, (begins, stays) in enumerate(zip(ahead.min(1), ahead.max(1), strict=True)):
        last = passed[z] = max(begins, min(last, stays))
    return passed


STEPS: dict[str, Callable[..., Signal]] = {"majority": _majority, "runs": _runs}
