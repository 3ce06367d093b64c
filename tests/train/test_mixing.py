"""Mixup and cutmix by hand, and in their shares."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from casefold.config.training import Mix
from casefold.train import mixing
from casefold.train.mixing import mix_batch

asked: list[tuple[float, float]] = []  # of which Beta distributions weights were drawn


class Draws:
    """A generator that draws what it is told."""

    def __init__(self, share: float, weight: float, starts: list[int]) -> None:
        self.share, self.weight, self.starts = share, weight, list(starts)

    def random(self) -> float:
        return self.share

    def permutation(self, count: int) -> Any:
        return np.arange(count)[::-1].copy()

    def beta(self, a: float, b: float) -> float:
        asked.append((a, b))
        return self.weight

    def integers(self, low: int, high: int) -> int:
        return self.starts.pop(0)


def pair() -> dict[str, Tensor]:
    """Two items of 4 x 4: zeros without the class, ones full of it; a corner of the first is ignored."""
    image = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    keep = torch.ones(2, 1, 4, 4)
    keep[0, 0, 0, 0] = 0
    return {"image": image, "maps": image.clone(), "presence": torch.tensor([[0.0], [1.0]]), "keep": keep}


def draw(monkeypatch: pytest.MonkeyPatch, *words: Any) -> None:
    monkeypatch.setattr(mixing.np.random, "default_rng", lambda key: Draws(*words))


def test_mixup_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    draw(monkeypatch, 0.3, 0.75, [])
    mixed = mix_batch(pair(), Mix(mixup=0.5), (0, 0, 0))
    assert mixed["image"][0].unique().tolist() == [0.25] and mixed["image"][1].unique().tolist() == [0.75]
    assert mixed["presence"].tolist() == [[0.25], [0.75]]
    assert torch.equal(mixed["maps"], mixed["image"])
    assert mixed["keep"][:, 0, 0, 0].tolist() == [0, 0] and mixed["keep"].sum() == 30


def test_cutmix_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    draw(monkeypatch, 0.6, 0.75, [1, 2])  # a quarter of the plane: 2 x 2, from (1, 2)
    mixed = mix_batch(pair(), Mix(mixup=0.5, cutmix=0.2), (0, 0, 0))
    assert mixed["image"][0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]
    assert mixed["image"][1, 0].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    assert torch.equal(mixed["maps"], mixed["image"])
    assert mixed["presence"].tolist() == [[1.0], [1.0]]  # the first now holds a piece of the class
    assert mixed["keep"].sum() == 31


@pytest.mark.parametrize(
    ("share", "alphas", "beta"),
    [
        (0.3, {}, 1.0),
        (0.6, {}, 1.0),
        (0.3, {"alpha": 0.7}, 0.7),
        (0.6, {"alpha": 0.7}, 0.7),
        (0.3, {"cutmix_alpha": 0.4}, 1.0),
        (0.6, {"cutmix_alpha": 0.4}, 0.4),
        (0.3, {"alpha": 0.7, "cutmix_alpha": 0.4}, 0.7),
        (0.6, {"alpha": 0.7, "cutmix_alpha": 0.4}, 0.4),
    ],
)
def test_each_mix_draws_its_weight_from_its_own_beta(
    monkeypatch: pytest.MonkeyPatch, share: float, alphas: dict[str, float], beta: float
) -> None:
    draw(monkeypatch, share, 0.75, [1, 2])
    asked.clear()
    mix_batch(pair(), Mix(mixup=0.5, cutmix=0.2, **alphas), (0, 0, 0))
    assert asked == [(beta, beta)]


@pytest.mark.parametrize("mix", [Mix(), Mix(mixup=0.5, cutmix=0.3)])
def test_the_rest_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, mix: Mix) -> None:
    draw(monkeypatch, 0.8, 0.5, [])
    batch = pair()
    assert mix_batch(batch, mix, (0, 0, 0)) is batch


def test_a_batch_of_one_is_left_as_it_is() -> None:
    batch = {name: value[:1] for name, value in pair().items()}
    assert mix_batch(batch, Mix(mixup=1.0), (0, 0, 0)) is batch


def test_the_shares_are_those_of_the_config() -> None:
    kinds = {"mixup": 0, "cutmix": 0, "plain": 0}  # a quarter, a quarter and a half of 400, as these keys draw
    for number in range(400):
        batch = pair()
        mixed = mix_batch(batch, Mix(mixup=0.25, cutmix=0.25), (0, 0, number))
        values = set(mixed["image"].unique().tolist())
        kinds["plain" if mixed is batch else "cutmix" if values <= {0.0, 1.0} else "mixup"] += 1
    assert kinds == {"mixup": 100, "cutmix": 94, "plain": 206}


def test_the_key_alone_decides() -> None:
    first, again, other = (mix_batch(pair(), Mix(mixup=1.0), key)["image"] for key in ((1, 2, 3), (1, 2, 3), (1, 2, 4)))
    assert torch.equal(first, again) and not torch.equal(first, other)
