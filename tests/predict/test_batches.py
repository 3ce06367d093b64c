"""Memory that runs out halves the batch; a member goes on with what it learnt; other errors are not touched."""

import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from casefold.core import DataError
from casefold.models.build import Outputs
from casefold.models.weights import WeightsInfo
from casefold.predict import Member, predict
from toy_members import Brightness, padded, ramp_scan, seg3d, seg25d

CPU = torch.device("cpu")


class Hungry(Brightness):
    """A net with room for so many images at a time; it keeps the sizes of the batches that it was given."""

    def __init__(self, room: int, error: Exception | None = None) -> None:
        super().__init__(3.0)
        self.room, self.error = room, error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        self.batches: list[int] = []

    def forward(self, image: Tensor) -> Outputs:
        self.batches.append(len(image))
        if len(image) > self.room:
            raise self.error
        return super().forward(image)


def member(config: Any, net: nn.Module) -> Member:
    return Member(config, (padded(net, 3 if config.kind == "seg3d" else 2),), ("blob",), "0", "abc")


SLICES = seg25d(data={"size": (4, 5)}, predict={"batch_size": 8, "flips": ("x",)})
TILES = seg3d(data={"patch": (2, 2, 2), "overlap": 0.0}, predict={"batch_size": 8})


@pytest.mark.parametrize("config", [SLICES, TILES], ids=["seg25d", "seg3d"])
@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
def test_a_batch_that_does_not_fit_is_halved(config: Any, fast: bool, caplog: pytest.LogCaptureFixture) -> None:
    scan, hungry = ramp_scan((9, 4, 5)), member(config, Hungry(room=3))
    with caplog.at_level(logging.WARNING):
        found = [predict(hungry, scan, CPU, fast=fast) for _ in range(2)]
    whole = predict(member(config, Brightness(3.0)), scan, CPU, fast=fast)
    for one in found:
        np.testing.assert_array_equal(one.maps, whole.maps)
    sizes = hungry.nets[0].net.batches
    assert sizes[:3] == [8, 4, 2] and max(sizes[3:]) == 2  # also in the next scan
    assert hungry.limit.most == 2
    assert caplog.messages == ["out of memory with 8 images in a batch; from here on 4"]


@pytest.mark.parametrize(
    "words",
    [
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes. Error code 12",
        "DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes.",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_shortage_has_many_words(words: str) -> None:
    hungry = member(SLICES, Hungry(1, RuntimeError(words)))
    predict(hungry, ramp_scan((4, 4, 5)), CPU)
    assert hungry.limit.most == 1


def test_a_single_image_that_does_not_fit_is_refused() -> None:
    message = r"out of memory with a single image of shape \(1, 4, 5\); take a larger device.*Tried to allocate 2 GiB"
    with pytest.raises(DataError, match=message):
        predict(member(SLICES, Hungry(room=0)), ramp_scan((4, 4, 5)), CPU)


def test_another_error_is_raised_as_it_is() -> None:
    with pytest.raises(RuntimeError, match=r"^sizes do not match$"):
        predict(member(SLICES, Hungry(0, RuntimeError("sizes do not match"))), ramp_scan(), CPU)


def test_a_member_can_do_with_fewer_folds() -> None:
    nets = tuple(padded(Brightness(slope), 2) for slope in (1.0, 2.0, 3.0))
    infos = tuple(WeightsInfo("toy_2d", str(fold), "", 1, ("blob",), ()) for fold in range(3))
    whole = Member(SLICES, nets, ("blob",), "mean", "abc", infos)
    two, one = whole.first_folds(2), whole.first_folds(1)
    assert (two.nets, two.fold, [info.fold for info in two.infos]) == (nets[:2], "mean", ["0", "1"])
    assert (one.nets, one.fold) == (nets[:1], "0")
    assert len({whole.weights_hash, two.weights_hash, one.weights_hash}) == 3
    assert whole.first_folds(3) is whole and whole.first_folds(9) is whole
    alone = predict(Member(SLICES, nets[:1], ("blob",), "0", "x"), ramp_scan(), CPU)
    np.testing.assert_array_equal(predict(one, ramp_scan(), CPU).maps, alone.maps)
    with pytest.raises(DataError, match="toy_2d can't predict with 0 folds; the least is 1"):
        whole.first_folds(0)
