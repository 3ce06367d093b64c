"""Checkpoints: the last whole one is found, foreign ones are refused by name."""

import errno
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from casefold.config.training import Train
from casefold.core import DataError
from casefold.train import state as module
from casefold.train.optim import Average, build_optimizer
from casefold.train.state import State


def make_state(**fixed: Any) -> State:
    train = Train.model_validate({"epochs": 1})
    net = nn.Linear(1, 1, bias=False)
    optimizer = build_optimizer(train, net.parameters())
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    return State(net, Average(train, net), optimizer, scheduler, None, {"config": "abc", "ranks": 1} | fixed)


def saved_at(run: Path, *steps: int) -> State:
    """A state that was saved with its weight and its step at each of these numbers."""
    state = make_state()
    for step in steps:
        with torch.no_grad():
            state.model.weight.fill_(step)  # type: ignore[operator]
        state.progress.step = step
        state.save(run)
    return state


def found_in(run: Path) -> tuple[float, int]:
    state = make_state()
    assert state.load(run)
    return state.model.weight.item(), state.progress.step  # type: ignore[operator]


def test_nothing_saved_is_nothing_found(tmp_path: Path) -> None:
    assert not make_state().load(tmp_path)


def test_the_last_is_found_and_the_one_before_is_kept(tmp_path: Path) -> None:
    saved_at(tmp_path, 3, 4, 5)
    assert found_in(tmp_path) == (5.0, 5)
    (tmp_path / "last.pt").unlink()
    assert found_in(tmp_path) == (4.0, 4)


@pytest.mark.parametrize("bytes_left", [0, 10, 1000])
def test_a_cut_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, bytes_left: int, caplog: pytest.LogCaptureFixture
) -> None:
    saved_at(tmp_path, 3, 4)
    whole = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "last.pt").write_bytes(whole[:bytes_left])
    with caplog.at_level(logging.WARNING):
        assert found_in(tmp_path) == (3.0, 3)
    assert "last.pt can't be read" in caplog.text


def test_two_cut_checkpoints_are_named(tmp_path: Path) -> None:
    saved_at(tmp_path, 3, 4)
    for name in ("last.pt", "before.pt"):
        (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(DataError, match=r"no checkpoint in .* can be read \(last\.pt: .*before\.pt: .*remove them"):
        make_state().load(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = saved_at(tmp_path, 3, 4)

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_bytes", full)
    state.progress.step = 5
    with pytest.raises(OSError, match="No space left"):
        state.save(tmp_path)
    assert found_in(tmp_path) == (4.0, 4)


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"config": "xyz"}, r"was saved under config abc, but this is config xyz; call as before, or with --redo"),
        ({"ranks": 2}, r"was saved under ranks 1, but this is ranks 2"),
    ],
)
def test_a_checkpoint_of_another_config_or_number_of_ranks_is_refused(
    tmp_path: Path, fixed: dict[str, Any], message: str
) -> None:
    saved_at(tmp_path, 3)
    with pytest.raises(DataError, match=message):
        make_state(**fixed).load(tmp_path)
