"""A sheet from raw files: the fullest slices of the toy scans, as they are and as a named augmentation draws them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from casefold.config.experiments import Experiment, as_plain
from casefold.config.paths import Paths
from casefold.core import ConfigError
from casefold.data.augment import augment_slice, slice_pipeline
from casefold.data.slices import slice_window
from casefold.pipeline import augmenting
from casefold.pipeline.augmenting import augment_sheet_step
from casefold.pipeline.project import Project, open_project
from casefold.report.augment_sheet import Drawn
from casefold.store import Store
from toy_members import seg3d, seg25d


@pytest.fixture
def project(toy_paths: Paths, toy_store: Store) -> Project:
    members: dict[str, Experiment] = {"seg25d/toy_2d": seg25d(), "seg3d/toy_3d": seg3d()}
    for name, config in members.items():
        path = toy_paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(as_plain(config)))
    path = toy_paths.configs / "ensembles" / "sheet.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({"name": "sheet", "dataset": "toy", "members": list(members)}))
    return open_project(toy_paths, "sheet", jobs=1, device="cpu")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[Drawn]]:
    """What would have been drawn."""
    kept: list[list[Drawn]] = []
    monkeypatch.setattr(augmenting, "draw_sheet", lambda rows, classes, path: kept.extend(rows))
    return kept


def test_a_row_is_a_slice_and_its_draws_by_key(project: Project, toy_store: Store, drawn: list[list[Drawn]]) -> None:
    """Both discs are on slice 3 of every scan, which makes it the fullest."""
    augment_sheet_step(project, "heavy")
    assert [len(row) for row in drawn] == [8] * 4
    first = drawn[1][0]
    name, _, z = first.title.partition(", z ")
    assert z == "3"
    scan = toy_store.scan(name)
    unit = slice_window(scan, 3, seg25d().data)
    np.testing.assert_array_equal(first.image, unit[0])
    assert first.masks.sum(axis=(1, 2)).min() > 0
    image, masks = augment_slice(slice_pipeline("heavy"), unit, first.masks.astype(np.uint8), (0, 5, 1))
    np.testing.assert_array_equal(drawn[1][6].image, image[0])
    np.testing.assert_array_equal(drawn[1][6].masks, masks > 0)


def test_draws_of_a_member_that_trains_on_parts_show_these(
    project: Project, toy_store: Store, drawn: list[list[Drawn]]
) -> None:
    member = seg25d(data={"train_patch": (24, 16)})
    augment_sheet_step(replace(project, members={"toy_2d": member}), "heavy")
    places = [(5, 4), (2, 14), (8, 10), (2, 6)]  # y, x under seed 0 in epoch 5, row by row
    for index, (row, (y, x)) in enumerate(zip(drawn, places, strict=True)):
        assert [picture.image.shape for picture in row] == [(32, 32)] + [(24, 16)] * 7
        whole = row[0]
        pair = whole.image[None], whole.masks.astype(np.uint8)
        image, masks = augment_slice(slice_pipeline("heavy"), *pair, (0, 5, index))
        np.testing.assert_array_equal(row[6].image, image[0, y : y + 24, x : x + 16])
        np.testing.assert_array_equal(row[6].masks, masks[:, y : y + 24, x : x + 16] > 0)


def test_a_patch_has_the_slice_in_its_middle(project: Project, drawn: list[list[Drawn]]) -> None:
    """The left disc is 200 and the right one 400 above the ground of about 100, before and after."""
    augment_sheet_step(project, "flips", "seg3d")
    assert [len(row) for row in drawn] == [8] * 4
    for row in drawn:
        for picture in row:
            assert picture.image.shape == (16, 16)
            assert picture.masks[1].any()
            assert picture.image[picture.masks[1]].min() > picture.image[~picture.masks.any(axis=0)].max()


def test_the_sheet_lies_beside_the_ensembles_results(project: Project) -> None:
    path = augment_sheet_step(project, "light")
    assert path == project.out / "augment_light_seg25d.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_sheet_lies_where_it_is_wanted(project: Project, tmp_path: Path, drawn: list[list[Drawn]]) -> None:
    assert augment_sheet_step(project, "light", out=tmp_path / "a.png") == tmp_path / "a.png"


def test_an_unknown_pipeline_is_refused(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"no augmentation is called lite \(did you mean 'light'\?\)"):
        augment_sheet_step(project, "lite")
