"""Every kind of network through one tester: any size in, logits of that size out, padding exact."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from casefold.config.experiments import Experiment
from casefold.config.networks import ArchName, Seg3dModel
from casefold.core import ConfigError
from casefold.models.build import (
    SMP_ARCHS,
    PaddedNet,
    _size_argument,
    build,
    level_depths,
    map_channels,
    memory_format,
    parameters,
)
from toy_members import ENCODER, cls, seg3d, seg25d

CLASSES = 2
ANISOTROPIC = {"channels": (4, 4, 8), "strides": ((1, 2, 2), 2)}
SEGMENTERS: list[Any] = [
    *(pytest.param(seg25d(model={"arch": arch}), (35, 50), (64, 64), id=arch) for arch in SMP_ARCHS),
    pytest.param(seg25d(model={"encoder": "mobilenet_v2"}), (32, 33), (32, 64), id="an encoder of smp"),
    pytest.param(seg25d(data={"window": (-1, 0, 1)}), (64, 31), (64, 32), id="three slices"),
    pytest.param(seg25d(model={"activation": "softmax"}), (35, 50), (64, 64), id="softmax"),
    pytest.param(seg3d(), (9, 35, 50), (10, 36, 50), id="seg3d"),
    pytest.param(seg3d(model=ANISOTROPIC), (9, 35, 50), (10, 36, 52), id="seg3d, a stride by axis"),
    pytest.param(seg3d(model={"activation": "softmax", "norm": "batch"}), (3, 5, 7), (4, 6, 8), id="seg3d, softmax"),
]


def build_seeded(config: Experiment, modalities: int = 1) -> PaddedNet:
    torch.manual_seed(0)
    return build(config, modalities, CLASSES).eval()


def image_for(config: Any, size: tuple[int, ...], modalities: int = 1) -> Tensor:
    channels = modalities * len(getattr(config.data, "window", (0,)))
    return torch.from_numpy(np.random.default_rng(1).normal(size=(2, channels, *size)).astype(np.float32))


def edge_padded(image: Tensor, size: tuple[int, ...]) -> Tensor:
    """The far border repeated until the size is reached."""
    short = [(0, wanted - have) for wanted, have in zip(size, image.shape[2:], strict=True)]
    return torch.from_numpy(np.pad(image.numpy(), [(0, 0), (0, 0), *short], mode="edge"))


@pytest.mark.parametrize(("config", "size", "inner"), SEGMENTERS)
def test_maps_have_the_size_that_came(config: Any, size: tuple[int, ...], inner: tuple[int, ...]) -> None:
    net, image = build_seeded(config), image_for(config, size)
    channels = CLASSES + (config.model.activation == "softmax")
    with torch.inference_mode():
        maps = net(image)["maps"]
        by_hand = net.net(edge_padded(image, inner))
    assert maps.shape == (2, channels, *size)
    assert maps.isfinite().all()
    assert by_hand.shape == (2, channels, *inner)
    assert torch.equal(maps, by_hand[(..., *(slice(length) for length in size))])


@pytest.mark.parametrize(("config", "axes"), [(cls(), 2), (seg25d(), 2), (seg3d(), 3)], ids=["cls", "seg25d", "seg3d"])
def test_modalities_are_channels_of_every_slice_of_the_window(config: Any, axes: int) -> None:
    windows = 1
    if axes == 2:
        windows, config = 3, config.model_copy(update={"data": config.data.model_copy(update={"window": (-2, 0, 2)})})
    net = build_seeded(config, modalities=2)
    first = next(value for value in net.state_dict().values() if value.ndim == axes + 2)
    assert first.shape[1] == 2 * windows
    with torch.inference_mode():
        assert set(net(image_for(config, (32,) * axes, modalities=2))) == {
            "presence" if config.kind == "cls" else "maps"
        }


def test_a_classifier_takes_any_size_as_it_is() -> None:
    net, image = build_seeded(cls()), image_for(cls(), (35, 50))
    with torch.inference_mode():
        presence = net(image)["presence"]
        assert torch.equal(presence, net.net(image))
    assert presence.shape == (2, CLASSES)


@pytest.mark.parametrize(("head", "outputs"), [("none", None), ("any", 1), ("classes", CLASSES)])
def test_presence_head(head: str, outputs: int | None) -> None:
    config = seg25d(model={"presence_head": head})
    with torch.inference_mode():
        found = build_seeded(config)(image_for(config, (35, 50)))
    assert found["maps"].shape == (2, CLASSES, 35, 50)
    if outputs is None:
        assert set(found) == {"maps"}
    else:
        assert found["presence"].shape == (2, outputs)


def test_softmax_has_a_background_channel_in_front() -> None:
    assert (map_channels("sigmoid", 3), map_channels("softmax", 3)) == (3, 4)


@pytest.mark.parametrize(
    ("encoder", "extra"),
    [
        ("swin_tiny_patch4_window7_224", {"img_size": (64, 96)}),
        ("maxvit_nano_rw_256", {"img_size": (64, 96)}),
        ("tf_efficientnet_lite0", {}),
    ],
)
def test_encoders_cut_for_one_size_are_told_it(encoder: str, extra: dict[str, tuple[int, int]]) -> None:
    assert _size_argument(encoder, (35, 96)) == extra


@pytest.mark.parametrize(
    "config",
    [
        seg25d(data={"size": (35, 50)}, model={"encoder": "tu-maxvit_rmlp_pico_rw_256"}),
        seg25d(data={"size": (35, 50)}, model={"encoder": "tu-swin_tiny_patch4_window7_224"}),
        cls(data={"size": (35, 50)}, model={"encoder": "swin_tiny_patch4_window7_224"}),
    ],
    ids=["maxvit", "swin", "swin, a classifier"],
)
def test_encoders_cut_for_one_size_run_at_the_configs_size(config: Any) -> None:
    with torch.inference_mode():
        outputs = build_seeded(config)(image_for(config, (35, 50)))
    shapes = {"maps": (2, CLASSES, 35, 50), "presence": (2, CLASSES)}
    assert {what: tuple(value.shape) for what, value in outputs.items()} == {what: shapes[what] for what in outputs}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            cls(model={"encoder": "tf_efficientnet_light0"}),
            r"can't be built \(did you mean 'tf_efficientnet_lite0'\?\)",
        ),
        (
            seg25d(model={"encoder": "tu-tf_efficientnet_light0"}),
            r"can't be built \(did you mean 'tu-tf_efficientnet_lite0'\?\)",
        ),
        (seg25d(model={"encoder": "resnet81"}), r"'resnet81' can't be built \(did you mean 'resnet18'\?\)"),
        (seg25d(model={"encoder": "tu-test_vit"}), r"can't be built \(Unsupported model downsampling pattern\.\)"),
    ],
    ids=["cls", "of timm", "of smp", "of another shape"],
)
def test_an_unknown_encoder_is_named_with_the_nearest(config: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(config, 1, CLASSES)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="no network is known for Experiment"):
        build(Experiment(name="x", train={"epochs": 1}), 1, 1)


def test_the_words_of_the_config_are_those_of_the_table() -> None:
    assert list(get_args(ArchName)) == list(SMP_ARCHS)


def test_parameters_by_hand() -> None:
    net = build(seg3d(), 1, CLASSES)
    down, bottom = 27 * 1 * 4 + 4, 27 * 4 * 8 + 8
    up = 27 * (4 + 8) * CLASSES + CLASSES
    slopes = 1 + 1  # one PReLU below, none after the last convolution
    assert parameters(net) == down + bottom + up + slopes


def test_slices_are_kept_channels_last() -> None:
    assert memory_format(build(seg25d(), 1, 1)) == torch.channels_last
    assert memory_format(build(seg3d(), 1, 1)) == torch.contiguous_format
    assert ENCODER in seg25d().model.encoder


@pytest.mark.parametrize(
    ("depth", "levels"), [(16, [16, 16, 8, 4]), (8, [8, 8, 4, 2]), (9, [12, 12, 6, 3]), (1, [4, 4, 2, 1])]
)
def test_level_depths_are_those_after_padding(depth: int, levels: list[int]) -> None:
    model = Seg3dModel(channels=(4, 8, 16, 32), strides=((1, 2, 2), 2, 2))
    assert level_depths(model, depth) == levels


def test_the_classifier_starts_with_small_logits() -> None:
    net = build(cls(model={"encoder": "tf_efficientnet_lite0"}), modalities=1, classes=1)
    head = net.net.get_classifier()  # timm alone would spread these weights over -1..1
    assert head.weight.shape == (1, 1280)
    assert head.weight.abs().max() < 0.1
    assert head.bias.tolist() == [0.0]
