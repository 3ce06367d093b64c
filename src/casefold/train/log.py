"""`log.csv` holds only what is deterministic, `timing.csv` what the clock says; both are rewritten whole."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from casefold.core import ConfigError
from casefold.files import hash_value, write_text

Writer = Callable[[Mapping[str, float], int], None]


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Rows (one an epoch) as CSV, atomically; no rows give an empty file."""
    write_text(path, pd.DataFrame(rows).to_csv(index=False) if rows else "")


class Boards:
    """TensorBoard and W&B, where they are asked for, beside the CSVs; each epoch's row goes to all of them."""

    def __init__(self, names: Sequence[str], run: Path, title: str) -> None:
        self._writers = [_BOARDS[name](run, title) for name in names]

    def write(self, row: Mapping[str, Any]) -> None:
        """One epoch's numbers, at its step."""
        numbers = {name: float(value) for name, value in row.items() if name not in ("epoch", "step")}
        for writer in self._writers:
            writer(numbers, int(row["step"]))


def _tensorboard(run: Path, title: str) -> Writer:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as e:
        raise ConfigError("--board tensorboard wants the package `tensorboard`: pip install tensorboard") from e
    board = SummaryWriter(str(run / "tensorboard"))

    def write(numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            board.add_scalar(name, value, step)
        board.flush()

    return write


def _wandb(run: Path, title: str) -> Writer:
    """Without a network, WANDB_MODE=offline keeps all below the run's folder, for `wandb sync` later."""
    try:
        import wandb
    except ImportError as e:
        raise ConfigError("--board wandb wants the package `wandb`: pip install wandb") from e
    board = wandb.init(project="casefold", name=title, dir=str(run), id=hash_value(str(run)), resume="allow")
    return lambda numbers, step: board.log(dict(numbers), step=step)


_BOARDS: dict[str, Callable[[Path, str], Writer]] = {"tensorboard": _tensorboard, "wandb": _wandb}
BOARDS = tuple(_BOARDS)
