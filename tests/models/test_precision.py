"""`auto` by device: bf16 where it is native, fp16 on an older GPU, fp32 on a CPU without it."""

import pytest
import torch

from casefold.models.precision import autocast, resolve

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("word", "device", "resolved"),
    [
        ("fp32", CPU, "fp32"),
        ("bf16", CPU, "bf16"),
        ("fp16", CPU, "fp32"),
        ("fp32", CUDA, "fp32"),
        ("bf16", CUDA, "bf16"),
        ("fp16", CUDA, "fp16"),
    ],
)
def test_a_fixed_word_is_kept_but_fp16_on_a_cpu(word: str, device: torch.device, resolved: str) -> None:
    assert resolve(word, device) == resolved


@pytest.mark.parametrize(
    ("capability", "resolved"),
    [((6, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")],
    ids=["P100", "T4", "A100", "H100"],
)
def test_auto_on_a_gpu(capability: tuple[int, int], resolved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve("auto", CUDA) == resolved


@pytest.mark.parametrize(
    ("capabilities", "resolved"),
    [({"avx512_bf16": True}, "bf16"), ({"avx512_bf16": False, "avx2": True}, "fp32"), ({}, "fp32")],
)
def test_auto_on_a_cpu(capabilities: dict[str, bool], resolved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert resolve("auto", CPU) == resolved


def test_a_torch_that_cannot_tell_gets_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolve("auto", CPU) == "fp32"


@pytest.mark.parametrize(("word", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float32)])
def test_autocast_computes_in_it(word: str, kind: torch.dtype) -> None:
    with autocast(word, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind
