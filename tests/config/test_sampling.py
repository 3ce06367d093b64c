"""The schema of shares: numbers and ramps, how they are saved, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from casefold.config.experiments import Seg25d
from casefold.config.load import dump, load_experiment, parse_experiment, save
from casefold.config.sampling import PatchSampler, Ramp, SliceSampler, share_at
from casefold.core import ConfigError
from toy_members import seg3d, seg25d

RAMP = {"from": 0.8, "to": 0.4}


@pytest.mark.parametrize(
    ("first", "last", "epochs", "shares"),
    [
        (0.8, 0.4, 5, [0.8, 0.7, 0.6, 0.5, 0.4]),
        (0.8, 0.4, 3, [0.8, 0.6, 0.4]),
        (0.0, 1.0, 2, [0.0, 1.0]),
        (0.3, 0.9, 1, [0.3]),
    ],
)
def test_a_ramp_goes_from_the_first_epoch_to_the_last(
    first: float, last: float, epochs: int, shares: list[float]
) -> None:
    ramp = Ramp.model_validate({"from": first, "to": last})
    assert [share_at(ramp, epoch, epochs) for epoch in range(epochs)] == shares


def test_a_number_is_the_share_of_every_epoch() -> None:
    assert [share_at(0.07, epoch, 2) for epoch in (0, 1, 400)] == [0.07, 0.07, 0.07]


@pytest.mark.parametrize("epoch", [-1, 5])
def test_a_ramp_has_no_share_outside_its_epochs(epoch: int) -> None:
    with pytest.raises(ConfigError, match=rf"a ramp over epochs 0\.\.4 has no share for epoch {epoch}; give the run's"):
        share_at(Ramp.model_validate(RAMP), epoch, 5)


def test_the_defaults() -> None:
    assert SliceSampler().model_dump(mode="json") == {
        "name": "slices", "by": "slice", "empty_share": 1.0, "positive_share": None, "ignore_edges": 0,
    }  # fmt: skip
    assert PatchSampler().model_dump(mode="json") == {
        "name": "patches", "by": "scan", "per_scan": 1, "positive_share": 0.5,
    }  # fmt: skip


def test_a_ramp_is_saved_as_it_was_written_and_read_again(tmp_path: Path) -> None:
    config = seg25d(sampler={"positive_share": RAMP, "by": "case"})
    assert dump(config)["sampler"]["positive_share"] == RAMP
    assert parse_experiment(dump(config), tmp_path) == config
    save(config, tmp_path / "toy_2d.yaml")
    assert "  positive_share:\n    from: 0.8\n    to: 0.4\n" in (tmp_path / "toy_2d.yaml").read_text()
    patches = seg3d(sampler={"positive_share": RAMP})
    assert parse_experiment(dump(patches), tmp_path) == patches


def test_a_ramp_can_be_set_from_the_command_line(tmp_path: Path) -> None:
    content = "kind: seg25d\nname: a\nmodel: {arch: unet, encoder: e}\ntrain: {epochs: 3}\n"
    (tmp_path / "a.yaml").write_text(content)
    config = load_experiment(tmp_path, "a", ["sampler.empty_share={from: 1, to: 0.2}"])
    assert isinstance(config, Seg25d)
    assert [share_at(config.sampler.empty_share, epoch, 3) for epoch in range(3)] == [1.0, 0.6, 0.2]


@pytest.mark.parametrize(
    ("sampler", "fault"),
    [
        ({"empty_share": 1.5}, "sampler.empty_share: Input should be less than or equal to 1; came 1.5"),
        ({"empty_share": {"from": 0.5}}, "sampler.empty_share.to: is missing"),
        (
            {"positive_share": {"from": -1, "to": 0.5}},
            "sampler.positive_share.from: Input should be greater than or equal to 0; came -1",
        ),
        (
            {"positive_share": RAMP, "empty_share": 0.5},
            "sampler: empty_share and positive_share both say how many empty slices an epoch shows; take one of them "
            "out",
        ),
        (
            {"positive_share": 0.0},
            "sampler: positive_share 0 wants endlessly many empty slices; give more than 0, or take it out, which "
            "shows all",
        ),
        (
            {"positive_share": {"from": 0.8, "to": 0}},
            "sampler: positive_share 0 wants endlessly many empty slices; give more than 0, or take it out, which "
            "shows all",
        ),
        ({"ignore_edges": -1}, "sampler.ignore_edges: Input should be greater than or equal to 0; came -1"),
        ({"by": "cases"}, "sampler.by: allowed: slice, case (did you mean 'case'?); came 'cases'"),
    ],
)
def test_one_fault_is_told_in_one_line(tmp_path: Path, sampler: dict[str, Any], fault: str) -> None:
    content = dump(seg25d()) | {"sampler": sampler}
    with pytest.raises(ConfigError) as caught:
        parse_experiment(content, tmp_path / "toy_2d.yaml")
    assert str(caught.value).splitlines() == [f"{tmp_path / 'toy_2d.yaml'} has 1 fault(s):", f"  {fault}"]
