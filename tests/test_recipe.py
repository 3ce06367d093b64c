"""Recipes: the numbers they may hold, the members they read, and their file."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from casefold.config.gates import Majority, Runs
from casefold.config.postprocess import Overlap, SmallComponents, Truncate
from casefold.core import DataError
from casefold.recipe import GateRule, Recipe, Rung, as_plain, load_recipe, save_recipe
from toy_recipe import RUNG, recipe, rung

GATE = GateRule(("cls", "two"), "presence", {"a": 0, "NA": 51}, (Majority(), Runs(classes=("NA",))))
WHOLE = Recipe(
    name="mix",
    dataset="toy",
    classes=("NA", "a"),
    rungs=(
        Rung(
            weights={"one": {"a": 1, "NA": 0}, "two": {"a": 2, "NA": 3}},
            levels={"a": 121, "NA": 133},
            peaks={"a": 0, "NA": 200},
            average="logits",
            score=0.875,
            cross_fitted=0.8125,
            seconds_a_scan=3.5,
            gate=GATE,
            post=(SmallComponents(classes=("a",), min_voxels=20), Truncate(member="ends"), Overlap(rule="largest")),
            note="the search gained 0.02 (0.01 to 0.03)",
        ),
        Rung({"one": {"a": 1, "NA": 1}}, {"a": 9, "NA": 255}, {"a": 0, "NA": 0}, "probabilities", 0.5, 0.25, 3.5),
    ),
    models="full",
    folds=(0, 2),
    tuned_on={"data": "0123abcd", "weights": {"one": "ef", "two": "01"}},
)
# What anybody may read, and mend by hand: a line a member, a class its own number.
FILE = """\
schema: 2
name: mix
dataset: toy
classes: [NA, a]
rungs:
- weights:
    one: {a: 1, NA: 0}
    two: {a: 2, NA: 3}
  levels: {a: 121, NA: 133}
  peaks: {a: 0, NA: 200}
  average: logits
  score: 0.875
  cross_fitted: 0.8125
  seconds_a_scan: 3.5
  gate:
    members: [cls, two]
    source: presence
    levels: {a: 0, NA: 51}
    along_z:
    - {name: majority, slices: 2}
    - name: runs
      classes: [NA]
      slices: 3
  post:
  - name: small_components
    classes: [a]
    by: scan
    connectivity: 26
    min_voxels: 20
  - {name: truncate, member: ends, level: 128}
  - {name: overlap, rule: largest}
  note: the search gained 0.02 (0.01 to 0.03)
- weights:
    one: {a: 1, NA: 1}
  levels: {a: 9, NA: 255}
  peaks: {a: 0, NA: 0}
  average: probabilities
  score: 0.5
  cross_fitted: 0.25
  seconds_a_scan: 3.5
  post: []
  note: ''
models: full
folds: [0, 2]
tuned_on:
  data: 0123abcd
  weights: {one: ef, two: '01'}
"""


def test_a_recipe_is_a_file_of_numbers_that_comes_back(tmp_path: Path) -> None:
    save_recipe(WHOLE, tmp_path / "recipe.yaml")
    assert (tmp_path / "recipe.yaml").read_text() == FILE
    assert load_recipe(tmp_path / "recipe.yaml") == WHOLE
    assert as_plain(WHOLE) == {key: value for key, value in yaml.safe_load(FILE).items() if key != "schema"}
    save_recipe(recipe(), tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe()


def test_the_members_are_those_that_are_read() -> None:
    assert (WHOLE.rungs[0].members, WHOLE.rungs[0].truncating) == (["cls", "ends", "one", "two"], ["ends"])
    assert (WHOLE.rungs[1].members, WHOLE.rungs[1].truncating) == (["one"], [])
    gone = rung(weights={"one": {"a": 0, "b": 1}, "two": {"a": 2, "b": 0}, "gone": {"a": 0, "b": 0}})
    assert gone.members == ["one", "two"]
    assert replace(gone, gate=GateRule(("cls",), "pixels", {"a": 0, "b": 0})).members == ["one", "two"]
    assert replace(gone, gate=GateRule(("cls",), "pixels", {"a": 0, "b": 1})).members == ["cls", "one", "two"]


def test_a_ladder_reads_what_its_rungs_read() -> None:
    cheap = rung(weights={"small": {"a": 1, "b": 1}}, seconds_a_scan=1.0)
    both = recipe(RUNG, cheap)
    assert (both.members, both.members_from(1)) == (["one", "small"], ["small"])
    assert both.rung(0) is RUNG and both.rung(1) is cheap
    for number in (2, -1):
        with pytest.raises(DataError, match=rf"recipe mix has the rungs 0\.\.1, not {number}"):
            both.rung(number)
        with pytest.raises(DataError, match=r"recipe mix has the rungs 0\.\.1"):
            both.members_from(number)


def test_a_rung_in_words_leaves_out_what_is_off() -> None:
    assert RUNG.words() == (
        "weights {'one': {'a': 1, 'b': 1}} on probabilities; levels {'a': 128, 'b': 200}; "
        "score 0.5000, cross-fitted 0.2500, 2.00 s a scan"
    )
    off = replace(RUNG, peaks={"a": 128, "b": 9}, gate=GateRule(("cls",), "presence", {"a": 0, "b": 0}))
    assert off.words() == RUNG.words()
    assert WHOLE.rungs[0].words() == (
        "weights {'one': {'a': 1, 'NA': 0}, 'two': {'a': 2, 'NA': 3}} on logits; levels {'a': 121, 'NA': 133}; "
        "peaks {'a': 0, 'NA': 200}; gate by presence of cls, two after majority and runs along z at "
        "{'a': 0, 'NA': 51}; then small_components, truncate, overlap; score 0.8750, cross-fitted 0.8125, "
        "3.50 s a scan; the search gained 0.02 (0.01 to 0.03)"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": {}}, "weights: no member has one above 0 for ['a', 'b']"),
        ({"weights": {"one": {"a": 1, "b": 0}}}, "weights: no member has one above 0 for ['b']"),
        (
            {"weights": {"one": {"a": 1, "b": 1}, "two": {"a": -1, "b": 1}}},
            "weights of two should be whole numbers of 0 and more for each of ['a', 'b'], but are {'a': -1, 'b': 1}",
        ),
        ({"weights": {"one": {"a": 0.5, "b": 1}}}, "weights of one should be whole numbers of 0 and more"),
        ({"weights": {"one": {"a": True, "b": 1}}}, "weights of one should be whole numbers of 0 and more"),
        ({"weights": {"one": {"a": 1}}}, "weights of one should be whole numbers of 0 and more for each of ['a', 'b']"),
        (
            {"weights": {"one": {"a": 1, "b": 1, "c": 1}}},
            "levels should be whole numbers 1..255 for each of ['a', 'b', 'c'], but are {'a': 128, 'b': 200}",
        ),
        ({"levels": {"a": 128}}, "levels should be whole numbers 1..255 for each of ['a', 'b'], but are {'a': 128}"),
        ({"levels": {"a": 0, "b": 9}}, "levels should be whole numbers 1..255"),
        ({"levels": {"a": 256, "b": 9}}, "levels should be whole numbers 1..255"),
        ({"levels": {"a": 1.0, "b": 9}}, "levels should be whole numbers 1..255"),
        ({"peaks": {"a": -1, "b": 9}}, "peaks should be whole numbers 0..255"),
        ({"peaks": {"a": 256, "b": 9}}, "peaks should be whole numbers 0..255"),
        ({"peaks": {"a": 9}}, "peaks should be whole numbers 0..255 for each of ['a', 'b'], but are {'a': 9}"),
        (
            {"gate": GateRule(("g",), "presence", {"a": 256, "b": 0})},
            "levels of the gate should be whole numbers 0..255 for each of ['a', 'b'], but are {'a': 256, 'b': 0}",
        ),
        (
            {"gate": GateRule(("g",), "pixels", {"a": -1, "b": 0})},
            "levels of the gate should be whole numbers of 0 and more",
        ),
        ({"gate": GateRule(("g",), "pixels", {"a": 1})}, "levels of the gate should be whole numbers of 0 and more"),
        ({"score": float("nan")}, "score should be a number, but is nan"),
        ({"cross_fitted": float("inf")}, "cross_fitted should be a number, but is inf"),
        ({"seconds_a_scan": -1.0}, "seconds_a_scan should be 0 or more, but is -1.0"),
    ],
)
def test_a_rung_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        rung(**changes)


def test_a_gate_by_pixels_may_ask_for_thousands() -> None:
    gate = GateRule(("one",), "pixels", {"a": 5000, "b": 0})
    assert rung(gate=gate).gate == gate


@pytest.mark.parametrize("members", [(), ("g", "g")])
def test_a_gate_names_its_members_once(members: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="members of a gate should be one or more, each named once"):
        GateRule(members, "presence", {"a": 1, "b": 1})


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: replace(recipe(), rungs=()), "recipe mix has no rungs; wanted one or more"),
        (lambda: recipe(classes=("a", "b", "a")), "recipe mix: classes names one twice: ['a', 'b', 'a']"),
        (lambda: recipe(classes=("a", "c")), "recipe mix, rung 0 is for ['a', 'b'], the recipe for ['a', 'c']"),
        (lambda: recipe(folds=(1, 1)), "recipe mix: folds should be 0 or more, each once, but are [1, 1]"),
        (lambda: recipe(folds=(-1,)), "recipe mix: folds should be 0 or more"),
        (
            lambda: recipe(RUNG, rung(seconds_a_scan=2.5)),
            "recipe mix: seconds_a_scan should not rise from rung to rung, but is [2.0, 2.5]",
        ),
        (
            lambda: recipe(RUNG, rung(post=(SmallComponents(classes=("a", "c"), min_voxels=2),))),
            "recipe mix, rung 1: small_components treats ['c'], but the classes are ('a', 'b')",
        ),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(made: Callable[[], Recipe], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        made()


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ("schema: 2", "schema: 1", ["has schema 1, this casefold reads schema 2; run `tune` again"]),
        ("schema: 2\n", "", ["has schema None, this casefold reads schema 2; run `tune` again"]),
        ("name: mix", "name: mix\nvoxels: 3", ["voxels: unknown word"]),
        ("peaks: {a: 0, NA: 200}", "peeks: {a: 0}", ["rungs.0.peaks: is missing", "rungs.0.peeks: unknown word"]),
        ("min_voxels: 20", "min_voxel: 20", ["rungs.0.post.0.small_components.min_voxel: unknown word"]),
        (
            "source: presence",
            "source: area",
            ["rungs.0.gate.source: Input should be 'presence' or 'pixels'; came 'area'"],
        ),
        ("average: logits", "average: median", ["rungs.0.average: Input should be", "came 'median'"]),
        ("one: {a: 1, NA: 0}", "one: {a: 1.5, NA: 0}", ["rungs.0.weights.one.a: Input should be a valid integer"]),
        (
            "one: {a: 1, NA: 0}",
            "one: {a: -1, NA: 0}",
            ["rungs.0: weights of one should be whole numbers of 0 and more"],
        ),
        ("NA: 3}", "NA: 0}", ["rungs.0: weights: no member has one above 0 for ['NA']"]),
        ("levels: {a: 9, NA: 255}", "levels: {a: 9}", ["rungs.1: levels should be whole numbers 1..255 for each of"]),
        ("levels: {a: 9, NA: 255}", "levels: {a: 9, NA: 256}", ["rungs.1: levels should be whole numbers 1..255"]),
        (
            "levels: {a: 0, NA: 51}",
            "levels: {a: 0, NA: 256}",
            ["rungs.0: levels of the gate should be whole numbers 0..255"],
        ),
        ("  seconds_a_scan: 3.5\n  post: []", "  seconds_a_scan: 4\n  post: []", ["seconds_a_scan should not rise"]),
        ("models: full", "models: some", ["models: Input should be 'folds' or 'full'; came 'some'"]),
        ("schema: 2", "- schema: 2", ["mend it, or remove it and run `tune` again"]),
        ("schema: 2", "schema: [", ["is not YAML", "mend it, or remove it and run `tune` again"]),
    ],
)
def test_every_fault_of_a_file_is_named(old: str, new: str, messages: list[str], tmp_path: Path) -> None:
    assert old in FILE
    (tmp_path / "recipe.yaml").write_text(FILE.replace(old, new, 1))
    with pytest.raises(DataError, match=r"recipe\.yaml ") as raised:
        load_recipe(tmp_path / "recipe.yaml")
    for message in messages:
        assert message in str(raised.value)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    content = yaml.safe_load(FILE)
    content["rungs"][0]["levels"]["a"] = 0
    content["rungs"][1]["peaks"] = {}
    content["rungs"][1]["extra"] = 1
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(DataError, match=r"recipe\.yaml is no recipe; .*It has 2 fault\(s\):") as raised:
        load_recipe(tmp_path / "recipe.yaml")
    assert [line.split(":")[0] for line in str(raised.value).splitlines()[1:]] == ["  rungs.0", "  rungs.1.extra"]


def test_a_recipe_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no recipe .*recipe\.yaml; run `tune` first"):
        load_recipe(tmp_path / "recipe.yaml")
