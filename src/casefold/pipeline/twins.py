"""Twins: every row of the field at smoke size, from raw files to a submission, one row after another."""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import yaml

from casefold.config.base import Strict
from casefold.config.datasets import PhantomDataset
from casefold.config.ensembles import Ensemble
from casefold.config.experiments import as_plain
from casefold.config.inputs import DetectorCrop
from casefold.config.load import load_dataset, load_detector, load_ensemble, load_experiment, load_study
from casefold.config.paths import Paths
from casefold.config.shrink import shrunk, shrunk_dataset, shrunk_detector, shrunk_ensemble, shrunk_study
from casefold.config.studies import Study
from casefold.core import ConfigError, nearest_word
from casefold.files import write_text
from casefold.pipeline.evaluation import oof_step
from casefold.pipeline.project import open_project
from casefold.pipeline.studying import study_step
from casefold.pipeline.submitting import submit_step
from casefold.pipeline.tuning import tune_step
from casefold.readers.phantom.formats import write_phantom
from casefold.views import crop_of

logger = logging.getLogger(__name__)
# an ensemble or a study: whose system it is
ROWS = {
    "uw_1st": "UW-Madison 2022, 1st",
    "uw_2nd": "UW-Madison 2022, 2nd",
    "uw_3rd": "UW-Madison 2022, 3rd",
    "uw_5th": "UW-Madison 2022, 5th",
    "uw_8th": "UW-Madison 2022, 8th",
    "uw_11th": "UW-Madison 2022, 11th",
    "uw_15th": "UW-Madison 2022, 15th",
    "uw_baseline_25d": "UW-Madison 2022, public 2.5D baseline",
    "uw_baseline_monai": "UW-Madison 2022, public MONAI 3D pipeline",
    "hippo_2d": "brain MR, 2D U-Net for the hippocampus",
    "brats_2d_3d": "BraTS, 2D against 3D U-Net",
    "brats_unets": "BraTS, four U-Nets",
    "brats_moved": "BraTS, four U-Nets: trained on one set, tested on another",
    "brats_joined": "BraTS, four U-Nets: trained on two sets as one",
    "dicom100": "100 patients, DICOM",
    "aneja": "Aneja lab, 3D, 2.5D, 2D and capsules",
    "camvid": "CamVid with FPN",
}
FOLD = 0
CASES, TESTS = 10, 2
APART = 6  # a joined root's phantom begins with the seventh of the ten cases of the root before it


def twins_step(configs: Path, work: Path, rows: Sequence[str] = ()) -> Iterator[dict[str, object]]:
    """Run the twins of rows, or of all, below `work`; yields of each its row of the table as soon as it has ended.

    dice_case: of its recipe, cross-fitted, on the scans that fold 0 holds back; of a study the mean of its runs. A row
    that fails does not stop the others: its `ran` is `no` and `error` says why. Raises ConfigError for an unknown row
    before any is run.
    """
    for row in rows:
        if row not in ROWS:
            raise ConfigError(f"no row is called {row}{nearest_word(row, list(ROWS))}: {', '.join(ROWS)}")
    small = Paths(*(work / name for name in ("data", "store", "runs", "configs", "folds")))
    for row in rows or ROWS:
        began = time.perf_counter()
        try:
            write_twin(configs, small, row)
            line = {"row": row, "ran": "yes", **_run(small, row)}
        except Exception as e:  # whatever a row fails of, the next one is run
            logger.exception("%s failed", row)
            line = {"row": row, "ran": "no", "error": f"{type(e).__name__}: {e}"}
        yield line | {"seconds": time.perf_counter() - began}


def write_twin(configs: Path, small: Paths, row: str) -> None:
    """Derive the configs of a row's twin from the full ones, write them below `small.configs`, and its data set."""
    full = _full(configs, row)
    members = {path.rsplit("/", 1)[-1]: load_experiment(configs, path) for path in full.members}
    twin = shrunk_study(full) if isinstance(full, Study) else shrunk_ensemble(full, members)
    dataset = shrunk_dataset(load_dataset(configs, twin.dataset), twin.dataset)
    _write(small, f"{'studies' if isinstance(twin, Study) else 'ensembles'}/{row}", twin)
    _write(small, f"datasets/{twin.dataset}", dataset)
    for path in twin.members:
        member = shrunk(members[path.rsplit("/", 1)[-1]])
        _write(small, path, member)
        crop = crop_of(member)
        if isinstance(crop, DetectorCrop):
            _write(small, f"detect/{crop.member}", shrunk_detector(load_detector(configs, crop.member)))
    if not isinstance(dataset, PhantomDataset):  # whose reader draws it
        last = CASES + APART * len(dataset.joined)
        for number, root in enumerate((dataset.root, *dataset.joined)):
            begin = APART * number
            write_phantom(dataset, small.raw(root), range(begin, begin + CASES), range(last, last + TESTS))


def table(lines: Sequence[dict[str, object]]) -> pd.DataFrame:
    """The table of what ran, a line a row."""
    return pd.DataFrame(lines, columns=["row", "ran", "members", "seconds", "dice_case", "error"])


def _run(small: Paths, row: str) -> dict[str, object]:
    """Every step of a written twin, on one fold or as many as it wants; gives what the table says of it."""
    twin = _full(small.configs, row)
    if isinstance(twin, Study):
        tested = study_step(small, twin, device="cpu")
        return {"members": len(twin.members), "dice_case": float(tested["dice"].mean())}
    project = open_project(small, row, jobs=1, device="cpu")
    folds = None if project.splits else [FOLD]  # fold 0 of two fold tables may have no scan in common
    oof_step(project, folds)
    _, scores = tune_step(project, folds)
    submit_step(project, None, project.out / "submission", None)
    honest = scores.loc[scores["what"] == "recipe, cross-fitted", "dice_case"]
    return {"members": len(project.members), "dice_case": float(honest.iloc[0])}


def _full(configs: Path, row: str) -> Ensemble | Study:
    study = configs / "studies" / f"{row}.yaml"
    return load_study(study) if study.is_file() else load_ensemble(configs, row)


def _write(small: Paths, name: str, config: Strict) -> None:
    write_text(small.configs / f"{name}.yaml", yaml.safe_dump(as_plain(config), sort_keys=False))
