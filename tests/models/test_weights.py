"""Weights files: bytes and header there and back; what is cut, foreign or of another net is refused by name."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from casefold.core import DataError
from casefold.files import hash_file
from casefold.models.weights import WeightsInfo, load_weights, read_info, save_weights

INFO = WeightsInfo("upp_b4", "2", "0123456789abcdef", 2, ("stomach", "NA"), ("case1", "case20"), ("case1_day0",), True)


def net(width: int = 3) -> nn.Module:
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


def test_tensors_and_info_come_back(tmp_path: Path) -> None:
    path, there, back = tmp_path / "weights.safetensors", net(), net()
    back.load_state_dict({key: torch.zeros_like(value) for key, value in there.state_dict().items()})
    save_weights(there.state_dict(), INFO, path)
    assert load_weights(back, path) == (INFO, hash_file(path))
    assert read_info(path) == INFO
    for key, value in there.state_dict().items():
        assert back.state_dict()[key].dtype == value.dtype
        assert torch.equal(back.state_dict()[key], value)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_weights(net().state_dict(), INFO, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_views_and_channels_last_are_saved(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(1, 2, 3, 4)
    state = {"view": base[:, :1], "last": base.to(memory_format=torch.channels_last), "grad": nn.Parameter(base[0])}
    save_weights(state, INFO, tmp_path / "w")
    holder = nn.Module()
    for key, value in state.items():
        holder.register_buffer(key, torch.zeros(value.shape))
    load_weights(holder, tmp_path / "w")
    assert all(torch.equal(holder.state_dict()[key], value) for key, value in state.items())


def cut(path: Path) -> None:
    save_weights(net().state_dict(), INFO, path)
    path.write_bytes(path.read_bytes()[:-5])


def cut_in_the_header(path: Path) -> None:
    save_weights(net().state_dict(), INFO, path)
    path.write_bytes(path.read_bytes()[:20])


def foreign(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 10**9) + b"not weights at all")


def absent(path: Path) -> None:
    pass


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [cut, cut_in_the_header, foreign, absent, empty])
def test_what_cannot_be_read_is_named(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    spoil(path)
    for read in (read_info, lambda path: load_weights(net(), path)):
        with pytest.raises(DataError, match=r"weights .*weights\.safetensors can't be read \(.*train that fold again"):
            read(path)


def test_weights_without_a_header_are_refused(tmp_path: Path) -> None:
    save_file(net().state_dict(), tmp_path / "bare.safetensors")
    with pytest.raises(DataError, match=r"bare\.safetensors holds no casefold header, so nobody knows which cases"):
        read_info(tmp_path / "bare.safetensors")


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    save_weights(net(3).state_dict(), INFO, tmp_path / "w")
    with pytest.raises(DataError, match=r"w does not fit its network: [\s\S]*size mismatch for 0\.weight"):
        load_weights(net(4), tmp_path / "w")
    with pytest.raises(DataError, match=r"w does not fit its network: [\s\S]*Missing key.*0\.0\.weight"):
        load_weights(nn.Sequential(net(3)), tmp_path / "w")
