"""A team mate's folder for the toy data set: his classes in another order, half floats, a manifest beside them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casefold.config.external import External
from casefold.core import Scan
from casefold.folds import FoldTable
from casefold.store import Store
from toy import CLASSES

HIS = CLASSES[::-1]
Content = dict[str, Any]


def external(**changes: Any) -> External:
    """The member's config."""
    return External(**{"kind": "external", "name": "mate", "root": "mate", **changes})


def probabilities(truth: NDArray[np.bool_]) -> NDArray[np.float16]:
    """1 in the truth of the first class and 0.5 in that of the second, 0.25 elsewhere: 255, 128 and 64 of 255."""
    inside = np.array([1, 0.5], np.float16)[:, None, None, None]
    return np.where(truth, inside, np.float16(0.25))


def write_mate(folder: Path, store: Store, table: FoldTable) -> Path:
    """Maps of every labelled scan by the folds of the table, and the manifest."""
    folder.mkdir(parents=True)
    entries = []
    for name in store.labelled():
        np.savez(folder / f"{name}.npz", maps=his(store.scan(name)))
        entries.append({"scan": name, "fold": table.fold(store, name), "file": f"{name}.npz"})
    (folder / "manifest.json").write_text(json.dumps({"classes": HIS, "oof": entries}))
    return folder


def his(scan: Scan) -> NDArray[np.float16]:
    """A labelled scan's maps in the mate's order of classes."""
    return probabilities(scan.class_masks())[::-1]


def change(folder: Path, by: Callable[[Content], Any]) -> None:
    """Change the manifest."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    by(content)
    path.write_text(json.dumps(content))


def add_test(folder: Path, name: str, maps: NDArray[Any]) -> None:
    """Write a test scan's maps and name them in the manifest."""
    np.savez(folder / f"test_{name}.npz", maps=maps)
    change(folder, lambda m: m.setdefault("test", []).append({"scan": name, "file": f"test_{name}.npz"}))
