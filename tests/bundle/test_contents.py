"""The files around a bundle: sums, what Kaggle's command reads, the page with its five commands."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from casefold.bundle.contents import slug_of, write_checksums, write_metadata, write_page
from casefold.bundle.notebook import CELLS, notebook
from casefold.core import ConfigError, DataError
from casefold.rerun.opened import check_sums

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder with the files of a bundle, whose contents don't matter."""
    write_metadata(tmp_path, "mix", "me", "the-competition")
    write_page(tmp_path, "mix", "me", "the-competition", ["2 members"])
    (tmp_path / "models" / "a").mkdir(parents=True)
    (tmp_path / "models" / "a" / "weights.safetensors").write_bytes(b"weights")
    (tmp_path / "recipe.yaml").write_bytes(b"recipe")
    write_checksums(tmp_path)
    return tmp_path


def test_sums_are_of_every_file_that_is_uploaded_as_it_is(bundle: Path) -> None:
    assert (bundle / "checksums.txt").read_text() == (
        f"{hashlib.sha256(b'weights').hexdigest()}  models/a/weights.safetensors\n"
        f"{hashlib.sha256(b'recipe').hexdigest()}  recipe.yaml\n"
    )
    check_sums(bundle)
    for kept in ("dataset-metadata.json", "kernel-metadata.json", "README.md"):
        (bundle / kept).unlink()
    check_sums(bundle)


def test_a_changed_byte_and_a_missing_file_are_named(bundle: Path) -> None:
    (bundle / "models" / "a" / "weights.safetensors").write_bytes(b"Weights")
    (bundle / "recipe.yaml").unlink()
    with pytest.raises(DataError, match=r"1 changed: models/a/weights\.safetensors; 1 missing: recipe\.yaml"):
        check_sums(bundle)


def test_kaggle_is_told_of_a_private_notebook_without_a_network_on_two_gpus(bundle: Path) -> None:
    dataset, kernel = (json.loads((bundle / f"{name}-metadata.json").read_text()) for name in ("dataset", "kernel"))
    assert dataset == {"title": "casefold-mix", "id": "me/casefold-mix", "licenses": [{"name": "other"}]}
    assert kernel == {
        "id": "me/casefold-mix-run",
        "title": "casefold-mix-run",
        "code_file": "kaggle.ipynb",
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": True,
        "machine_shape": "NvidiaTeslaT4",
        "enable_internet": False,
        "dataset_sources": ["me/casefold-mix"],
        "competition_sources": ["the-competition"],
        "kernel_sources": [],
    }


def test_the_page_has_five_commands(bundle: Path) -> None:
    page = (bundle / "README.md").read_text()
    assert re.findall(r"^    (kaggle .*)$", page, re.MULTILINE) == [
        "kaggle datasets create -p . --dir-mode zip",
        "kaggle datasets status me/casefold-mix",
        "kaggle kernels push -p .",
        "kaggle kernels status me/casefold-mix-run",
        "kaggle competitions submit the-competition -k me/casefold-mix-run -f submission.csv -v 1 -m mix",
    ]
    assert "- 2 members\n" in page
    assert "YOUR_KAGGLE_NAME" not in page


def test_without_a_name_the_page_says_where_it_goes(tmp_path: Path) -> None:
    write_metadata(tmp_path, "mix", "", "c")
    write_page(tmp_path, "mix", "", "c", [])
    assert json.loads((tmp_path / "dataset-metadata.json").read_text())["id"] == "YOUR_KAGGLE_NAME/casefold-mix"
    assert "`sed -i s/YOUR_KAGGLE_NAME/me/ *.json README.md`" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(("name", "slug"), [("lgg", "casefold-lgg"), ("My_Best.v2", "casefold-my-best-v2")])
def test_a_slug_is_what_kaggle_makes_of_a_title(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def test_a_name_that_is_too_long_for_kaggle_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 51 characters, Kaggle takes 6 to 50"):
        slug_of("x" * 42)


def test_the_notebook_in_the_repository_is_the_one_of_the_source() -> None:
    assert (REPOSITORY / "inference" / "kaggle.ipynb").read_text() == notebook()


def test_the_notebook_is_one_that_kaggle_and_jupyter_read() -> None:
    content = json.loads(notebook())
    assert (content["nbformat"], content["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert [cell["cell_type"] for cell in content["cells"]] == [kind for kind, _ in CELLS]
    assert ["".join(cell["source"]) for cell in content["cells"]] == [source for _, source in CELLS]
    for kind, source in CELLS:
        if kind == "code":
            compile(source, "cell", "exec")
