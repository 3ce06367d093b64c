"""What many tests share: the toy data set, written once a session, prepared and folded. Tests must not change it."""

import pytest

import toy
from casefold.config.datasets import UwmgiDataset
from casefold.config.paths import Paths
from casefold.folds import FoldTable, make, read, write
from casefold.prepare import prepare
from casefold.store import Store


@pytest.fixture(scope="session")
def toy_config() -> UwmgiDataset:
    return UwmgiDataset(**toy.content())


@pytest.fixture(scope="session")
def toy_paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """Roots with raw files in data/toy and the config configs/datasets/toy.yaml; nothing is prepared by this alone."""
    root = tmp_path_factory.mktemp("toy")
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"))
    toy.write_config(paths.configs)
    return paths


@pytest.fixture(scope="session")
def toy_store(toy_paths: Paths, toy_config: UwmgiDataset) -> Store:
    """The toy data set prepared in store/toy: 8 labelled scans of 6 cases."""
    return prepare(toy_config, toy_paths.raw("toy"), toy_paths.store / "toy")


@pytest.fixture(scope="session")
def toy_table(toy_paths: Paths, toy_config: UwmgiDataset, toy_store: Store) -> FoldTable:
    """Three folds by case, in folds/toy.csv as well."""
    path = toy_paths.folds / "toy.csv"
    write(make(toy_config.folds, toy_store), toy_store, path)
    return read(path, toy_store)
