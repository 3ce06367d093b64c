"""A trained member ready to predict: its config and one network a fold."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from casefold.config.experiments import Experiment
from casefold.config.inputs import DetectorCrop
from casefold.config.load import dump, parse_experiment, read_yaml
from casefold.core import DataError, Scan
from casefold.detect import detect_box
from casefold.files import hash_bytes, hash_value
from casefold.models.build import PaddedNet, build, memory_format
from casefold.models.engines import by_engine
from casefold.models.weights import WeightsInfo, load_weights, read_info
from casefold.predict.batches import BatchLimit
from casefold.views import Box, Detect, FindBox, crop_of, detector_run


@dataclass(frozen=True)
class Member:
    """A trained member ready to predict: its config and one network a fold, which are averaged.

    limit: what its networks learn of the memory there is. detectors: where `data.crop` is by a detector, one a network.
    """

    config: Experiment
    nets: tuple[PaddedNet, ...]
    classes: tuple[str, ...]
    fold: str
    weights_hash: str
    infos: tuple[WeightsInfo, ...] = ()
    limit: BatchLimit = field(default_factory=BatchLimit, compare=False)
    detectors: tuple[FindBox, ...] = field(default=(), compare=False)

    @property
    def config_hash(self) -> str:
        """The digest of the config with every value spelled out."""
        return hash_value(dump(self.config))

    def first_folds(self, count: int) -> "Member":
        """The member with the first `count` of its networks, at least 1; with all of them where it has no more."""
        if count < 1:
            raise DataError(f"{self.config.name} can't predict with {count} folds; the least is 1")
        if count >= len(self.nets):
            return self
        infos = self.infos[:count]
        fold = infos[0].fold if len(infos) == 1 else "mean"
        part = hash_bytes(self.weights_hash.encode(), str(count).encode())
        detectors = self.detectors[:count]
        return replace(self, nets=self.nets[:count], infos=infos, fold=fold, weights_hash=part, detectors=detectors)


def load_member(
    runs: Sequence[Path], device: torch.device, engine: str = "torch", detect: Detect = detect_box
) -> Member:
    """A member from the folders of its folds (config.yaml, weights.safetensors); their configs must be the same.

    engine: a name of `models.engines.ENGINES`, what the networks run in. detect: finds the box of a scan by a
    detector's run, which lies beside the member's under the same fold.
    """
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
        net = net.to(device).to(memory_format=memory_format(net)).eval()
        nets.append(by_engine(engine, net, configs[0], info.modalities, device))
    fold = infos[0].fold if len(infos) == 1 else "mean"
    whole = hashes[0] if len(hashes) == 1 else hash_bytes(*(text.encode() for text in hashes))
    detectors = tuple(found for run in runs for found in detectors_of(configs[0], run, device, detect))
    return Member(configs[0], tuple(nets), infos[0].classes, fold, whole, tuple(infos), detectors=detectors)


def detectors_of(config: Experiment, run: Path, device: torch.device, detect: Detect) -> tuple[FindBox, ...]:
    """The one detector of a run's network, or none where the member is not cropped by one."""
    crop = crop_of(config)
    if not isinstance(crop, DetectorCrop):
        return ()
    folder = detector_run(crop, run)

    def find(scan: Scan) -> Box:
        return detect(folder, scan, device)

    return (find,)
