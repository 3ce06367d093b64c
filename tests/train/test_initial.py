"""Weights to begin with: what fits is taken, what does not is named, and no leak comes in with them."""

import logging
from pathlib import Path

import pytest
import torch
from monai.networks import nets
from torch import nn

from casefold.config.experiments import Seg3d, as_plain
from casefold.config.training import InitFrom
from casefold.core import ConfigError, DataError, LeakError
from casefold.folds import FoldTable
from casefold.models.build import build
from casefold.models.weights import read_info
from casefold.store import Store
from casefold.train.initial import find_initial, load_initial
from casefold.train.run import Job, train
from toy_members import seg3d, write_weights


def two_layers(width: int = 2) -> nn.Sequential:
    """A net of the tensors 0.weight (width, 1), 0.bias, 1.weight (1, width), 1.bias."""
    return nn.Sequential(nn.Linear(1, width), nn.Linear(width, 1))


@pytest.mark.parametrize("prefix", ["", "module.", "net."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_fits_is_taken_and_the_rest_is_named(
    tmp_path: Path, prefix: str, wrapped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    given = {f"{prefix}0.weight": torch.full((2, 1), 7.0), f"{prefix}0.bias": torch.full((3,), 7.0)}
    torch.save({"state_dict": given} if wrapped else given, tmp_path / "model.pt")
    net = two_layers()
    bias = net[0].bias.detach().clone()
    with caplog.at_level(logging.INFO):
        load_initial(net, tmp_path / "model.pt")
    assert net[0].weight.tolist() == [[7.0], [7.0]]
    assert torch.equal(net[0].bias, bias)  # of another shape
    assert "1 of 4 tensors taken, 1 of its own not used" in caplog.text
    assert "left as built: 0.bias, 1.weight, 1.bias" in caplog.text


# as the bundles spleen_ct_segmentation and brats_mri_segmentation have them, but narrower
UNET = {"channels": (4, 8, 16), "strides": (2, 2), "num_res_units": 2, "norm": "batch"}
SEGRESNET = {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,), "dropout_prob": 0.2}
OURS = {
    "unet": {"arch": "unet", "channels": (4, 8, 16), "strides": (2, 2), "res_units": 2, "norm": "batch"},
    "segresnet": {"arch": "segresnet", "filters": 8, "blocks_down": (1, 1), "blocks_up": (1,), "dropout": 0.2},
}


@pytest.mark.parametrize("prefix", ["", "module.", "net.", "network."])
@pytest.mark.parametrize("key", [None, "model", "state_dict"])
@pytest.mark.parametrize("arch", ["unet", "segresnet"])
def test_a_monai_bundles_weights_arrive(
    tmp_path: Path, arch: str, key: str | None, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    monai = (
        nets.UNet(3, 4, 3, **UNET) if arch == "unet" else nets.SegResNet(3, in_channels=4, out_channels=3, **SEGRESNET)
    )
    state = {f"{prefix}{name}": value for name, value in monai.state_dict().items()}
    torch.save(state if key is None else {key: state, "epoch": 300}, tmp_path / "model.pt")
    net = build(Seg3d.model_validate(as_plain(seg3d()) | {"model": OURS[arch]}), modalities=4, classes=3)
    with caplog.at_level(logging.INFO):
        load_initial(net, tmp_path / "model.pt")
    count = len(monai.state_dict())
    assert f"{count} of {count} tensors taken, 0 of its own not used" in caplog.text
    assert "left as built" not in caplog.text
    image = torch.linspace(-1, 1, 2 * 4 * 8**3).reshape(2, 4, 8, 8, 8)
    with torch.inference_mode():
        assert torch.equal(net.eval()(image)["maps"], monai.eval()(image))


def test_a_bundles_head_for_other_classes_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(nets.SegResNet(3, in_channels=4, out_channels=3, **SEGRESNET).state_dict(), tmp_path / "model.pt")
    net = build(Seg3d.model_validate(as_plain(seg3d()) | {"model": OURS["segresnet"]}), modalities=4, classes=1)
    with caplog.at_level(logging.INFO):
        load_initial(net, tmp_path / "model.pt")
    assert "left as built: net.conv_final.2.conv.weight, net.conv_final.2.conv.bias" in caplog.text


def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    torch.save({"other": torch.zeros(5)}, tmp_path / "model.pt")
    with pytest.raises(ConfigError, match=r"no tensor of .*model\.pt fits this net, \['other'\] against \['0.weight'"):
        load_initial(two_layers(), tmp_path / "model.pt")


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"model\.pt can't be read as weights"):
        load_initial(two_layers(), tmp_path / "model.pt")


def test_a_missing_file_or_run_is_named(tmp_path: Path) -> None:
    run = tmp_path / "members" / "second" / "fold1"
    with pytest.raises(ConfigError, match=r"init_from\.file: there is no .*bundle/model\.pt"):
        find_initial(InitFrom(file="bundle/model.pt"), run, tmp_path)
    with pytest.raises(ConfigError, match=r"there is no .*/first/fold1/weights\.safetensors; train first on that fold"):
        find_initial(InitFrom(member="first"), run, tmp_path)


@pytest.mark.parametrize(("fold", "folder"), [("same", "fold1"), ("full", "full"), (0, "fold0")])
def test_the_fold_is_the_same_or_the_one_asked_for(
    toy_store: Store, toy_table: FoldTable, tmp_path: Path, fold: object, folder: str
) -> None:
    write_weights(tmp_path / "first" / folder, toy_store, toy_table, 1)
    config = InitFrom.model_validate({"member": "first", "fold": fold})
    found = find_initial(config, tmp_path / "second" / "fold1", tmp_path)
    assert found.path == tmp_path / "first" / folder / "weights.safetensors"
    assert found.seen_cases == read_info(found.path).seen_cases != ()


def test_weights_that_saw_a_held_out_case_are_refused_before_training(
    toy_store: Store, toy_table: FoldTable, tmp_path: Path
) -> None:
    small = {"data": {"patch": (2, 8, 8), "overlap": 0.0}}
    first = Job(seg3d(name="first", **small), toy_table, "0", toy_store.root, tmp_path / "first" / "fold0", "cpu")
    train(first)
    begun = seg3d(name="second", train={"init_from": {"member": "first", "fold": 0}}, **small)
    leaking = Job(begun, toy_table, "1", toy_store.root, tmp_path / "second" / "fold1", "cpu")
    with pytest.raises(LeakError, match="have seen case"):
        train(leaking)
    assert not (tmp_path / "second" / "fold1" / "last.pt").exists()
    file = seg3d(
        name="third", train={"init_from": {"file": "first/fold0/weights.safetensors", "seen": ["case2"]}}, **small
    )
    fold = toy_table.fold_of["case2"]
    with pytest.raises(LeakError, match="have seen case case2"):
        train(Job(file, toy_table, str(fold), toy_store.root, tmp_path / "third" / f"fold{fold}", "cpu", tmp_path))
