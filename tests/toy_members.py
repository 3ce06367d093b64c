"""Members small enough for any test: one experiment of each kind, and nets whose answer can be worked out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from casefold.config.experiments import Cls, Seg3d, Seg25d
from casefold.core import Grid, Prediction, Scan
from casefold.files import hash_file
from casefold.folds import FoldTable
from casefold.intensity import scan_statistics
from casefold.models.build import Outputs, PaddedNet
from casefold.models.weights import WeightsInfo, save_weights
from casefold.oof import write_prediction
from casefold.store import Store

ENCODER = "test_efficientnet"  # timm's own for tests
TRAIN = {"epochs": 1, "batch_size": 4, "precision": "fp32"}


def cls(**changes: Any) -> Cls:
    """A classifier of single slices of 32 x 32."""
    content = {
        "kind": "cls",
        "name": "toy_cls",
        "data": {"size": (32, 32), "window": (0,)},
        "model": {"encoder": ENCODER, "pretrained": False},
        "augment": "none",
        "train": TRAIN,
    }
    return Cls.model_validate(merged(content, changes))


def seg25d(**changes: Any) -> Seg25d:
    """A U-Net over single slices of 32 x 32."""
    content = {
        "kind": "seg25d",
        "name": "toy_2d",
        "data": {"size": (32, 32), "window": (0,)},
        "model": {"arch": "unet", "encoder": f"tu-{ENCODER}", "pretrained": False},
        "losses": [{"name": "dice"}],
        "augment": "none",
        "train": TRAIN,
    }
    return Seg25d.model_validate(merged(content, changes))


def seg3d(**changes: Any) -> Seg3d:
    """A 3D U-Net of two levels over patches of 4 x 16 x 16."""
    content = {
        "kind": "seg3d",
        "name": "toy_3d",
        "data": {"patch": (4, 16, 16)},
        "model": {"arch": "unet", "channels": (4, 8), "strides": (2,), "res_units": 0},
        "losses": [{"name": "dice"}],
        "augment": "none",
        "train": TRAIN,
    }
    return Seg3d.model_validate(merged(content, changes))


def merged(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Changes laid over a config, part by part."""
    result = dict(content)
    for name, value in changes.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def ramp_scan(shape: tuple[int, int, int] = (3, 4, 5), name: str = "case1_day0") -> Scan:
    """An unlabelled scan whose voxels count 0, 1, 2 ... up; one class."""
    image = np.arange(np.prod(shape), dtype=np.uint16).reshape(1, *shape)
    names = tuple(f"{name}_slice_{z + 1:04d}" for z in range(shape[0]))
    return Scan(name.split("_")[0], name, image, Grid(shape), ("blob",), names, statistics=scan_statistics(image))


class Given(nn.Module):
    """A net that gives, for each voxel, fixed logits, whatever it is shown; and presence where that is given."""

    def __init__(self, maps: NDArray[np.float32] | None, presence: NDArray[np.float32] | None = None) -> None:
        super().__init__()
        self.maps, self.presence = maps, presence

    def forward(self, image: Tensor) -> Outputs:
        outputs: Outputs = {}
        if self.maps is not None:
            outputs["maps"] = torch.as_tensor(self.maps)[None].expand(len(image), *self.maps.shape)
        if self.presence is not None:
            outputs["presence"] = torch.as_tensor(self.presence)[None].expand(len(image), -1)
        return outputs


class Brightness(nn.Module):
    """A net whose logit at a voxel is `slope` times what it sees there; its presence is the mean over the image."""

    def __init__(self, slope: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.slope, self.offset = slope, offset

    def forward(self, image: Tensor) -> Outputs:
        maps = image[:, :1] * self.slope + self.offset
        return {"maps": maps, "presence": maps.flatten(1).mean(1, keepdim=True)}


def padded(net: nn.Module, axes: int) -> PaddedNet:
    """A made-up net in the wrapper that every member's net has."""
    return PaddedNet(net, (1,) * axes, lambda outputs: outputs)


def write_weights(run: Path, store: Store, table: FoldTable, number: int, **changes: Any) -> WeightsInfo:
    """Write the weights file of a fold, whose header is as training would write it but for the changes."""
    train, _ = table.split(store, number)
    scans = tuple(train) if table.kind == "time" else ()
    cases = tuple(dict.fromkeys(store.case_of[name] for name in train))
    info = replace(WeightsInfo("toy_2d", str(number), "", 1, store.classes, cases, scans), **changes)
    save_weights({"weight": torch.tensor([float(number)])}, info, run / "weights.safetensors")
    return info


def write_oof(member: Path, store: Store, table: FoldTable, **changes: Any) -> Path:
    """Write weights and OOF files for every fold of a member, as training would; each map is full of its fold + 1."""
    for fold in range(table.count):
        run = member / f"fold{fold}"
        write_weights(run, store, table, fold, **changes)
        for name in table.split(store, fold)[1]:
            write_prediction(oof_prediction(run, store, name, fold), run / "oof" / f"{name}.npz")
    return member


def oof_prediction(run: Path, store: Store, scan: str, number: int, **changes: Any) -> Prediction:
    """A scan's prediction by the weights of a fold."""
    shape = store.scan(scan).grid.shape
    maps = np.full((len(store.classes), *shape), number + 1, np.uint8)
    weights_hash = hash_file(run / "weights.safetensors")
    made = Prediction(
        store.case_of[scan], scan, store.classes, shape, "toy_2d", str(number), maps, None, "", weights_hash
    )
    return replace(made, **changes)
