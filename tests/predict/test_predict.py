"""Predictions on the scan's own grid: averages of flips and folds in literal numbers, any size, no voxel left out."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from casefold.config.load import save
from casefold.core import ConfigError, DataError, Prediction, Scan
from casefold.files import hash_bytes, hash_file
from casefold.models.build import build
from casefold.models.weights import WeightsInfo, save_weights
from casefold.predict import Member, load_member, predict
from toy_members import Brightness, Given, cls, padded, ramp_scan, seg3d, seg25d

CPU = torch.device("cpu")
RAMP = (3, 4, 5)


def logit(p: Any) -> NDArray[np.float32]:
    p = np.asarray(p, np.float64)
    return np.log(p / (1 - p)).astype(np.float32)


def given(*probabilities: Any) -> nn.Module:
    """A net that says these probabilities, one plane or volume a class."""
    return Given(np.stack([logit(p) for p in probabilities]))


def run(config: Any, *nets: nn.Module, scan: Scan | None = None, classes: tuple[str, ...] = ("blob",)) -> Prediction:
    axes = 3 if config.kind == "seg3d" else 2
    member = Member(config, tuple(padded(net, axes) for net in nets), classes, "0", "abc")
    return predict(member, scan if scan is not None else ramp_scan(), CPU)


def rows(prediction: Prediction) -> list[list[int]]:
    """The first class's maps, of a scan of one slice."""
    assert prediction.maps is not None
    return prediction.maps[0, 0].tolist()


def one_row(width: int, **changes: Any) -> tuple[Any, Scan]:
    """A 2.5D member that works at a scan's own size: one slice of one row."""
    return seg25d(data={"size": (1, width)}, **changes), ramp_scan((1, 1, width))


SIZES = [(1, 7, 5), (3, 20, 30), (2, 32, 32), (5, 40, 33)]
CONFIGS = {
    "seg25d": seg25d(data={"window": (-1, 0, 1)}, model={"presence_head": "any"}, predict={"batch_size": 2}),
    "seg25d, flips": seg25d(predict={"flips": ("x", "xy"), "average": "logits"}),
    "seg25d, softmax": seg25d(model={"activation": "softmax"}),
    "seg3d, patches": seg3d(data={"patch": (4, 16, 16)}, predict={"flips": ("xyz",)}),
    "seg3d, whole": seg3d(data={"patch": None}, train={"batch_size": 1}),
    "seg3d, zoom": seg3d(data={"zoom": (1.0, 0.5, 0.75), "patch": (2, 8, 8), "overlap": 0.0}),
    "cls": cls(),
}


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_prediction_lies_on_the_scans_own_grid(config: Any, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    member = Member(config, (build(config, 1, 2),), ("left", "right"), "0", "abc")
    scan = ramp_scan(shape)
    prediction = predict(member, scan, CPU)
    assert (prediction.case, prediction.scan, prediction.member, prediction.fold) == (
        "case1",
        "case1_day0",
        config.name,
        "0",
    )
    assert (prediction.config_hash, prediction.weights_hash) == (member.config_hash, "abc")
    maps = None if prediction.maps is None else prediction.maps.shape
    presence = None if prediction.presence is None else prediction.presence.shape
    assert maps == (None if config.kind == "cls" else (2, *shape))
    heads = config.kind == "cls" or (config.kind == "seg25d" and config.model.presence_head != "none")
    assert presence == ((2, shape[0]) if heads else None)


def test_nets_are_averaged_as_probabilities_and_quantised_once() -> None:
    config, scan = one_row(1)
    # 0.2 and 0.7 alone are 51 and 178, whose mean would be 114; the mean 0.45 is 114.75
    assert rows(run(config, given([[0.2]]), given([[0.7]]), scan=scan)) == [[115]]
    assert rows(run(config, given([[0.7]]), given([[0.2]]), scan=scan)) == [[115]]


def test_nets_are_averaged_as_logits_where_the_config_says_so() -> None:
    nets = given([[0.2]]), given([[0.9]])
    config, scan = one_row(1)
    assert rows(run(config, *nets, scan=scan)) == [[140]]  # 0.55 * 255 = 140.25
    config, scan = one_row(1, predict={"average": "logits"})
    assert rows(run(config, *nets, scan=scan)) == [[153]]  # odds 1/4 and 9, whose geometric mean is 3/2: 0.6


def test_softmax_takes_the_background_off() -> None:
    config, scan = one_row(1, model={"activation": "softmax"})
    nets = [Given(np.log(np.array(shares, np.float32)).reshape(3, 1, 1)) for shares in ((2, 6, 2), (2, 2, 6))]
    alone = run(config, nets[0], scan=scan, classes=("a", "b"))
    both = run(config, *nets, scan=scan, classes=("a", "b"))
    assert alone.maps is not None and both.maps is not None
    assert alone.maps.ravel().tolist() == [153, 51]  # 0.6 and 0.2
    assert both.maps.ravel().tolist() == [102, 102]  # 0.4 of each


@pytest.mark.parametrize(
    ("flips", "answer"),
    [
        ((), [[51, 153], [153, 153]]),
        (("x",), [[102, 102], [153, 153]]),
        (("y",), [[102, 153], [102, 153]]),
        (("xy",), [[102, 153], [153, 102]]),
    ],
    ids=str,
)
def test_a_flipped_answer_is_flipped_back(flips: tuple[str, ...], answer: list[list[int]]) -> None:
    config = seg25d(data={"size": (2, 2)}, predict={"flips": flips})
    assert rows(run(config, given([[0.2, 0.6], [0.6, 0.6]]), scan=ramp_scan((1, 2, 2)))) == answer


def test_a_member_that_trained_on_parts_sees_the_whole_slice() -> None:
    """From 0 to 1 in thirds, whose logistic times 255 is 127.5, 148.6, 168.5 (less a hundredth) and 186.4."""
    for patch in (None, (1, 2)):
        config = seg25d(data={"size": (1, 4), "train_patch": patch, "normalize": {"name": "minmax"}})
        assert rows(run(config, Brightness(), scan=ramp_scan((1, 1, 4)))) == [[128, 149, 168, 186]]
    config = cls(data={"size": (1, 4), "train_patch": (1, 2), "normalize": {"name": "minmax"}})
    assert run(config, Brightness(), scan=ramp_scan((1, 1, 4))).presence.tolist() == [[159]]  # type: ignore[union-attr]


FLIPS_2D, FLIPS_3D = ("x", "y", "xy"), ("x", "y", "z", "xy", "xz", "yz", "xyz")


@pytest.mark.parametrize(
    ("config", "flips"),
    [(seg25d(data={"size": RAMP[1:]}), FLIPS_2D), (seg3d(data={"patch": None}, train={"batch_size": 1}), FLIPS_3D),
     (seg3d(data={"patch": (2, 3, 4)}), FLIPS_3D)],
    ids=["seg25d", "seg3d, whole", "seg3d, patches"],
)  # fmt: skip
def test_flips_change_nothing_for_a_net_that_does_not_mind(config: Any, flips: tuple[str, ...]) -> None:
    plain = run(config, Brightness(3.0))
    flipped = run(
        config.model_copy(update={"predict": config.predict.model_copy(update={"flips": flips})}), Brightness(3.0)
    )
    assert plain.maps is not None and len(np.unique(plain.maps)) > 20
    np.testing.assert_array_equal(plain.maps, flipped.maps)


def of_the_ramp(scan: Scan, slope: float) -> NDArray[np.uint8]:
    """What Brightness says of a scan, worked out voxel by voxel: percentiles to -1..1, sigmoid, rint."""
    low, high = (scan.statistics[0]["percentiles"][p] for p in ("0.5", "99.5"))
    seen = 2 * np.clip((scan.image[0] - low) / (high - low), 0, 1) - 1
    return np.rint(255 / (1 + np.exp(-slope * seen))).astype(np.uint8)


@pytest.mark.parametrize("patch", [None, (3, 4, 5), (8, 8, 8), (2, 3, 4), (1, 2, 2), (8, 2, 2)], ids=str)
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_whole_scans_and_patches_of_any_size_agree(patch: tuple[int, int, int] | None, overlap: float) -> None:
    config = seg3d(data={"patch": patch, "overlap": overlap}, train={"batch_size": 1})
    found = run(config, Brightness(2.0))
    np.testing.assert_array_equal(found.maps, of_the_ramp(ramp_scan(), 2.0)[None])


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_slices_go_in_batches_of_any_size(batch_size: int) -> None:
    config = seg25d(data={"size": RAMP[1:]}, predict={"batch_size": batch_size})
    found = run(config, Brightness(2.0), classes=("blob",))
    np.testing.assert_array_equal(found.maps, of_the_ramp(ramp_scan(), 2.0)[None])
    assert found.presence is not None and found.presence.shape == (1, 3)
    assert (np.diff(found.presence[0].astype(int)) > 0).all()  # the ramp climbs from slice to slice


def test_probabilities_come_back_to_the_grid_linearly_before_they_are_quantised() -> None:
    scan = ramp_scan((1, 1, 4))
    answer = [[51, 89, 166, 204]]  # 0.2, 0.2 + 0.6 / 4 = 0.35, 0.65, 0.8
    assert rows(run(seg25d(data={"size": (1, 2)}), given([[0.2, 0.8]]), scan=scan)) == answer
    volume = seg3d(data={"zoom": (1.0, 1.0, 0.5), "patch": None}, train={"batch_size": 1})
    assert rows(run(volume, given([[[0.2, 0.8]]]), scan=scan)) == answer


def test_padding_is_cut_off() -> None:
    config = seg25d(data={"size": (2, 3), "fit": "pad"})
    found = run(config, given([[0.2, 0.8, 0.6], [0.4, 0.4, 0.4]]), scan=ramp_scan((1, 1, 2)))
    assert rows(found) == [[51, 204]]


def test_one_presence_of_any_class_stands_for_every_class() -> None:
    nets = [Given(None, logit([p])) for p in (0.2, 0.6)]
    found = run(cls(predict={"flips": ("x",)}), *nets, classes=("a", "b"))
    assert found.maps is None and found.presence is not None
    assert found.presence.tolist() == [[102, 102, 102], [102, 102, 102]]


@pytest.mark.parametrize("config", [seg25d(data={"size": (1, 1)}), seg3d()], ids=["seg25d", "seg3d"])
def test_a_net_that_diverged_is_refused(config: Any) -> None:
    with pytest.raises(DataError, match=r"probabilities should lie in 0\.\.1, but span nan to nan; a network that div"):
        run(config, Brightness(math.nan), scan=ramp_scan((1, 1, 1)))


def test_a_scan_without_statistics_is_refused() -> None:
    with pytest.raises(DataError, match="scan case1_day0 has statistics of 0 modalities, but 1"):
        run(seg25d(), Brightness(), scan=replace(ramp_scan(), statistics=()))


def test_a_net_in_training_predicts_as_in_use_and_goes_on_training() -> None:
    config = seg25d(model={"presence_head": "any", "dropout": 0.9})
    net = build(config, 1, 1)
    member = Member(config, (net,), ("blob",), "0", "")
    found = []
    for training in (False, True, True):
        net.train(training)
        before = {key: value.clone() for key, value in net.state_dict().items()}
        found.append(predict(member, ramp_scan(), CPU))
        assert net.training is training and net.net.training is training
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    for other in found[1:]:
        np.testing.assert_array_equal(other.maps, found[0].maps)
        np.testing.assert_array_equal(other.presence, found[0].presence)


def write_run(folder: Path, fold: str, seed: int, **changes: Any) -> Path:
    config = seg3d(**changes)
    torch.manual_seed(seed)
    info = WeightsInfo(config.name, fold, "", 1, ("blob",), ("case9",))
    save(config, folder / "config.yaml")
    save_weights(build(config, 1, 1).state_dict(), info, folder / "weights.safetensors")
    return folder


def test_folds_are_loaded_as_one_member(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"fold{fold}", str(fold), seed=fold) for fold in (0, 1)]
    alone, both = load_member(runs[:1], CPU), load_member(runs, CPU)
    first, second = (hash_file(folder / "weights.safetensors") for folder in runs)
    assert (alone.fold, alone.weights_hash, len(alone.nets)) == ("0", first, 1)
    assert (both.fold, both.weights_hash, len(both.nets)) == ("mean", hash_bytes(first.encode(), second.encode()), 2)
    assert [info.fold for info in both.infos] == ["0", "1"]
    assert both.config == seg3d() and both.classes == ("blob",)
    mean = predict(both, ramp_scan(), CPU)
    apart = [predict(load_member([folder], CPU), ramp_scan(), CPU) for folder in runs]
    assert mean.maps is not None and apart[0].maps is not None and apart[1].maps is not None
    halves = (apart[0].maps.astype(float) + apart[1].maps) / 2
    assert not np.array_equal(apart[0].maps, apart[1].maps)
    assert np.abs(mean.maps - halves).max() <= 1


def test_folds_of_different_configs_are_refused(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "fold0", "0", 0), write_run(tmp_path / "fold1", "1", 1, train={"lr": 0.5})]
    with pytest.raises(
        DataError, match=r"the folds of toy_3d were trained from different configs: \['.*fold0', '.*fold"
    ):
        load_member(runs, CPU)


def test_a_run_of_a_later_schema_is_refused(tmp_path: Path) -> None:
    run_folder = write_run(tmp_path / "fold0", "0", 0)
    path = run_folder / "config.yaml"
    path.write_text(path.read_text().replace("schema: 1", "schema: 2"))
    with pytest.raises(ConfigError, match=r"config\.yaml has schema 2; this casefold reads schema 1"):
        load_member([run_folder], CPU)
