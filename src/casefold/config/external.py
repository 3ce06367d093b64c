"""Schema of a team mate's member, made by other code, and of the manifest.json that says what is what.

Ten lines of any code write what is wanted. Here `p` are a scan's probabilities, float (class, z, y, x) in 0..1 on the
scan's own grid, and `seen` gives by fold the cases that its model learnt from:

    import json, numpy as np
    manifest = {"classes": ["stomach", "large_bowel", "small_bowel"], "seen_cases": seen, "oof": [], "test": []}
    for scan, fold, p in oof:
        np.savez_compressed(f"mine/{scan}.npz", maps=p.astype(np.float16))
        manifest["oof"].append({"scan": scan, "fold": fold, "file": f"{scan}.npz"})
    for scan, p in test:
        np.savez_compressed(f"mine/{scan}.npz", maps=p.astype(np.float16))
        manifest["test"].append({"scan": scan, "file": f"{scan}.npz"})
    json.dump(manifest, open("mine/manifest.json", "w"))

With the folder `mine` below CASEFOLD_DATA, configs/external/mate.yaml is {kind: external, name: mate, root: mine}.
"""

from typing import Literal

from pydantic import Field

from casefold.config.base import Strict


class External(Strict):
    """A member that is not trained here. `root`, below CASEFOLD_DATA, holds manifest.json and the files it names.

    npz: an array `maps` (class, z, y, x), and `presence` (class, z) where there is a classifier. png: a folder for each
    class, named as it, of a grey PNG a slice, in the order of their names. Floats and PNGs of 16 bits span 0..1 and
    0..65535, uint8 spans 0..255.
    """

    kind: Literal["external"]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    root: str
    format: Literal["npz", "png"] = "npz"
    test_root: str | None = Field(None, description="where the manifest of the test scans is; null: `root` too")
    missing_test: Literal["refuse", "share"] = Field(
        "refuse", description="a test scan without maps: refuse it, or share this member's weight out among the others"
    )


class Entry(Strict):
    """A scan, by the store's name for it, and its file (or for PNGs its folder) below the manifest's."""

    scan: str
    file: str


class OofEntry(Entry):
    """The same, and the fold whose model predicted it."""

    fold: int


class Manifest(Strict):
    """manifest.json. classes: the data set's, by name, in the order of the arrays.

    seen_cases: by fold, every case that its model learnt from, by any way. Without it the folds are those of the fold
    table, and each model is taken to have learnt from all that its fold does not hold back.
    """

    classes: tuple[str, ...] = Field(min_length=1)
    seen_cases: dict[int, tuple[str, ...]] | None = None
    oof: tuple[OofEntry, ...] = ()
    test: tuple[Entry, ...] = ()
