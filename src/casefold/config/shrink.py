"""Twins: a config made small enough to run in seconds, and nothing else about it changed."""

from collections.abc import Mapping
from math import prod
from typing import Any

from casefold.config.base import CaseFolds, Dataset, GroupKFolds
from casefold.config.datasets import PhantomDataset, UwmgiDataset
from casefold.config.detectors import Detect
from casefold.config.ensembles import Ensemble
from casefold.config.experiments import Cls, Experiment, Seg3d, Seg25d, as_plain
from casefold.config.networks import Seg2dModel
from casefold.config.postprocess import Truncate
from casefold.config.studies import Budget, Study

# All in which a twin may differ from its full config: encoder, sizes, filters, epochs and batch.
SHRUNK = frozenset(
    {
        "model.encoder", "model.backbone", "model.scale",
        "data.size", "data.train_patch", "data.patch",
        "model.channels", "model.filters", "model.decoder_channels", "model.feature_size", "model.hidden_size",
        "model.mlp_size", "model.types", "model.dims",
        "train.epochs", "train.steps",
        "train.batch_size", "train.accumulate", "predict.batch_size",
    }
)  # fmt: skip
ENCODER = "tf_efficientnet_lite0"  # of all that are pretrained offline the smallest
SIDE = 64  # of a slice
PART = 32  # of a slice's side, where training sees a part; nets halve five times at most
DEPTH = 16
BATCH = 4
CHANNELS = 8  # a group norm's groups
SMALL: dict[str, int] = {"filters": CHANNELS, "feature_size": 12, "hidden_size": 24, "mlp_size": 32}
SMALL_EACH: dict[str, int] = {"channels": CHANNELS, "decoder_channels": CHANNELS, "types": 2, "dims": 4}
FOLDS = 2


def shrunk(experiment: Experiment) -> Experiment:
    """The twin of a member."""
    content = as_plain(experiment)
    model, data, train = content["model"], content["data"], content["train"]
    if isinstance(experiment, Cls):
        model["encoder"] = ENCODER
    elif isinstance(experiment, Seg25d) and isinstance(experiment.model, Seg2dModel):
        model["encoder"] = f"tu-{ENCODER}"
    if "backbone" in model:
        model["backbone"] = "efficientnet-b0" if model["backbone"].startswith("efficientnet") else "resnet10"
    model |= {name: small for name, small in SMALL.items() if name in model}
    model |= {name: [small] * len(model[name]) for name, small in SMALL_EACH.items() if name in model}
    if "size" in data:
        data["size"] = [SIDE, SIDE]
    if data.get("train_patch") is not None:
        data["train_patch"] = [PART, PART]
    if isinstance(experiment, Seg3d) and experiment.data.patch is not None:
        data["patch"] = _patch(experiment.model.level_strides, experiment.data.patch)
    train |= {"epochs": 1, "steps": None, "batch_size": min(BATCH, train["batch_size"]), "accumulate": 1}
    content["predict"]["batch_size"] = min(BATCH, content["predict"]["batch_size"])
    return type(experiment).model_validate(content)


def shrunk_detector(detector: Detect) -> Detect:
    """The twin of a detector."""
    content = as_plain(detector)
    content["model"]["scale"], content["data"]["size"] = "n", SIDE
    content["train"] |= {"epochs": 1, "batch_size": min(BATCH, detector.train.batch_size)}
    return Detect.model_validate(content)


def shrunk_ensemble(ensemble: Ensemble, members: Mapping[str, Experiment]) -> Ensemble:
    """The twin of an ensemble: of members whose twins are alike in kind, net and input, the first alone.

    Those that others begin with or that post-processing reads stay, and of a gate's members those that are left.
    members: the full ones, by name.
    """
    named = {member.rsplit("/", 1)[-1]: member for member in ensemble.members}
    gate = () if ensemble.gate is None else ensemble.gate.members
    first: dict[str, str] = {}
    for name in named:
        first.setdefault(_likeness(members[name], name in gate), name)
    kept = {*first.values(), *(step.member for step in ensemble.post if isinstance(step, Truncate))}
    waiting = list(kept)
    while waiting:
        start = _begins_with(members[waiting.pop()])
        if start in named and start not in kept:
            kept.add(start)
            waiting.append(start)
    content = as_plain(ensemble) | {"members": [path for name, path in named.items() if name in kept]}
    if ensemble.gate is not None:
        content["gate"]["members"] = [name for name in gate if name in kept]
    return Ensemble.model_validate(content)


def shrunk_study(study: Study) -> Study:
    """The twin of a study: its first and its last member alone, for two steps each."""
    members = tuple(dict.fromkeys((study.members[0], study.members[-1])))
    return study.model_copy(update={"members": members, "budget": Budget(steps=2)})


def shrunk_dataset(dataset: Dataset, root: str) -> Dataset:
    """The phantom in a data set's own format, at `root`: two folds where it counts them, and no scans to drop.

    UW-Madison's is drawn by the reader `phantom`; for the others `write_phantom` writes what the config asks for.
    Joined roots stand beside it, numbered from 2.
    """
    folds: Any = dataset.folds
    if isinstance(folds, CaseFolds | GroupKFolds):
        folds = folds.model_copy(update={"count": FOLDS})
    if isinstance(dataset, UwmgiDataset):
        return PhantomDataset(
            reader="phantom",
            root=root,
            classes=dataset.classes,
            spacing_mm=(33.0, "from_name", "from_name"),
            cases=5,
            test_cases=1,
            slices=(12, 10),
            sizes=((SIDE, SIDE), (SIDE, 48)),
            drop_scans=("case10_day13",),
            folds=folds,
        )
    joined = tuple(f"{root}_{number}" for number in range(2, 2 + len(dataset.joined)))
    changes = {"root": root, "joined": joined, "drop_scans": (), "dropped_slices": None, "folds": folds}
    return dataset.model_copy(update=changes)


def _likeness(member: Experiment, gating: bool) -> str:
    """What says of two members that one twin stands for both."""
    twin = as_plain(shrunk(member))
    data = {name: twin["data"].get(name) for name in ("plane", "crop", "train_patch", "patch")}
    return repr([gating, _begins_with(member) is not None, twin["kind"], twin.get("target"), twin["model"], data])


def _begins_with(member: Experiment) -> str | None:
    start = member.train.init_from
    return None if start is None else start.member


def _patch(strides: tuple[tuple[int, ...], ...], patch: tuple[int, int, int]) -> list[int]:
    """A whole phantom, or what the levels of a net want, if that is more: small patches would be many in prediction."""
    multiple = [prod(axis) for axis in zip(*strides, strict=True)]
    return [min(full, max(least, here)) for full, least, here in zip(patch, multiple, (DEPTH, SIDE, SIDE), strict=True)]
