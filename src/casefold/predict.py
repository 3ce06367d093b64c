"""A member and a scan make a Prediction on the scan's own grid: flips and folds averaged, then quantised once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from casefold.config.experiments import Cls, Experiment, Seg3d, Seg25d
from casefold.config.load import dump, parse_experiment, read_yaml
from casefold.core import DataError, Prediction, Scan, quantise
from casefold.data.patches import finish_volume, resample, unit_volume
from casefold.data.slices import slice_input, to_grid
from casefold.files import hash_bytes, hash_value
from casefold.models.build import Outputs, PaddedNet, build, memory_format
from casefold.models.precision import autocast
from casefold.models.weights import WeightsInfo, load_weights, read_info

AXES = {"x": -1, "y": -2, "z": -3}


@dataclass(frozen=True)
class Member:
    """A trained member ready to predict: its config and one network a fold, which are averaged."""

    config: Experiment
    nets: tuple[PaddedNet, ...]
    classes: tuple[str, ...]
    fold: str
    weights_hash: str
    infos: tuple[WeightsInfo, ...] = ()

    @property
    def config_hash(self) -> str:
        """The digest of the config with every value spelled out."""
        return hash_value(dump(self.config))


def load_member(runs: Sequence[Path], device: torch.device) -> Member:
    """A member from the folders of its folds (config.yaml, weights.safetensors); their configs must be the same."""
    configs = [parse_experiment(read_yaml(run / "config.yaml"), run / "config.yaml") for run in runs]
    if any(config != configs[0] for config in configs):
        raise DataError(
            f"the folds of {configs[0].name} were trained from different configs: {[str(run) for run in runs]}"
        )
    nets, infos, hashes = [], [], []
    for run in runs:
        info = read_info(run / "weights.safetensors")
        net = build(configs[0], info.modalities, len(info.classes))
        infos.append(info)
        hashes.append(load_weights(net, run / "weights.safetensors")[1])
        nets.append(net.to(device).to(memory_format=memory_format(net)).eval())
    fold = infos[0].fold if len(infos) == 1 else "mean"
    whole = hashes[0] if len(hashes) == 1 else hash_bytes(*(text.encode() for text in hashes))
    return Member(configs[0], tuple(nets), infos[0].classes, fold, whole, tuple(infos))


def predict(member: Member, scan: Scan, device: torch.device) -> Prediction:
    """Maps and/or presence of one scan, whole, on its own grid, as uint8.

    scan needs `statistics`. The same member and scan give the same bytes, wherever this is called from.
    """
    config = member.config
    training = [net.training for net in member.nets]
    with torch.inference_mode(), autocast(config.train.precision, device):
        for net in member.nets:
            net.eval()
        if isinstance(config, Seg3d):
            maps, presence = _volume_outputs(member, config, scan, device)
        elif isinstance(config, Seg25d | Cls):
            maps, presence = _slice_outputs(member, config, scan, device)
        else:
            raise DataError(f"no way to predict with {type(config).__name__}")
        for net, was in zip(member.nets, training, strict=True):
            net.train(was)
    return Prediction(
        case=scan.case,
        scan=scan.name,
        classes=member.classes,
        shape=scan.grid.shape,
        member=config.name,
        fold=member.fold,
        maps=maps,
        presence=presence,
        config_hash=member.config_hash,
        weights_hash=member.weights_hash,
    )


def _slice_outputs(
    member: Member, config: Seg25d | Cls, scan: Scan, device: torch.device
) -> tuple[np.ndarray | None, np.ndarray | None]:
    depth, height, width = scan.grid.shape
    maps, presence = [], []
    for start in range(0, depth, config.predict.batch_size):
        planes = range(start, min(start + config.predict.batch_size, depth))
        image = torch.stack([slice_input(scan, z, config.data) for z in planes]).to(device)
        image = image.contiguous(memory_format=torch.channels_last)
        mean = _average(_passes(member, config, image, lambda net, x: net(x)), config)
        if "maps" in mean:
            maps.append(quantise(to_grid(mean["maps"], config.data, (height, width)).cpu().numpy()))
        if "presence" in mean:
            presence.append(quantise(mean["presence"].expand(-1, len(member.classes)).cpu().numpy()))
    whole_maps = np.ascontiguousarray(np.concatenate(maps).swapaxes(0, 1)) if maps else None
    return whole_maps, np.ascontiguousarray(np.concatenate(presence).T) if presence else None


def _volume_outputs(
    member: Member, config: Seg3d, scan: Scan, device: torch.device
) -> tuple[np.ndarray | None, np.ndarray | None]:
    from monai.inferers import sliding_window_inference

    unit = unit_volume(scan, config.data)
    size = unit.shape[1:]
    patch = config.data.patch
    if patch is not None:
        short = [max(0, wanted - have) for wanted, have in zip(patch, size, strict=True)]
        unit = F.pad(unit, (0, short[2], 0, short[1], 0, short[0]))
    image = finish_volume(unit, scan, config.data)[None].to(device)

    def run(net: PaddedNet, x: Tensor) -> Outputs:
        if patch is None or tuple(x.shape[2:]) == patch:
            whole: Outputs = net(x)
            return whole
        tiled = sliding_window_inference(
            x, patch, config.predict.batch_size, lambda tile: net(tile)["maps"].float(), config.data.overlap, "gaussian"
        )
        return {"maps": tiled}

    mean = _average(_passes(member, config, image, run), config)["maps"]
    cropped = mean[0, :, : size[0], : size[1], : size[2]]
    return quantise(resample(cropped, scan.grid.shape).clamp(0, 1).cpu().numpy()), None


def _passes(
    member: Member, config: Experiment, image: Tensor, run: Callable[[PaddedNet, Tensor], Outputs]
) -> Iterator[Outputs]:
    for net in member.nets:
        for flip in ("", *config.predict.flips):
            axes = [AXES[axis] for axis in flip]
            outputs = run(net, image.flip(axes) if axes else image)
            if axes and "maps" in outputs:
                outputs = outputs | {"maps": outputs["maps"].flip(axes)}
            yield outputs


def _average(passes: Iterator[Outputs], config: Experiment) -> Outputs:
    """The mean over passes, in float32, as probabilities, without softmax's background."""
    softmax = getattr(config.model, "activation", "sigmoid") == "softmax"  # type: ignore[attr-defined]

    def probabilities(what: str, logits: Tensor) -> Tensor:
        return logits.softmax(1)[:, 1:] if what == "maps" and softmax else logits.sigmoid()

    late = config.predict.average == "logits"
    total: Outputs = {}
    count = 0
    for outputs in passes:
        count += 1
        for what, logits in outputs.items():
            value = logits.float() if late else probabilities(what, logits.float())
            total[what] = total[what] + value if what in total else value
    mean = {what: value / count for what, value in total.items()}
    return {what: probabilities(what, value) for what, value in mean.items()} if late else mean
