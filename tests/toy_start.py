"""An unknown folder in, what `start` writes out."""

from pathlib import Path
from typing import Any, NamedTuple

from casefold.config.load import load_dataset, load_ensemble, read_yaml
from casefold.config.paths import Paths
from casefold.starter.start import start


class Begun(NamedTuple):
    """The data set's config as plain data, without its root; the ensemble's members; the lines; the config's text."""

    config: dict[str, Any]
    members: list[str]
    lines: tuple[str, ...]
    text: str


def begin(folder: Path, paths: Paths) -> Begun:
    """Start with a folder below `paths.data`, see that what is written loads, and give it."""
    done = start(folder, paths)
    assert load_ensemble(paths.configs, done.name).dataset == done.name
    load_dataset(paths.configs, done.name)
    config = read_yaml(done.dataset)
    assert config.pop("root") == folder.relative_to(paths.data).as_posix()
    return Begun(config, read_yaml(done.ensemble)["members"], done.lines, done.dataset.read_text())
