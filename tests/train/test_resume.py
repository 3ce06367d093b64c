"""Killed at any step, or inside it, or inside a save, and called again: the same bytes as never killed."""

import signal
from pathlib import Path

import pytest
from chain import Where, attempt, make_job

from casefold.config.experiments import Experiment
from casefold.files import hash_file
from casefold.folds import FoldTable
from casefold.store import Store
from toy_members import seg3d, seg25d

KILLS = 16
PLACES: tuple[Where, ...] = ("after", "save", "step", "save")

# Options are spread over the chains; the epochs are such that there are more steps than kills.
CHAINS: dict[str, tuple[int, Experiment]] = {
    "2.5D: bf16, EMA, accumulation, mixing, dropout": (
        1,
        seg25d(
            train={"epochs": 5, "batch_size": 4, "accumulate": 2, "precision": "bf16",
                   "mix": {"mixup": 0.4, "cutmix": 0.4}, "average": {"name": "ema", "decay": 0.5}, "validate_every": 2},
            model={"presence_head": "any", "dropout": 0.5},
            losses=[{"name": "bce"}, {"name": "bce", "on": "presence"}],
            augment="light",
        ),
    ),
    "3D: SGD, SWA, one cycle, L1, early stopping": (
        1,
        seg3d(
            train={"epochs": 18, "batch_size": 4, "optimizer": {"name": "sgd"}, "schedule": {"name": "one_cycle"},
                   "average": {"name": "swa", "start": 0.5}, "l1": 0.01, "patience": 9, "validate_every": 2},
            model={"dropout": 0.2},
            augment="medium",
        ),
    ),
    "2 ranks, 2.5D: batch norm, EMA, warm restarts": (
        2,
        seg25d(
            train={"epochs": 6, "batch_size": 5, "average": {"name": "ema", "decay": 0.5},
                   "schedule": {"name": "restarts"}, "validate_every": 3},
            augment="light",
        ),
    ),
    "2 ranks, 3D: accumulation, mixing, Adam": (
        2,
        seg3d(
            train={"epochs": 18, "batch_size": 1, "accumulate": 2, "optimizer": {"name": "adam"},
                   "mix": {"mixup": 0.5}, "validate_every": 6},
            model={"norm": "batch"},
        ),
    ),
}  # fmt: skip


def outcome(run: Path) -> dict[str, str]:
    """The hashes of all that a run leaves and that no clock changes."""
    names = [
        "weights.safetensors",
        "log.csv",
        "config.yaml",
        *(f"oof/{p.name}" for p in sorted((run / "oof").iterdir())),
    ]
    return {name: hash_file(run / name) for name in names}


@pytest.mark.parametrize("chain", list(CHAINS))
def test_a_run_killed_at_every_step_ends_as_one_never_killed(
    chain: str, toy_store: Store, toy_table: FoldTable, tmp_path: Path
) -> None:
    ranks, config = CHAINS[chain]
    straight, broken = (make_job(config, toy_table, toy_store.root, tmp_path / name) for name in ("a", "b"))
    assert attempt(straight, ranks) == [0] * ranks
    for kill in range(1, KILLS + 1):
        codes = attempt(broken, ranks, kill, PLACES[kill % len(PLACES)])
        assert -signal.SIGKILL in codes and 0 not in codes, f"step {kill}: {codes}"
    assert not (broken.run / "weights.safetensors").exists()
    assert attempt(broken, ranks) == [0] * ranks
    assert outcome(broken.run) == outcome(straight.run)


@pytest.mark.long
@pytest.mark.parametrize("chain", list(CHAINS)[:1])
def test_the_number_of_loading_processes_changes_nothing(
    chain: str, toy_store: Store, toy_table: FoldTable, tmp_path: Path
) -> None:
    ranks, config = CHAINS[chain]
    straight = make_job(config, toy_table, toy_store.root, tmp_path / "a")
    broken = make_job(config, toy_table, toy_store.root, tmp_path / "b", workers=2)
    assert attempt(straight, ranks) == [0]
    assert attempt(broken, ranks, 3, "save") == [-signal.SIGKILL]
    assert attempt(broken, ranks) == [0]
    assert outcome(broken.run) == outcome(straight.run)
