"""3D members over a scan: a sliding window that leaves out the tiles in which no slice is wanted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from casefold.config.experiments import Seg3d
from casefold.core import Scan, quantise
from casefold.data.patches import finish_volume, resample, unit_volume
from casefold.models.build import Outputs, PaddedNet, map_channels
from casefold.predict.batches import forward
from casefold.predict.member import Member
from casefold.predict.passes import AXES, Axes, average, passes

Tile = Sequence[slice]  # batch, channel, z, y, x


def volume_outputs(
    member: Member, config: Seg3d, scan: Scan, device: torch.device, wanted: NDArray[np.bool_], fast: bool,
    rounded: bool = True,
) -> NDArray[Any]:  # fmt: skip
    """Maps (class, z, y, x), 0 on unwanted slices, of which one at least is wanted; uint8, or where not `rounded` 0..1.

    fast: an unwanted tile leaves its batch, not only a whole batch.
    """
    from monai.inferers import sliding_window_inference

    unit = unit_volume(scan, config.data)
    size = unit.shape[1:]
    patch = config.data.patch
    if patch is not None:
        short = [max(0, least - have) for least, have in zip(patch, size, strict=True)]
        unit = F.pad(unit, (0, short[2], 0, short[1], 0, short[0]))
    image = finish_volume(unit, scan, config.data)[None].to(device)
    needed = np.zeros(image.shape[2], np.bool_)
    needed[: size[0]] = read_slices(wanted, size[0])
    channels = map_channels(config.model.activation, len(member.classes))

    def run(net: PaddedNet, x: Tensor, axes: Axes) -> Outputs:
        if patch is None or tuple(x.shape[2:]) == patch:
            return forward(net, x, member.limit)
        along = needed[::-1] if AXES["z"] in axes else needed

        def of_tiles(tiles: Tensor, places: Sequence[Tile]) -> Tensor:
            asked = torch.tensor([bool(along[place[2]].any()) for place in places], device=tiles.device)
            if bool(asked.all()) or (bool(asked.any()) and not fast):
                return forward(net, tiles, member.limit)["maps"].float()
            said = tiles.new_zeros((len(tiles), channels, *tiles.shape[2:]))  # read by no wanted voxel
            if bool(asked.any()):
                said[asked] = forward(net, tiles[asked], member.limit)["maps"].float()
            return said

        tiled = sliding_window_inference(
            x, patch, config.predict.batch_size, of_tiles, config.data.overlap, "gaussian", with_coord=True
        )
        return {"maps": tiled}

    mean = average(passes(member, image, run), config)["maps"]
    cropped = mean[0, :, : size[0], : size[1], : size[2]]
    said = resample(cropped, scan.grid.shape).clamp(0, 1).cpu().numpy()
    maps: NDArray[Any] = quantise(said) if rounded else said
    maps[:, ~wanted] = 0
    return maps


def read_slices(wanted: NDArray[np.bool_], depth: int) -> NDArray[np.bool_]:
    """Which of a network's `depth` slices the wanted ones are resampled from, bool (depth,).

    With one more on either side, so that no rounding of the place between two slices leaves one out.
    """
    if depth == len(wanted):
        return wanted
    below = np.floor((np.flatnonzero(wanted) + 0.5) * depth / len(wanted) - 0.5).astype(np.int64)
    read = np.zeros(depth, np.bool_)
    for step in (-1, 0, 1, 2):
        read[(below + step).clip(0, depth - 1)] = True
    return read
