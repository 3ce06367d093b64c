"""Which device there is, and the arithmetic it does well: bf16 where native, else fp16 on a GPU, fp32 on a CPU."""

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where there is one, else the CPU."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def resolve(precision: str, device: torch.device) -> Precision:
    """The arithmetic behind `auto` on a device; a fixed word is kept, but fp16 on a CPU becomes fp32."""
    if precision == "bf16":
        return "bf16"
    if precision == "fp32" or (precision == "fp16" and device.type == "cpu"):
        return "fp32"
    if precision == "fp16":
        return "fp16"
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
    capabilities: dict[str, bool] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # older torch can't tell, and gets fp32
    native = device.type == "cpu" and bool(capabilities.get("avx512_bf16"))
    return "bf16" if native else "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """A context that computes in `resolve(precision, device)`."""
    resolved = resolve(precision, device)
    return torch.autocast(device.type, DTYPES[resolved], enabled=resolved != "fp32")
