"""The schema of the losses: what is refused, and where the words come from."""

from typing import Any

import pytest

from casefold.config.experiments import Cls, Seg25d


def seg25d(losses: list[dict[str, Any]], activation: str = "sigmoid", smoothing: float = 0.0) -> Seg25d:
    model = {"arch": "unet", "encoder": "e", "activation": activation, "presence_head": "any"}
    train = {"epochs": 1, "label_smoothing": smoothing}
    return Seg25d.model_validate({"kind": "seg25d", "name": "a", "model": model, "train": train, "losses": losses})


def test_the_short_form_has_every_number_filled_in() -> None:
    config = seg25d([{"name": "bce", "weight": 1.0}, {"name": "dice", "weight": 3.0, "on": "maps"}])
    assert config.model_dump(mode="json")["losses"] == [
        {"name": "bce", "weight": 1.0, "on": "maps", "pos_weight": 1.0},
        {"name": "dice", "weight": 3.0, "on": "maps", "pool": "batch", "present_only": False, "squared": False},
    ]


@pytest.mark.parametrize(
    ("losses", "activation", "smoothing", "message"),
    [
        (
            [{"name": "ce"}],
            "sigmoid",
            0.0,
            r"losses\[0\]: `ce` wants model.activation softmax; sigmoid goes with `bce`",
        ),
        (
            [{"name": "bce"}],
            "softmax",
            0.0,
            r"losses\[0\]: `bce` wants model.activation sigmoid; softmax goes with `ce`",
        ),
        (
            [{"name": "bce"}, {"name": "dice", "on": "presence"}],
            "sigmoid",
            0.0,
            r"losses\[1\]: 'dice' is for maps; presence takes bce, focal, mse",
        ),
        ([{"name": "tversky", "alpha": 0, "beta": 0}], "sigmoid", 0.0, "alpha and beta are both 0"),
        ([{"name": "bce", "on": "presence"}], "sigmoid", 0.0, "none is on maps, so the maps would never be trained"),
        (
            [{"name": "dice"}],
            "sigmoid",
            0.1,
            "train.label_smoothing: no loss heeds it; those that do are bce, ce, focal",
        ),
        ([{"name": "focal", "gamma": 0.5}], "sigmoid", 0.0, "greater than or equal to 1"),
        ([{"name": "dice", "gamma": 2}], "sigmoid", 0.0, "Extra inputs are not permitted"),
        ([{"name": "dice_fp", "form": "other"}], "sigmoid", 0.0, "'bounded' or 'literal'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    losses: list[dict[str, Any]], activation: str, smoothing: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        seg25d(losses, activation, smoothing)


def test_a_softmax_model_takes_bce_on_presence_and_any_region_on_maps() -> None:
    config = seg25d([{"name": "lovasz"}, {"name": "bce", "on": "presence"}], "softmax", smoothing=0.1)
    assert [loss.name for loss in config.losses] == ["lovasz", "bce"]


def test_a_classifier_without_a_loss_is_refused() -> None:
    content = {"kind": "cls", "name": "a", "model": {"encoder": "e"}, "train": {"epochs": 1}, "losses": []}
    with pytest.raises(ValueError, match="none is on presence, so the presence would never be trained"):
        Cls.model_validate(content)
