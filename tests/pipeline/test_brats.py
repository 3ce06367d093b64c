"""A made-up BraTS folder, four modalities, one of them missing: from raw files to label maps on their grids."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.core import DataError
from casefold.infer import infer, load_ensemble_models
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.steps import prepare_step
from casefold.pipeline.submitting import score_step, submit_step
from casefold.pipeline.tuning import recipe_path, tune_step
from casefold.readers.table import find, load
from casefold.recipe import load_recipe
from toy_members import seg3d
from toy_nifti import MODALITIES, brain, brats, save, tilted, write_brain

MEMBER = seg3d(
    data={"patch": (8, 16, 16), "normalize": {"name": "zscore"}},
    losses=[{"name": "bce"}, {"name": "dice"}],
    train={"epochs": 20, "lr": 0.02, "average": {"name": "none"}},
)
STORED = {"case_a": "RAS", "case_b": "LPS", "case_c": "PIR", "case_d": "LAI", "case_e": "RAS", "case_f": "ASR"}
TESTS = {"new_1": "RAS", "new_2": "LPI", "new_3": "SAL"}  # one brain, stored three ways
WITHOUT_T1CE = ("t1", "t2", "flair")
SINGLE = {"oedema": [2], "core": [1], "enhancing": [4]}


def lay(root: Path, **changes: Any) -> Project:
    """Six training cases of which `case_e` lacks t1ce, three test cases, and configs for one small 3D member."""
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    raw = paths.raw("brats")
    for seed, (name, codes) in enumerate(STORED.items()):
        modalities = {"modalities": WITHOUT_T1CE} if name == "case_e" else {}
        write_brain(raw / "train", name, seed, codes=codes, affine=tilted(10 * (seed % 2)), **modalities)
    for name, codes in TESTS.items():
        write_brain(raw / "test", name, 99, labelled=False, codes=codes, affine=tilted(20))
    contents = {
        "datasets/brats": brats(folds={"kind": "case", "count": 2}, **changes),
        "seg3d/toy_3d": as_plain(MEMBER),
        "ensembles/brats": {
            "name": "brats",
            "dataset": "brats",
            "members": ["seg3d/toy_3d"],
            "tune": {"levels": [100, 128], "partition_folds": 2},
        },
    }
    for name, content in contents.items():
        path = paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return open_project(paths, "brats", jobs=1, device="cpu")


def again(project: Project, **changes: Any) -> Project:
    """The project after a change of the data set's config."""
    path = project.paths.configs / "datasets" / "brats.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))
    return open_project(project.paths, "brats", jobs=1, device="cpu")


def label_map(folder: Path, name: str) -> Any:
    return nib.load(folder / f"{name}.nii.gz")


def voxels(image: Any) -> NDArray[Any]:
    return np.asanyarray(image.dataobj)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = lay(tmp_path_factory.mktemp("brats"), missing_modality="drop")
    tune_step(project)
    assert submit_step(project, None, None, None) == project.out / "label_maps"
    return project


def test_a_case_without_a_modality_is_not_trained_on(line: Project) -> None:
    assert list(line.store().case_of) == ["case_a", "case_b", "case_c", "case_d", "case_f"]
    for seed, name in enumerate(STORED):
        if name != "case_e":
            scan, (images, labels) = line.store().scan(name), brain(seed)
            np.testing.assert_array_equal(scan.image, [images[modality].T for modality in MODALITIES])
            np.testing.assert_array_equal(
                scan.class_masks(), [np.isin(labels.T, own) for own in ((1, 2, 4), (1, 4), (4,))]
            )


@pytest.mark.parametrize("name", TESTS)
def test_a_label_map_lies_on_its_inputs_voxel_for_voxel(line: Project, name: str) -> None:
    written, straight = (label_map(line.out / "label_maps", one) for one in (name, "new_1"))
    source = nib.load(line.raw / "test" / name / f"{name}_flair.nii.gz")
    assert written.shape == source.shape and written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(written.affine, source.affine)
    assert nib.aff2axcodes(written.affine) == tuple(TESTS[name])
    assert np.unique(voxels(written)).tolist() == [0, 1, 2, 4]
    np.testing.assert_array_equal(voxels(nib.as_closest_canonical(written)), voxels(straight))


def test_the_label_map_is_the_masks_painted_from_whole_to_enhancing(line: Project) -> None:
    recipe = load_recipe(recipe_path(line))
    loaded = load_ensemble_models(recipe, {"toy_3d": [line.run("toy_3d", fold) for fold in ("0", "1")]}, "cpu")
    raw = find(line.dataset, line.raw, "test")[0]
    whole, core, enhancing = infer(loaded, load(line.dataset, raw)).masks
    painted = np.where(enhancing, 4, np.where(core, 1, np.where(whole, 2, 0)))
    np.testing.assert_array_equal(voxels(label_map(line.out / "label_maps", "new_1")), painted.T)


def test_label_maps_are_scored_against_truths_stored_along_any_axes(line: Project, tmp_path: Path) -> None:
    for name in TESTS:
        save(tmp_path / f"{name}.nii.gz", brain(99)[1], tilted(20), "PIR" if name == "new_1" else TESTS[name])
    scores = score_step(line, line.out / "label_maps", tmp_path).set_index("scan")
    assert scores.index.tolist() == [*(f"{name}.nii.gz" for name in TESTS), "all"]
    assert (scores == scores.iloc[0]).all(axis=None)  # one brain, so one score
    assert (scores.loc["all"] > 0.5).all()
    perfect = score_step(line, tmp_path, tmp_path)
    assert perfect[["dice whole", "dice core", "dice enhancing"]].to_numpy().tolist() == [[1.0] * 3] * 4
    save(tmp_path / "new_3.nii.gz", brain(99)[1][1:])
    with pytest.raises(DataError, match=r"new_3\.nii\.gz has the shape \(18, 22, 20\) .* its truth \(18, 22, 19\)"):
        score_step(line, line.out / "label_maps", tmp_path)
    (tmp_path / "new_1.nii.gz").unlink()
    with pytest.raises(DataError, match=r"new_1\.nii\.gz has no truth in"):
        score_step(line, line.out / "label_maps", tmp_path)


def test_other_values_are_written_without_new_training(line: Project, tmp_path: Path) -> None:
    before = voxels(label_map(line.out / "label_maps", "new_2"))
    project = again(line, written={"whole": 2, "core": 1, "enhancing": 3})
    submit_step(project, None, tmp_path, None)
    np.testing.assert_array_equal(voxels(label_map(tmp_path, "new_2")), np.where(before == 4, 3, before))
    submit_step(again(line, written={}), None, tmp_path, None)
    np.testing.assert_array_equal(voxels(label_map(tmp_path, "new_2")), before)


def test_a_missing_modality_is_refused_unless_the_config_says_otherwise(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="scan case_e lacks t1ce; add the file, or let `missing_modality` drop"):
        prepare_step(lay(tmp_path))


def test_exclusive_classes_with_zeros_for_a_missing_modality(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    project = lay(tmp_path, missing_modality="zeros", classes=list(SINGLE), labels=SINGLE)
    write_brain(tmp_path / "new", "new_4", 5, WITHOUT_T1CE, False, "LIP", tilted(30))
    tune_step(project)
    scan = project.store().scan("case_e")
    assert scan.image.any(axis=(1, 2, 3)).tolist() == [True, False, True, True]
    assert scan.class_masks().sum(axis=0).max() == 1
    caplog.clear()
    assert submit_step(project, tmp_path / "new", tmp_path / "out", None) == tmp_path / "out"
    assert "scan new_4 lacks t1ce: filled in zeros" in caplog.text
    recipe = load_recipe(recipe_path(project))
    loaded = load_ensemble_models(recipe, {"toy_3d": [project.run("toy_3d", fold) for fold in ("0", "1")]}, "cpu")
    (raw,) = find(project.dataset, project.raw, "test", tmp_path / "new")
    labels = infer(loaded, load(project.dataset, raw), exclusive=True).labels
    assert labels is not None and labels.any()
    written = label_map(tmp_path / "out", "new_4")
    assert nib.aff2axcodes(written.affine) == ("L", "I", "P")
    straight = voxels(nib.as_closest_canonical(written))
    np.testing.assert_array_equal(straight, np.array([0, 2, 1, 4])[labels.T])
