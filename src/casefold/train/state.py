"""What a checkpoint holds, saved whole at the end of an epoch; a cut or foreign one is refused by name."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from casefold.config.experiments import Ema, Train
from casefold.core import DataError
from casefold.files import write_bytes


@dataclass
class Progress:
    """How far a run is: epochs done, optimizer steps done, its log rows and its timing rows."""

    epoch: int = 0
    step: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    timing: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cpu_s(self) -> float:
        """CPU-seconds spent so far, over all the processes that went on with this run."""
        return float(sum(row["cpu_s"] for row in self.timing))


@dataclass
class State:
    """Everything that training changes."""

    model: nn.Module
    average: AveragedModel | None
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    scaler: Any | None
    progress: Progress

    def save(self, path: Path) -> None:
        """Write a checkpoint, atomically."""
        stream = io.BytesIO()
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        torch.save({"parts": parts, "progress": vars(self.progress)}, stream)
        write_bytes(path, stream.getvalue())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; raises DataError where it can't be read."""
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(content["parts"][name])
            self.progress = Progress(**content["progress"])
        except (RuntimeError, EOFError, OSError, ValueError, TypeError, LookupError, UnpicklingError) as e:
            why = "it is none" if isinstance(e, UnpicklingError) else e  # torch would have it loaded without a check
            raise DataError(f"checkpoint {path} can't be read ({why}); remove it to begin that fold again") from e

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "average": self.average, "optimizer": self.optimizer,
                 "scheduler": self.scheduler, "scaler": self.scaler}  # fmt: skip
        return {name: part for name, part in parts.items() if part is not None}


def averaged(config: Train, model: nn.Module) -> AveragedModel | None:
    """The EMA of weights and buffers, with warm-up min(decay, (1 + n) / (10 + n)); None where none is asked for."""
    if not isinstance(config.average, Ema):
        return None
    decay = config.average.decay

    def average(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        if not old.is_floating_point():
            return new
        n = int(count)
        return torch.lerp(new, old, min(decay, (1 + n) / (10 + n)))

    return AveragedModel(model, avg_fn=average, use_buffers=True)
