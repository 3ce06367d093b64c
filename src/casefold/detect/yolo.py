"""ultralytics (AGPL-3.0), for detectors alone: only this file imports it, and only when one is used.

Its network calls, telemetry and installer are off, and what importing it changes in other libraries is put back.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from casefold.config.detectors import Detect, Yolo
from casefold.core import ConfigError, DataError

OFF = {
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "0",
    "YOLO_VERBOSE": "0",
    "ULTRALYTICS_SAFE_LOAD": "1",  # checkpoints are read by torch's weights_only loader
    "NO_ALBUMENTATIONS_UPDATE": "1",
}
MOST = 100  # boxes of a picture
QUIET_SHARE = 5  # the last of so many parts of the epochs train without mosaics
UNREADABLE = (RuntimeError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError)
Found = NDArray[np.float32]


def build_yolo(model: Yolo, kinds: int) -> Any:
    """The network, with random weights, in training mode."""
    _import()
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel(_yaml(model), ch=3, nc=kinds, verbose=False)


def found_on(
    net: Any, pictures: Iterable[NDArray[np.uint8]], size: int, confidence: float, overlap: float, batch: int,
    device: torch.device,
) -> list[Found]:  # fmt: skip
    """What a network finds on each picture (y, x, 3): (n, 6), x0, y0, x1, y1 in its pixels, confidence, kind.

    size: of the longer side, as the network sees it, the shorter one filled up.
    """
    from ultralytics.data.augment import LetterBox

    fit = LetterBox((size, size), auto=False)
    found: list[Found] = []
    images: list[NDArray[np.uint8]] = []
    shapes: list[tuple[int, ...]] = []

    def look() -> None:
        said = _said(net, np.stack(images), confidence, overlap, device)
        found.extend(_in_pixels(boxes, size, shape) for boxes, shape in zip(said, shapes, strict=True))
        images.clear()
        shapes.clear()

    for picture in pictures:
        images.append(fit(image=np.ascontiguousarray(picture)))
        shapes.append(picture.shape[:2])
        if len(images) == batch:
            look()
    if images:
        look()
    return found


def train_yolo(
    config: Detect, listing: Path, work: Path, pretrained: Path | None, device: torch.device, workers: int,
    after_batch: Callable[[], None], after_epoch: Callable[[dict[str, float]], None],
) -> dict[str, Tensor]:  # fmt: skip
    """Train to the last epoch in a folder, going on from its checkpoint; gives the averaged weights, float16.

    listing: the YAML that says where pictures are. after_batch, after_epoch: called then; the first may raise to stop,
    upon which the epochs done stand. Going on draws other random numbers than never having stopped.
    """
    _import()
    checkpoint = work / "weights" / "last.pt"
    done = int(_read(checkpoint)["epoch"]) + 1 if checkpoint.is_file() else 0
    if done < config.train.epochs:
        words = _words(config, listing, work, pretrained, device, workers)
        trainer = _trainer(words | ({"model": str(checkpoint), "resume": str(checkpoint)} if done else {}))
        trainer.add_callback("on_train_batch_end", lambda _: after_batch())
        trainer.add_callback("on_fit_epoch_end", lambda own: after_epoch(_row(own)))
        trainer.train()
    weights: dict[str, Tensor] = _read(checkpoint)["ema"].state_dict()
    return weights


def average_precision(
    hits: NDArray[np.bool_], confidence: NDArray[Any], found: NDArray[Any], true: NDArray[Any]
) -> float:
    """mAP of boxes found (hits: whether each is one, found: its kind) where `true` are the kinds of all that are there.

    The mean over the kinds that are there; nan where none is.
    """
    _import()
    from ultralytics.utils.metrics import ap_per_class

    if not len(true):
        return float("nan")
    return float(ap_per_class(hits[:, None], confidence, found, true)[5][:, 0].mean())


def version() -> str:
    """ultralytics' version."""
    _import()
    from ultralytics import __version__

    return str(__version__)


def _words(
    config: Detect, listing: Path, work: Path, pretrained: Path | None, device: torch.device, workers: int
) -> dict[str, Any]:
    """What its trainer is told."""
    train = config.train
    return {
        "model": _yaml(config.model), "data": str(listing), "save_dir": str(work), "epochs": train.epochs,
        "batch": train.batch_size, "nbs": train.batch_size, "imgsz": config.data.size, "seed": train.seed,
        "device": "cpu" if device.type == "cpu" else str(device.index or 0), "workers": workers,
        "pretrained": False if pretrained is None else str(pretrained), "optimizer": train.optimizer,
        "lr0": train.lr, "weight_decay": train.weight_decay, "cos_lr": True, "warmup_epochs": 0.05 * train.epochs,
        "mosaic": train.mosaic, "close_mosaic": -(-train.epochs // QUIET_SHARE), "fliplr": train.flip_x,
        "flipud": train.flip_y, "scale": train.zoom, "translate": train.shift,
        "hsv_h": 0.0, "hsv_s": 0.0,  # the colours are neighbouring slices, or modalities
        "amp": False, "val": False, "plots": False, "patience": 0, "verbose": False, "deterministic": True,
    }  # fmt: skip


def _trainer(words: dict[str, Any]) -> Any:
    """Its trainer, that only trains: nothing is chosen on held-out pictures, and nobody is told."""
    from ultralytics.models.yolo.detect import DetectionTrainer

    class Training(DetectionTrainer):  # type: ignore[misc]
        def validate(self) -> tuple[dict[str, float], float]:
            return {}, 0.0

        def final_eval(self) -> None:
            """Would rate the best of the epochs, and strip the last of what it needs to go on."""

        def save_model(self) -> bool:
            """A checkpoint that is whole or not there."""
            whole: Path = self.wdir / "last.pt"
            self.last = whole.with_suffix(".part")
            super().save_model()
            self.last.replace(whole)
            self.last = whole
            return True

    trainer = Training(overrides=words)
    for event in trainer.callbacks:
        trainer.callbacks[event] = []
    return trainer


def _row(trainer: Any) -> dict[str, float]:
    """The numbers of an epoch for a log."""
    losses = trainer.label_loss_items(trainer.tloss, prefix="")
    rate = float(trainer.optimizer.param_groups[0]["lr"])
    return {"epoch": trainer.epoch + 1, "lr": rate, **{name.lstrip("/"): value for name, value in losses.items()}}


def _said(net: Any, images: NDArray[np.uint8], confidence: float, overlap: float, device: torch.device) -> list[Tensor]:
    """A network's boxes on images (picture, y, x, 3) of its own size, in float32 whatever the caller computes in."""
    import torchvision  # noqa: F401 - with it loaded its own way to drop weaker boxes is taken
    from ultralytics.utils.nms import non_max_suppression

    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
        # a limit of time would let results hang on the machine's load
        said: list[Tensor] = non_max_suppression(
            net(batch), confidence, overlap, max_det=MOST, max_time_img=1e6, end2end=net.end2end
        )
    return said


def _in_pixels(boxes: Tensor, size: int, shape: tuple[int, ...]) -> Found:
    from ultralytics.utils.ops import scale_boxes

    found: Found = boxes.cpu().numpy().astype(np.float32)
    found[:, :4] = scale_boxes((size, size), found[:, :4], shape)
    return found


def _read(checkpoint: Path) -> dict[str, Any]:
    from ultralytics.nn.tasks import torch_safe_load

    try:
        content: dict[str, Any] = torch_safe_load(checkpoint, safe_only=True)[0]
    except UNREADABLE as e:
        raise DataError(f"{checkpoint} can't be read ({e}); remove it to begin that fold again") from e
    return content


def _yaml(model: Yolo) -> str:
    return f"{model.family}{model.scale}.yaml"


@cache
def _import() -> None:
    """Import what is used of ultralytics, once a process; raises ConfigError where it is not installed."""
    os.environ.update(OFF)
    if "YOLO_CONFIG_DIR" not in os.environ:  # else it writes into the home folder
        os.environ["YOLO_CONFIG_DIR"] = folder = tempfile.mkdtemp(prefix="casefold-yolo-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    opens, saves, threads, shown = Image.open, torch.save, cv2.getNumThreads(), np.get_printoptions()
    wished = os.environ.get("OMP_NUM_THREADS")
    try:
        for name in ("ultralytics.nn.tasks", "ultralytics.models.yolo.detect"):
            import_module(name)
    except ImportError as e:
        raise ConfigError(
            f"a detector wants the package `ultralytics` (AGPL-3.0), which can't be imported ({e}); install it, or "
            "crop by the body: data.crop: {name: body}"
        ) from e
    finally:
        Image.open, torch.save = opens, saves
        cv2.setNumThreads(threads)
        np.set_printoptions(**shown)
        if wished is None:
            os.environ.pop("OMP_NUM_THREADS", None)
