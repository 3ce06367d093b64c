"""What a checkpoint holds; the last two are kept, and the last whole one is found."""

import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from casefold.core import DataError
from casefold.files import write_bytes
from casefold.train.optim import Average

logger = logging.getLogger(__name__)
LAST, BEFORE = "last.pt", "before.pt"
UNREADABLE = (RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, UnpicklingError)


@dataclass
class Progress:
    """How far a run is: epochs done, batches done of the epoch after them, optimiser steps, rows of both logs.

    parts: the losses of the epoch's steps so far. spent: what its clocks say so far. split: pieces a batch is cut into
    (2 after memory ran out). best, since: the best validation and how many came after it, where training may stop
    early. stopped: it did.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    split: int = 1
    rows: list[dict[str, Any]] = field(default_factory=list)
    timing: list[dict[str, Any]] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    since: int = 0
    stopped: bool = False

    @property
    def cpu_s(self) -> float:
        """CPU-seconds spent so far, over all the processes that went on with this run."""
        return float(sum(row["cpu_s"] for row in self.timing))


@dataclass
class State:
    """Everything that training changes. fixed: what must be the same to go on (config hash, number of ranks)."""

    model: nn.Module
    average: Average
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    scaler: Any | None
    fixed: dict[str, Any]
    progress: Progress = field(default_factory=Progress)
    best_weights: dict[str, Any] | None = None

    def save(self, run: Path) -> None:
        """Write `last.pt` atomically; the one that was there becomes `before.pt`."""
        stream = io.BytesIO()
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        content = {"parts": parts, "progress": vars(self.progress), "fixed": self.fixed, "best": self.best_weights}
        torch.save(content, stream)
        if (run / LAST).is_file():
            (run / BEFORE).unlink(missing_ok=True)
            (run / BEFORE).hardlink_to(run / LAST)
        write_bytes(run / LAST, stream.getvalue())

    def load(self, run: Path) -> bool:
        """Go on from the last whole checkpoint; False where there is none.

        Raises DataError where it belongs to another config or number of ranks, or where none of two can be read.
        """
        there = [run / name for name in (LAST, BEFORE) if (run / name).is_file()]
        faults = []
        for path in there:
            try:
                content = torch.load(path, map_location="cpu", weights_only=True)
                self._take(content, path)
            except UNREADABLE as e:
                # torch's own words would have an unsafe file loaded without a check
                fault = "it is none" if isinstance(e, UnpicklingError) else (str(e) or type(e).__name__).splitlines()[0]
                faults.append(f"{path.name}: {fault}")
                logger.warning("checkpoint %s can't be read (%s)", path, fault)
                continue
            return True
        if faults:
            raise DataError(
                f"no checkpoint in {run} can be read ({'; '.join(faults)}); remove them to begin that fold again"
            )
        return False

    def _take(self, content: dict[str, Any], path: Path) -> None:
        for name, value in self.fixed.items():
            if content["fixed"].get(name) != value:
                raise DataError(
                    f"{path} was saved under {name} {content['fixed'].get(name)}, but this is {name} {value}; call as "
                    "before, or with --redo to begin again"
                )
        for name, part in self._parts().items():
            part.load_state_dict(content["parts"][name])
        self.progress = Progress(**content["progress"])
        self.best_weights = content["best"]

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "average": self.average.model, "optimizer": self.optimizer,
                 "scheduler": self.scheduler, "scaler": self.scaler}  # fmt: skip
        return {name: part for name, part in parts.items() if part is not None}
