"""The nifti data set's schema: what does not go together is named when the config is read."""

from typing import Any

import pytest
from pydantic import ValidationError

from casefold.config.datasets import NiftiDataset
from toy_nifti import brats


def test_the_brats_layout_is_a_file_a_modality() -> None:
    config = NiftiDataset(**brats())
    assert config.file_a_modality and not config.test_is_pattern
    assert config.labels == {"whole": (1, 2, 4), "core": (1, 4), "enhancing": (4,)}
    assert NiftiDataset(**brats(test="test/{case}_{modality}.nii.gz")).test_is_pattern
    plain = NiftiDataset(reader="nifti", root="x", classes=("a",))
    assert not plain.file_a_modality and (plain.image, plain.missing_modality) == (None, "refuse")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None}, "`label`, and a pattern in `test`, go with a pattern in `image`"),
        ({"image": None, "label": None, "test": "test/*.nii"}, "and a pattern in `test`, go with a pattern in `image`"),
        ({"image": "train/{site}_{modality}.nii"}, r"image: .* should hold \{scan\} or \{case\}, which name the scan"),
        ({"modalities": []}, r"modalities: \{modality\} in `image` wants their names"),
        ({"modalities": ["t1", "t2", "t1"]}, r"modalities: a name stands twice in \['t1', 't2', 't1'\]"),
        ({"image": "{case}.nii", "missing_modality": "drop"}, "missing_modality is for a file a modality"),
        ({"image": None, "label": None, "missing_modality": "mean"}, "missing_modality is for a file a modality"),
        ({"label": "{site}_seg.nii"}, r"label: '\{site\}_seg\.nii' should hold \{case\} as `image` does"),
        ({"label": "{case}_{modality}.nii"}, r"label: .* should hold \{case\} as `image` does, and no \{modality\}"),
        ({"labels": {}}, "labels: `label` is a pattern, so give each class its values"),
        ({"labels": {"whole": [1], "cor": [2]}}, r"unknown: \['cor'\], absent: \['core', 'enhancing'\]"),
        (
            {"written": {"whole": 1}},
            r"written: wanted one entry a class; unknown: \[\], absent: \['core', 'enhancing'\]",
        ),
        ({"labels": {"whole": [0], "core": [1], "enhancing": [4]}}, "greater than or equal to 1"),
        ({"labels": {"whole": [], "core": [1], "enhancing": [4]}}, "at least 1 item"),
        ({"classes": ["enhancing", "core", "whole"]}, "class enhancing has the values .* or give it .* in `written`"),
        ({"written": {"whole": 2, "core": 2, "enhancing": 4}}, "written: 2 for class core already says whole"),
        ({"test": "test/{case}.nii.gz"}, "test: .* should name scans and modalities by the same parts as `image`"),
        ({"test": "test/*_{modality}.nii"}, "test: .* should name scans and modalities by the same parts as `image`"),
        ({"case_pattern": "(.*)"}, r"case_pattern: the case is \{case\} in `image` already"),
        ({"image": None, "label": None, "case_pattern": "("}, r"case_pattern: '\(' is no regular expression"),
        ({"image": None, "label": None, "case_pattern": "p"}, "case_pattern: 'p' has no group"),
    ],
)
def test_what_does_not_go_together_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NiftiDataset(**brats(**changes))
