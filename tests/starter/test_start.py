"""From a folder to two configs: what is written, what is refused, and where the data are taken to lie."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import toy
import toy_nifti
from casefold.config.paths import Paths
from casefold.core import ConfigError, DataError
from casefold.files import write_json
from casefold.pipeline.project import open_project
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.starter.start import start
from toy_start import begin


def write_decathlon(root: Path, count: int = 4) -> Path:
    pairs = []
    for case in range(count):
        images, labels = toy_nifti.brain(case)
        toy_nifti.save(root / "imagesTr" / f"brain_{case}.nii.gz", images["t1"])
        toy_nifti.save(root / "labelsTr" / f"brain_{case}.nii.gz", (labels > 0).astype(np.uint8) + (labels == 4))
        pairs.append({"image": f"./imagesTr/brain_{case}.nii.gz", "label": f"./labelsTr/brain_{case}.nii.gz"})
    content = {"modality": {"0": "MRI"}, "labels": {"0": "background", "2": "core", "1": "rim"}, "training": pairs}
    write_json(root / "dataset.json", content)
    return root


def test_the_uwmgi_layout(paths: Paths) -> None:
    root = toy.write_raw(paths.data / "Toy set")
    toy.write_scan(root / "test", toy.ToyScan("case40_day1", labelled=False))
    (root / "sample_submission.csv").write_text("id,class,predicted\n")
    done = begin(root, paths)
    assert done.config == {
        "reader": "uwmgi",
        "classes": ["left", "right"],
        "train": "train",
        "labels": "train.csv",
        "test": "test",
        "spacing_mm": "unknown",
        "sample_submission": "sample_submission.csv",
        "folds": {"kind": "case", "count": 5, "seed": 2022},
    }
    assert done.members == ["cls/start_cls", "seg25d/start_25d", "seg3d/start_3d"]
    assert "# in-plane spacing in the names: 1.50 x 1.25 mm; sizes (width x height): 36 x 28, 30 x 32\n" in done.text
    assert f"{root} holds 70 .png, 2 .csv" in done.lines
    assert "8 scans of 6 cases, 8 of them labelled; 1 scans to predict" in done.lines
    assert done.lines[-1] == "next: ./run.sh look toy_set, then ./run.sh fold0 toy_set"


def test_a_spacing_of_one_everywhere_is_called_a_stand_in(paths: Paths) -> None:
    root = toy.write_raw(paths.data / "toy")
    for path in root.rglob("*.png"):
        path.rename(path.with_name(path.name.replace("1.50_1.25", "1.00_1.00")))
    done = begin(root, paths)
    assert done.config["spacing_mm"] == "unknown"
    assert (
        "  spacing_mm: 1.00 x 1.00 mm everywhere is likely a stand-in; if it is true, write [MM, from_name, from_name]"
        in done.lines
    )


def test_the_decathlon_layout_a_folder_down(paths: Paths) -> None:
    write_decathlon(paths.data / "archive" / "Task99")
    done = start(paths.data / "archive", paths)
    config = yaml.safe_load(done.dataset.read_text())
    assert config == {
        "reader": "nifti",
        "root": "archive/Task99",
        "classes": ["rim", "core"],
        "spacing_mm": "from_file",
        "folds": {"kind": "case", "count": 4, "seed": 2022},
    }
    assert yaml.safe_load(done.ensemble.read_text())["members"] == ["seg25d/start_25d", "seg3d/start_3d"]


def test_what_is_written_prepares_and_folds(paths: Paths) -> None:
    done = start(write_decathlon(paths.data / "brains"), paths)
    project = open_project(paths, done.name, jobs=1, device="cpu")
    store = prepare_step(project)
    assert (store.classes, len(store.case_of)) == (("rim", "core"), 4)
    assert folds_step(project, store).count == 4


def test_several_data_sets_are_parted_first(paths: Paths) -> None:
    for name in ("a", "b"):
        write_decathlon(paths.data / "both" / name)
    with pytest.raises(DataError, match=r"both holds 2 data sets; give the folder of one: .*both/a, .*both/b"):
        start(paths.data / "both", paths)


def test_members_that_are_not_among_the_configs_are_named(paths: Paths) -> None:
    (paths.configs / "seg25d" / "start_25d.yaml").unlink()
    told = f"copy seg25d/start_25d from casefold's own configs: {paths.configs} has none of that name"
    assert told in start(write_decathlon(paths.data / "brains"), paths).lines


def test_a_folder_elsewhere_is_linked(paths: Paths, tmp_path: Path) -> None:
    root = toy.write_raw(tmp_path / "downloads" / "toy")
    done = start(root, paths, "Mine-1")
    assert yaml.safe_load(done.dataset.read_text())["root"] == "Mine-1"
    assert (paths.data / "Mine-1").resolve() == root.resolve()
    assert done.lines[0] == f"linked {paths.data / 'Mine-1'} to {root}, for configs hold no absolute path"
    assert str(tmp_path) not in done.dataset.read_text()
    done.dataset.unlink()
    done.ensemble.unlink()
    assert start(root, paths, "Mine-1").lines[0].startswith(f"{root} holds")  # the link is there


def test_a_link_never_takes_the_place_of_something(paths: Paths, tmp_path: Path) -> None:
    root = toy.write_raw(tmp_path / "downloads" / "toy")
    (paths.data / "toy").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"data/toy is there already and is not .*downloads/toy; give another --name"):
        start(root, paths)


@pytest.mark.parametrize("kind", ["datasets", "ensembles"])
def test_a_config_is_never_overwritten(paths: Paths, kind: str) -> None:
    root = toy.write_raw(paths.data / "toy")
    there = paths.configs / kind / "toy.yaml"
    there.parent.mkdir(parents=True)
    there.write_text("mine\n")
    with pytest.raises(ConfigError, match=rf"{kind}/toy\.yaml is there already and is never overwritten; .* --name"):
        start(root, paths)
    assert there.read_text() == "mine\n"
    assert start(root, paths, "toy2").name == "toy2"


@pytest.mark.parametrize("name", ["", "a b", "../up", ".hidden", "a/b"])
def test_a_name_must_be_one(paths: Paths, name: str) -> None:
    root = toy.write_raw(paths.data / "toy")
    with pytest.raises(ConfigError, match="can't name a data set: letters, digits"):
        start(root, paths, name)


def test_an_unknown_folder_is_told_what_it_holds(paths: Paths, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    with pytest.raises(
        DataError, match=r"odd has no layout that is known; it holds no files\. Known are\n  UW-Madison"
    ):
        start(folder, paths)
    for name in ("a.txt", "b.txt", "README", ".hidden", "c.XLSX"):
        (folder / name).touch()
    with pytest.raises(
        DataError, match=r"it holds 2 \.txt, 1 without an ending, 1 \.xlsx\. Known are(.|\n)*DICOM series"
    ):
        start(folder, paths)
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; give the folder that holds the raw data"):
        start(tmp_path / "nowhere", paths)
    assert not list(paths.configs.glob("datasets/*"))


def test_a_guess_that_can_not_be_read_is_written_and_says_what_to_mend(paths: Paths) -> None:
    root = toy.write_raw(paths.data / "toy")
    lines = (root / "train.csv").read_text().splitlines()
    (root / "train.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(
        DataError, match=r"toy\.yaml is written, but its reader can't read the data so: .* labelled in part"
    ):
        start(root, paths)
    assert yaml.safe_load((paths.configs / "datasets" / "toy.yaml").read_text())["classes"] == ["left", "right"]
    assert yaml.safe_load((paths.configs / "ensembles" / "toy.yaml").read_text())["members"] == ["seg25d/start_25d"]


def test_one_case_is_too_few(paths: Paths) -> None:
    root = toy.write_raw(paths.data / "toy", [toy.ToyScan("case7_day1"), toy.ToyScan("case7_day2")])
    with pytest.raises(DataError, match=r"all labelled scans are of one case, \['case7'\]; folds are by case"):
        start(root, paths)


def test_hidden_files_and_those_of_archivers_are_passed_over(paths: Paths) -> None:
    root = toy.write_raw(paths.data / "toy")
    shutil.copytree(root / "train", root / "__MACOSX" / "train2")
    (root / ".cache").mkdir()
    (root / ".cache" / "x.nii.gz").touch()
    assert f"{root} holds 62 .png, 1 .csv" in begin(root, paths).lines


def test_links_are_followed_but_never_in_a_circle(paths: Paths, tmp_path: Path) -> None:
    toy.write_raw(tmp_path / "elsewhere")
    root = paths.data / "toy"
    root.mkdir(parents=True)
    (root / "train").symlink_to(tmp_path / "elsewhere" / "train")
    (root / "train.csv").symlink_to(tmp_path / "elsewhere" / "train.csv")
    (root / "again").symlink_to(root)
    assert f"{root} holds 62 .png, 1 .csv" in begin(root, paths).lines
    (root / "lost.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"lost\.csv is a link to a file that is not there; fetch it"):
        start(root, paths, "other")


def test_a_folder_of_tests_alone_is_what_there_is_to_train_on(paths: Paths) -> None:
    root = toy.write_raw(paths.data / "toy" / "test data")
    assert begin(root.parent, paths).config["train"] == "test data/train"


def test_a_sample_of_the_labels_columns_is_not_the_labels(paths: Paths) -> None:
    root = toy.write_raw(paths.data / "toy")
    (root / "train.csv").rename(root / "truth.csv")
    (root / "sample_submission.csv").write_text("id,class,segmentation\ncase2_day9_slice_0001,left,\n")
    config = begin(root, paths).config
    assert (config["labels"], config["sample_submission"]) == ("truth.csv", "sample_submission.csv")
