"""Studies: a budget is one of two, tests have names of their own, and the shipped ones name members that are there."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from casefold.config.load import load_experiment, load_study
from casefold.config.studies import Study, Unlike
from casefold.core import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def written(folder: Path, **changes: Any) -> Path:
    content = {"name": "s", "dataset": "toy", "members": ["seg25d/a"], "budget": {"steps": 3}, **changes}
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    study = load_study(written(tmp_path))
    assert (study.fold, study.shares, study.seed, study.budget.steps, study.budget.minutes) == (
        0, (1.0, 0.3, 0.1), 0, 3, None,
    )  # fmt: skip
    assert study.unlike.names == ["rotated 30", "flipped x", "flipped y", "flipped z"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"budget": {}}, "budget: a budget is either `minutes` or `steps`; give one of the two"),
        (
            {"budget": {"steps": 3, "minutes": 2}},
            "budget: a budget is either `minutes` or `steps`; give one of the two",
        ),
        ({"members": ["seg25d/a", "seg3d/a"]}, "members: one stands twice in ['a', 'a']"),
        ({"shares": [1.0, 1.0]}, "shares: one stands twice in [1.0, 1.0]"),
        ({"shares": [0.0]}, "shares.0: Input should be greater than 0; came 0.0"),
        ({"unlike": {"rotated_deg": [30, 30.0]}}, "unlike: ['rotated 30'] stand more than once"),
        ({"unlike": {"fliped": ["x"]}}, "unlike.fliped: unknown word (did you mean 'flipped'?)"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study(written(tmp_path, **changes))
    assert fault in str(caught.value)


def test_the_name_is_the_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`name: other` should be the file's own name, 's'"):
        load_study(written(tmp_path, name="other"))


def test_a_test_has_the_name_of_what_it_does() -> None:
    assert Unlike(rotated_deg=(90, 7.5), flipped=("yz",)).names == ["rotated 90", "rotated 7.5", "flipped yz"]
    assert Unlike(rotated_deg=(), flipped=()).names == []


@pytest.mark.parametrize("path", sorted((CONFIGS / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_members_train_without_what_the_scans_are_changed_by(path: Path) -> None:
    study: Study = load_study(path)
    assert {load_experiment(CONFIGS, member).augment for member in study.members} == {"none"}
    assert (CONFIGS / "datasets" / f"{study.dataset}.yaml").is_file()
