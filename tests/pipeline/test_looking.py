"""`look` finds a scan by name among the raw files of either part, and draws it; names of data sets and ensembles."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import toy
from casefold.config.paths import Paths
from casefold.core import ConfigError, DataError, Scan
from casefold.pipeline import looking
from casefold.pipeline.looking import look_step
from casefold.pipeline.project import open_dataset

TEST_SCAN = toy.ToyScan("case40_day1", slices=6, labelled=False)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Roots with a toy set whose first scan is empty, and an ensemble on it."""
    paths = Paths(*(tmp_path / name for name in ("data", "store", "runs", "configs", "folds")))
    root = toy.write_raw(paths.raw("toy"), [toy.SCANS[0], toy.SCANS[1], toy.UNLABELLED[0]])
    toy.write_scan(root / "test", TEST_SCAN)
    lines = (root / "train.csv").read_text().splitlines()
    emptied = [line.rpartition(",")[0] + "," if line.startswith("case2_") else line for line in lines]
    (root / "train.csv").write_text("\n".join(emptied) + "\n")
    toy.write_config(paths.configs)
    ensemble = paths.configs / "ensembles" / "mix.yaml"
    ensemble.parent.mkdir()
    ensemble.write_text(yaml.safe_dump({"name": "mix", "dataset": "toy", "members": ["seg3d/x"]}))
    return paths


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Scan, dict[str, Any]]]:
    """What is drawn."""
    drawn: list[tuple[Scan, dict[str, Any]]] = []
    monkeypatch.setattr(looking, "draw_montage", lambda scan, path, **words: drawn.append((scan, words)))
    return drawn


def look(paths: Paths, scan: str | None = None, out: Path | None = None) -> Path:
    name, dataset = open_dataset(paths, "toy")
    return look_step(paths, dataset, name, scan, out)


def test_a_picture_is_written(paths: Paths, tmp_path: Path) -> None:
    assert look(paths, "case7_day1") == paths.runs / "toy" / "look" / "case7_day1.png"
    assert (paths.runs / "toy" / "look" / "case7_day1.png").read_bytes()[:4] == b"\x89PNG"
    assert look(paths, "case7_day1", tmp_path / "mine.png") == tmp_path / "mine.png"
    assert (tmp_path / "mine.png").is_file()


@pytest.mark.parametrize(
    ("name", "found", "labelled"),
    [
        ("case2_day0", "case2_day0", True),
        ("case2_day9", "case2_day9", False),
        ("case40_day1", "case40_day1", False),
        (None, "case7_day1", True),
    ],
)
def test_a_scan_is_found_by_name_and_the_first_labelled_without(
    paths: Paths, shown: list[Any], name: str | None, found: str, labelled: bool
) -> None:
    look(paths, name)
    scan, words = shown[0]
    assert (scan.name, scan.masks is not None) == (found, labelled)
    assert words == {"modalities": (), "colour": False}


def test_where_nothing_is_labelled_the_first_is_shown(paths: Paths, shown: list[Any]) -> None:
    (paths.raw("toy") / "train.csv").write_text("id,class,segmentation\n")
    look(paths)
    assert shown[0][0].name == "case2_day0"


def test_an_unknown_scan_is_told_the_nearest(paths: Paths) -> None:
    with pytest.raises(
        DataError, match=r"no scan 'case7_day11' among 4 \(did you mean 'case7_day1'\?\); the first is case2"
    ):
        look(paths, "case7_day11")


def test_no_scans_at_all(paths: Paths) -> None:
    shutil.rmtree(paths.raw("toy"))
    with pytest.raises(DataError, match=r"data/toy"):
        look(paths)


def test_a_data_set_is_opened_by_its_name_or_an_ensembles(paths: Paths) -> None:
    assert [open_dataset(paths, name)[0] for name in ("toy", "mix")] == ["toy", "toy"]
    shutil.copy(paths.configs / "ensembles" / "mix.yaml", paths.configs / "datasets" / "mix.yaml")
    assert open_dataset(paths, "mix")[0] == "toy"
    with pytest.raises(ConfigError, match=r"'toys' is neither an ensemble nor a data set of .*did you mean 'toy'"):
        open_dataset(paths, "toys")
