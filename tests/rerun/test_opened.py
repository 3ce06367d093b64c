"""A bundle is opened as it was made, or the files that are not so are named."""

import shutil
from pathlib import Path

import pytest

import toy
from casefold.core import DataError
from casefold.rerun.opened import open_bundle
from toy_bundle import FOLDS, MEMBERS, recipe, write_bundle, write_sums


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("opened") / "bundle")


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def test_a_bundle_gives_data_set_recipe_and_runs(made: Path) -> None:
    opened = open_bundle(made)
    assert (opened.dataset.classes, opened.recipe) == (toy.CLASSES, recipe())
    folds = [f"fold{fold}" for fold in range(FOLDS)]
    assert opened.runs == {member: [made / "models" / member / fold for fold in folds] for member in MEMBERS}


def test_folds_are_in_the_order_of_their_numbers(bundle: Path) -> None:
    models = bundle / "models" / "toy_2d"
    for name in ("fold10", "fold9"):
        shutil.copytree(models / "fold0", models / name)
    runs = open_bundle(write_sums(bundle)).runs["toy_2d"]
    assert [run.name for run in runs] == ["fold0", "fold1", "fold9", "fold10"]


def test_changed_missing_and_added_files_are_named(bundle: Path) -> None:
    weights = bundle / "models" / "toy_3d" / "fold1" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (bundle / "recipe.yaml").unlink()
    (bundle / "models" / "toy_3d" / "fold1" / "more.txt").write_text("?")
    (bundle / "notes.txt").write_text("beside models and wheels anything may lie")
    told = (
        r"is not the bundle that checksums\.txt says; upload it again\. Files 1 changed: models/toy_3d/fold1/weights"
        r"\.safetensors; 1 missing: recipe\.yaml; 1 not in the list: models/toy_3d/fold1/more\.txt$"
    )
    with pytest.raises(DataError, match=told):
        open_bundle(bundle)


def test_what_the_uploader_keeps_to_itself_is_not_missed(bundle: Path) -> None:
    for name in ("dataset-metadata.json", "kernel-metadata.json"):
        (bundle / name).write_text("{}")
        write_sums(bundle)
        (bundle / name).unlink()
    assert open_bundle(bundle).recipe == recipe()


def test_another_folder_is_no_bundle(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no bundle: it has no checksums\.txt; make it with `bundle`"):
        open_bundle(tmp_path)
    (bundle / "checksums.txt").write_text("word\n")
    with pytest.raises(DataError, match=r"should hold lines of `sha256  relative/path`; make the bundle again"):
        open_bundle(bundle)


def test_a_member_without_weights_is_named(bundle: Path) -> None:
    shutil.rmtree(bundle / "models" / "toy_cls")
    with pytest.raises(DataError, match=r"has no weights of \['toy_cls'\], which its recipe reads; make it again"):
        open_bundle(write_sums(bundle))
