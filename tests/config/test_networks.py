"""Nets of our own in a config: what they take, and what they refuse before anything is built."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from casefold.config.networks import Capsules3d, PlainUnet3d, Seg2dModel, Seg3dModel, Seg25dModel
from casefold.config.own_networks import Capsules2d, PlainUnet2d

FLAT: TypeAdapter[Any] = TypeAdapter(Seg25dModel)
DEEP: TypeAdapter[Any] = TypeAdapter(Seg3dModel)


def test_the_arch_says_which_net_it_is() -> None:
    assert type(FLAT.validate_python({"arch": "plain_unet"})) is PlainUnet2d
    assert type(FLAT.validate_python({"arch": "capsules"})) is Capsules2d
    assert type(FLAT.validate_python({"arch": "unet", "encoder": "resnet18"})) is Seg2dModel
    assert type(DEEP.validate_python({"arch": "plain_unet"})) is PlainUnet3d
    assert type(DEEP.validate_python({"arch": "capsules"})) is Capsules3d


def test_strides_are_those_of_each_axis() -> None:
    flat = FLAT.validate_python({"arch": "plain_unet", "channels": [8, 8, 8], "strides": [2, 3]})
    deep = DEEP.validate_python({"arch": "plain_unet", "channels": [8, 8, 8], "strides": [[1, 2, 2], 2]})
    assert flat.level_strides == ((2, 2), (3, 3))
    assert deep.level_strides == ((1, 2, 2), (2, 2, 2))


@pytest.mark.parametrize("arch", ["plain_unet", "capsules"])
def test_nets_of_our_own_have_maps_alone(arch: str) -> None:
    assert FLAT.validate_python({"arch": arch}).presence_head == "none"
    for word in ("presence_head", "encoder", "pretrained", "aux_head"):
        with pytest.raises(ValidationError, match=f"{word}\n.*Extra inputs are not permitted"):
            FLAT.validate_python({"arch": arch, word: "any"})


COMMON: list[tuple[dict[str, Any], str]] = [
    ({"arch": "plain_unet", "channels": [8, 16]}, "2 channels want 1 strides, not 3"),
    ({"arch": "plain_unet", "deep_supervision": 3}, "of 4 levels, 2 at most lie between output and bottom, not 3"),
    ({"arch": "plain_unet", "channels": [8, 12, 16, 8], "norm": "group"}, r"8 groups, which do not divide \[12\]"),
    ({"arch": "plain_unet", "norm": "layer"}, "'none', 'instance', 'batch' or 'group'"),
    ({"arch": "plain_unet", "channels": [8, 0, 8, 8]}, "greater than 0"),
    ({"arch": "capsules", "types": [2, 2]}, "types and dims are those of each level, but 2 and 4 came"),
    ({"arch": "capsules", "types": [2, 2], "dims": [4, 4]}, "2 types want 1 strides, not 3"),
    ({"arch": "capsules", "routing": 0}, "greater than or equal to 1"),
    ({"arch": "capsules", "kernel": 4}, "Input should be 3 or 5"),
]


@pytest.mark.parametrize(
    ("adapter", "content", "message"),
    [
        *((adapter, content, message) for adapter in (FLAT, DEEP) for content, message in COMMON),
        (FLAT, {"arch": "plain_unet", "strides": [2, 0, 2]}, "greater than 0"),
        (FLAT, {"arch": "unetr"}, "Input should be 'unet', .*'segformer', 'plain_unet', 'capsules'"),
        (FLAT, {"encoder": "resnet18"}, "arch\n.*Field required"),
        (DEEP, {"arch": "unetr", "hidden_size": 100}, "12 heads do not divide a hidden_size of 100"),
    ],
)
def test_what_does_not_fit_is_refused(adapter: TypeAdapter[Any], content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        adapter.validate_python(content)
