"""Twins of the shipped configs differ from their full configs in nothing but the small; rows say whose they are."""

from pathlib import Path
from typing import Any

import pytest

from casefold.config.experiments import Experiment, as_plain
from casefold.config.load import (
    differing_fields,
    load_dataset,
    load_detector,
    load_ensemble,
    load_experiment,
    load_study,
)
from casefold.config.shrink import SHRUNK, shrunk, shrunk_dataset, shrunk_detector, shrunk_ensemble, shrunk_study
from casefold.pipeline.twins import ROWS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
KINDS = ("cls", "seg25d", "seg3d")
MEMBERS = sorted(f"{kind}/{path.stem}" for kind in KINDS for path in (CONFIGS / kind).glob("*.yaml"))
STUDIES = sorted(path.stem for path in (CONFIGS / "studies").glob("*.yaml"))
ENSEMBLES = [row for row in ROWS if row not in STUDIES]
DETECTORS = sorted(path.stem for path in (CONFIGS / "detect").glob("*.yaml"))


def changed(full: Any, twin: Any) -> set[str]:
    """The dotted names of the fields in which two configs differ."""
    return {line.partition(":")[0] for line in differing_fields(as_plain(full), as_plain(twin))}


def members_of(row: str) -> dict[str, Experiment]:
    paths = load_ensemble(CONFIGS, row).members
    return {path.rsplit("/", 1)[-1]: load_experiment(CONFIGS, path) for path in paths}


@pytest.mark.parametrize("member", MEMBERS)
def test_a_members_twin_differs_in_encoder_sizes_filters_epochs_and_batch_alone(member: str) -> None:
    full = load_experiment(CONFIGS, member)
    twin = shrunk(full)
    assert changed(full, twin) <= SHRUNK
    assert (twin.name, twin.train.epochs) == (full.name, 1)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detectors_twin_differs_in_the_same(detector: str) -> None:
    full = load_detector(CONFIGS, detector)
    assert changed(full, shrunk_detector(full)) <= SHRUNK


def test_what_may_differ_is_what_the_rows_were_promised() -> None:
    words = {"encoder": 3, "sizes": 3, "filters": 8, "epochs": 2, "batch": 3}
    assert len(SHRUNK) == sum(words.values())
    assert not {name for name in SHRUNK if name.startswith(("losses", "sampler", "augment", "train.optimizer"))}


@pytest.mark.parametrize("row", ENSEMBLES)
def test_an_ensembles_twin_has_fewer_members_and_is_else_the_same(row: str) -> None:
    full, members = load_ensemble(CONFIGS, row), members_of(row)
    twin = shrunk_ensemble(full, members)
    assert changed(full, twin) <= {"members", "gate.members"}
    assert set(twin.members) <= set(full.members)
    assert {members[path.rsplit("/", 1)[-1]].kind for path in twin.members} == {m.kind for m in members.values()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("study", STUDIES)
def test_a_studys_twin_has_fewer_members_and_steps(study: str) -> None:
    full = load_study(CONFIGS / "studies" / f"{study}.yaml")
    twin = shrunk_study(full)
    assert changed(full, twin) == {"members", "budget.minutes", "budget.steps"}
    assert twin.members == (full.members[0], full.members[-1])


def test_of_members_alike_but_for_the_encoder_the_first_stays_and_what_others_begin_with() -> None:
    names = {
        row: [path.rsplit("/", 1)[-1] for path in shrunk_ensemble(load_ensemble(CONFIGS, row), members_of(row)).members]
        for row in ("uw_1st", "uw_3rd", "uw_11th")
    }
    assert names["uw_1st"] == [
        "uw_1st_gate_b4",
        "uw_1st_seg_b6",
        "uw_1st_uper_base",
        "uw_1st_3d_12_160",
        "uw_1st_3d_12",
    ]
    assert names["uw_3rd"] == ["uw_3rd_cls_b7", "uw_3rd_cls_v2l", "uw_3rd_seg_v2l_384"]  # v2l: the last begins with it
    assert names["uw_11th"] == ["uw_11th_b4", "uw_11th_v2s", "uw_11th_convnext", "uw_11th_fpn"]


@pytest.mark.parametrize("row", ENSEMBLES)
def test_a_data_sets_twin_has_another_root_and_its_own_reader(row: str) -> None:
    name = load_ensemble(CONFIGS, row).dataset
    full = load_dataset(CONFIGS, name)
    twin = shrunk_dataset(full, "twin")
    assert (twin.root, twin.classes) == ("twin", full.classes)
    if name == "uwmgi":
        assert twin.reader == "phantom"  # type: ignore[attr-defined]
    else:
        assert changed(full, twin) <= {"root", "joined", "folds.count"}


@pytest.mark.parametrize("row", ENSEMBLES)
def test_a_rows_head_says_in_three_lines_what_it_did_what_came_of_it_and_what_differs(row: str) -> None:
    head = (CONFIGS / "ensembles" / f"{row}.yaml").read_text().split("name:")[0].splitlines()
    assert len(head) == 3 and all(line.startswith("# ") and len(line) <= 140 for line in head)
    assert head[1].startswith("# Its result") and head[2].startswith("# Ours")


def test_what_trains_on_parts_of_slices_does_so_in_its_twin() -> None:
    members = ("gate_b7", "seg_b5_dice", "uper_small")
    for data in (load_experiment(CONFIGS, f"seg25d/uw_1st_{name}").data for name in members):  # type: ignore[attr-defined]
        assert (data.size, data.train_patch) == ((640, 640), (448, 448))
    for data in (shrunk(load_experiment(CONFIGS, f"seg25d/uw_1st_{name}")).data for name in members):  # type: ignore[attr-defined]
        assert (data.size, data.train_patch) == ((64, 64), (32, 32))
    whole = shrunk(load_experiment(CONFIGS, "seg25d/uw_3rd_cls_b7"))
    assert whole.data.train_patch is None  # type: ignore[attr-defined]


def test_a_patch_takes_in_a_phantom_or_a_voxel_of_the_deepest_level_and_never_grows() -> None:
    names = ("uw_8th_3d_1", "uw_5th_3d_b3", "hippo_2d_3d")
    twins = {name: shrunk(load_experiment(CONFIGS, f"seg3d/{name}")) for name in names}
    assert {name: twin.data.patch for name, twin in twins.items()} == {  # type: ignore[attr-defined]
        "uw_8th_3d_1": (16, 64, 64),
        "uw_5th_3d_b3": (32, 64, 64),  # five halvings
        "hippo_2d_3d": (16, 56, 40),  # 40 x 56 x 40 as a whole
    }
