"""Half precision: what is halved, what stays, and that loading takes it back."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from casefold.bundle.weights import copy_run, halve_member, halved
from casefold.config.load import save
from casefold.models.build import build
from casefold.models.weights import WeightsInfo, read_info, save_weights
from casefold.predict import Member, load_member
from toy_members import seg3d

INFO = WeightsInfo("toy_3d", "1", "abc", 1, ("a", "b"), ("case1",))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with weights drawn from a seed."""
    folder = tmp_path / "fold1"
    folder.mkdir()
    save(seg3d(), folder / "config.yaml")
    torch.manual_seed(0)
    save_weights(build(seg3d(), 1, 2).state_dict(), INFO, folder / "weights.safetensors")
    return folder


def loaded(run: Path) -> Member:
    return load_member([run], torch.device("cpu"))


def test_matrices_are_halved_and_what_would_suffer_is_not() -> None:
    state = {
        "kernel": torch.tensor([[1 / 3, 2.0]]),
        "bias": torch.tensor([1 / 3]),
        "huge": torch.tensor([[65504.0, 65520.0]]),
        "broken": torch.tensor([[float("nan")]]),
        "count": torch.tensor([[3]]),
    }
    found = halved(state)
    assert {name: value.dtype for name, value in found.items()} == {
        "kernel": torch.float16,
        "bias": torch.float32,
        "huge": torch.float32,
        "broken": torch.float32,
        "count": torch.int64,
    }
    assert found["kernel"].float().tolist() == [[0.333251953125, 2.0]]


def test_halved_weights_load_strictly_as_float32(run: Path, tmp_path: Path) -> None:
    copy_run(run, tmp_path / "half", half=True)
    assert read_info(tmp_path / "half" / "weights.safetensors") == INFO
    assert load_file(tmp_path / "half" / "weights.safetensors")["net.model.0.conv.weight"].dtype == torch.float16
    state = loaded(tmp_path / "half").nets[0].state_dict()
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    whole = loaded(run).nets[0].state_dict()
    assert differing(state, whole) == {name for name, value in whole.items() if value.ndim >= 2}


def test_a_halved_member_is_what_loading_halved_weights_gives(run: Path, tmp_path: Path) -> None:
    copy_run(run, tmp_path / "half", half=True)
    halved_here, halved_there = halve_member(loaded(run)), loaded(tmp_path / "half")
    assert differing(halved_here.nets[0].state_dict(), halved_there.nets[0].state_dict()) == set()


def test_whole_weights_are_copied_byte_for_byte(run: Path, tmp_path: Path) -> None:
    copy_run(run, tmp_path / "copy", half=False)
    for name in ("config.yaml", "weights.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (run / name).read_bytes()


def differing(state: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """The names of the tensors that are not the same in two networks."""
    return {name for name in state if not torch.equal(state[name], other[name])}
