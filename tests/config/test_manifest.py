"""A team mate's config and manifest: what they may say, and each fault by name."""

import json
from pathlib import Path

import pytest

from casefold.config.external import External, Manifest, OofEntry
from casefold.config.load import load_member_config, read_manifest
from casefold.core import ConfigError

MANIFEST = {
    "classes": ["b", "a"],
    "seen_cases": {"0": ["case2"], "1": []},
    "oof": [{"scan": "case1_day0", "fold": 0, "file": "x.npz"}],
}


def test_an_external_member_is_a_member(tmp_path: Path) -> None:
    (tmp_path / "mate.yaml").write_text("{kind: external, name: mate, root: mine}")
    assert load_member_config(tmp_path, "mate") == External(
        kind="external", name="mate", root="mine", format="npz", test_root=None, missing_test="refuse"
    )
    (tmp_path / "mate.yaml").write_text("{kind: external, name: mate, root: mine, format: nifti}")
    with pytest.raises(ConfigError, match="format: allowed: npz, png; came 'nifti'"):
        load_member_config(tmp_path, "mate")
    (tmp_path / "mate.yaml").write_text("{kind: extern, name: mate, root: mine}")
    with pytest.raises(ConfigError, match=r"kind: allowed: .*external \(did you mean 'external'\?\); came"):
        load_member_config(tmp_path, "mate")


def test_a_manifest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(MANIFEST))
    entry = OofEntry(scan="case1_day0", file="x.npz", fold=0)
    assert read_manifest(path) == Manifest(classes=("b", "a"), seen_cases={0: ("case2",), 1: ()}, oof=(entry,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"manifest\.json can't be read as JSON \(.*\); it says what the files beside it are"),
        ("[]", r"manifest\.json should be a mapping of keys to values, but is list"),
        ('{"classes": ["a"], "classes": ["b"]}', r"manifest\.json: \['classes'\] stands twice"),
        ('{"classes": ["a"], "seen_cases": {"0": [], "0": []}}', r"manifest\.json: \['0'\] stands twice"),
        ('{"oof": []}', "classes: is missing"),
        ('{"classes": ["a"], "off": []}', r"off: unknown word \(did you mean 'oof'\?\)"),
        ('{"classes": ["a"], "oof": [{"scan": "x", "file": "y"}]}', r"oof\.0\.fold: is missing"),
        ('{"classes": ["a"], "oof": [{"scan": 7, "file": "y", "fold": 0}]}', r"oof\.0\.scan: Input should be a valid"),
        ('{"classes": ["a"], "seen_cases": {"one": []}}', "seen_cases.*valid integer"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_manifest(tmp_path / "manifest.json")


def test_an_absent_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"manifest\.json can't be read as JSON"):
        read_manifest(tmp_path / "manifest.json")
