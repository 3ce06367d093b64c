"""timm's and smp's nets: encoders by name and size, the presence head, dropout, checkpointing, what stays frozen."""

from typing import Any

import pytest
import torch
from recomputed import both_ways
from toy_nets import CLASSES, NETS, built, image_for

from casefold.core import ConfigError
from casefold.models.build import build
from casefold.models.slices import DECODER_DROPOUT, size_argument
from toy_members import cls, seg25d


@pytest.mark.parametrize(("head", "outputs"), [("none", None), ("any", 1), ("classes", CLASSES)])
def test_presence_head(head: str, outputs: int | None) -> None:
    config = seg25d(model={"presence_head": head})
    with torch.inference_mode():
        found = built(config).eval()(image_for(config, (35, 50)))
    assert found["maps"].shape == (2, CLASSES, 35, 50)
    if outputs is None:
        assert set(found) == {"maps"}
    else:
        assert found["presence"].shape == (2, outputs)


@pytest.mark.parametrize(
    ("encoder", "extra"),
    [
        ("swin_tiny_patch4_window7_224", {"img_size": (64, 96)}),
        ("maxvit_nano_rw_256", {"img_size": (64, 96)}),
        ("tf_efficientnet_lite0", {}),
    ],
)
def test_encoders_cut_for_one_size_are_told_it(encoder: str, extra: dict[str, tuple[int, int]]) -> None:
    assert size_argument(encoder, (35, 96)) == extra


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
        outputs = built(config).eval()(image_for(config, (35, 50)))
    shapes = {"maps": (2, CLASSES, 35, 50), "presence": (2, CLASSES)}
    assert {what: tuple(value.shape) for what, value in outputs.items()} == {what: shapes[what] for what in outputs}


@pytest.mark.parametrize(
    "config",
    [
        seg25d(data={"size": (64, 96), "train_patch": (64, 64)}, model={"encoder": "tu-maxvit_nano_rw_256"}),
        cls(data={"size": (64, 96), "train_patch": (64, 64)}, model={"encoder": "maxvit_nano_rw_256"}),
    ],
    ids=["segmenter", "classifier"],
)
def test_an_encoder_cut_for_one_size_can_not_train_on_another(config: Any) -> None:
    said = r"data\.train_patch: 64 x 64 is another size than data\.size, 64 x 96, and maxvit_nano_rw_256 is cut for one"
    with pytest.raises(ConfigError, match=said):
        build(config, 1, CLASSES)


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


def test_the_classifier_starts_with_small_logits() -> None:
    net = build(cls(model={"encoder": "tf_efficientnet_lite0"}), modalities=1, classes=1)
    head = net.net.get_classifier()  # timm alone would spread these weights over -1..1
    assert head.weight.shape == (1, 1280)
    assert head.weight.abs().max() < 0.1
    assert head.bias.tolist() == [0.0]


@pytest.mark.parametrize(("arch", "own"), [("fpn", 0.2), ("pspnet", 0.2), ("deeplabv3plus", 0.5)])
def test_a_decoders_dropout_is_the_librarys_own_or_the_one_given(arch: str, own: float) -> None:
    assert arch in DECODER_DROPOUT
    for given, rate in ((None, own), (0.3, 0.3)):
        net = build(seg25d(model={"arch": arch, "decoder_dropout": given}), 1, CLASSES)
        assert {part.p for part in net.modules() if isinstance(part, torch.nn.modules.dropout._DropoutNd)} == {rate}


def test_a_decoder_without_dropout_is_named() -> None:
    wanted = r"model\.decoder_dropout: unet has none; fpn, pspnet, deeplabv3plus have"
    with pytest.raises(ConfigError, match=wanted):
        build(seg25d(model={"decoder_dropout": 0.1}), 1, CLASSES)


@pytest.mark.parametrize(
    "config",
    [
        *(seg25d(model={"arch": arch, "decoder_dropout": 0.5}) for arch in DECODER_DROPOUT),
        seg25d(model={"presence_head": "any", "dropout": 0.5}),
        cls(model={"dropout": 0.5}),
    ],
    ids=[*DECODER_DROPOUT, "presence head", "classifier"],
)
def test_dropout_draws_in_training_and_not_out_of_it(config: Any) -> None:
    net, image, found = built(config), image_for(config, (64, 64)), {}
    for training in (True, False):
        for seed in (0, 1, 0):
            torch.manual_seed(seed)
            found.setdefault(training, []).append(list(net.train(training)(image).values())[-1])
    assert not torch.equal(found[True][0], found[True][1])
    assert torch.equal(found[True][0], found[True][2])
    assert torch.equal(found[False][0], found[False][1])


@pytest.mark.parametrize(
    "toy",
    [NETS["cls"], NETS["unet"], NETS["unetplusplus, deep, convnext"], NETS["upernet, aux"]],
    ids=["classifier", "efficientnet", "convnext", "auxiliary head"],
)
def test_checkpointing_keeps_less_and_gives_the_same_gradients(toy: Any) -> None:
    kept, recomputed = both_ways(toy)
    assert recomputed < kept


@pytest.mark.parametrize("encoder", ["resnet18", "tu-hrnet_w18_small"])
def test_an_encoder_without_checkpointing_is_named(encoder: str) -> None:
    config = seg25d(model={"encoder": encoder}, train={"gradient_checkpointing": True})
    with pytest.raises(ConfigError, match=f"train.gradient_checkpointing: {encoder} has none; most encoders of timm"):
        build(config, 1, CLASSES)


def test_stages_that_no_decoder_reads_are_frozen() -> None:
    net = build(seg25d(model={"arch": "pspnet"}), 1, CLASSES)
    frozen = {".".join(name.split(".")[:5]) for name, weight in net.named_parameters() if not weight.requires_grad}
    # its first three stages are read: the stem with block 0 at half the size, block 1 at a fourth, block 2 at an eighth
    assert frozen == {"net.encoder.model.blocks.3", "net.encoder.model.blocks.4"}
