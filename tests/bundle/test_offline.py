"""The notebook, executed whole from the bundle alone: no network, and only what Kaggle's image has.

Under another Python by CASEFOLD_KAGGLE_PYTHON, the one of an environment in which the image's packages are installed.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from kaggle_image import make_environment, run_alone

import toy
from casefold.bundle.contents import KERNEL_FILE
from casefold.bundle.wheels import check_tags, tags_of
from casefold.pipeline.bundling import Options, bundle_step
from casefold.pipeline.project import Project
from casefold.pipeline.submitting import score_step, submit_step
from casefold.rerun.opened import UPLOADER
from casefold.submission import read_csv
from toy_bundle import ids, noise, write_planes, write_sample
from toy_trained import tuned_project

HIDDEN = toy.ToyScan("case50_day0", slices=7, width=44, height=31)  # of a size that nothing was trained on
SOUND = {
    "case51_day0": noise((1, 30, 40)),
    "case52_day0": noise((300, 20, 24)),
    "case53_day0": np.full((4, 28, 36), 700, np.uint16),
    "case54_day0": noise((5, 28, 36), "uint8"),
    "case55_day0": np.zeros((4, 28, 36), np.uint16),
}
GAPS, TORN = "case56_day0", "case57_day0"
# What a public run of the toy data set predicts.
FIRST = [(name, label) for s in toy.SCANS[:3] for name in ids(s.name, s.slices) for label in toy.CLASSES]


@dataclass(frozen=True)
class Kaggle:
    """What Kaggle gives a notebook: its Python, its inputs, and the pipeline that the bundle was made from."""

    python: Path
    bundle: Path
    project: Project

    def attach(self, root: Path) -> Path:
        """Inputs and a working folder below `root`: the bundle by a link, the competition empty; gives the latter."""
        data = root / "input" / "toy"
        data.mkdir(parents=True)
        (root / "working").mkdir()
        (root / "input" / "casefold-mix").symlink_to(self.bundle)
        return data

    def execute(self, root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Execute the notebook with what `attach` has laid out."""
        notebook = root / "input" / "casefold-mix" / "kaggle.ipynb"
        return run_alone(self.python, notebook, root / "working", CASEFOLD_INPUT=str(root / "input"), **variables)


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Kaggle:
    root = tmp_path_factory.mktemp("kaggle")
    project = tuned_project(root / "project")
    image = Path(os.environ["CASEFOLD_KAGGLE_PYTHON"]) if "CASEFOLD_KAGGLE_PYTHON" in os.environ else None
    asked = subprocess.run([image or sys.executable, "-VV"], check=True, capture_output=True, text=True)
    python = ".".join(asked.stdout.split()[1].split(".")[:2])
    made, _ = bundle_step(project, root / "dist", Options(python=python, half=False))
    uploaded = root / "uploaded"
    shutil.copytree(made, uploaded, ignore=shutil.ignore_patterns(*UPLOADER))  # Kaggle keeps these to itself
    return Kaggle(make_environment(root, image), uploaded, project)


def write_hidden(data: Path) -> list[str]:
    """A hidden test of every oddity; gives the ids of its slices, in an order of the sample's own."""
    toy.write_scan(data / "test", HIDDEN)
    names = ids(HIDDEN.name, HIDDEN.slices)
    for name, image in SOUND.items():
        write_planes(data, name, image)
        names += ids(name, len(image))
    write_planes(data, GAPS, noise((3, 28, 36)), [1, 2, 5])
    torn = write_planes(data, TORN, noise((4, 28, 36)))
    torn[2].write_bytes(torn[2].read_bytes()[:60])
    names += [f"{GAPS}_slice_{z:04d}" for z in (1, 2, 5)] + ids(TORN, 4)
    return names[::-1]


@pytest.mark.long
def test_in_the_rerun_every_odd_scan_is_predicted_as_the_pipeline_predicts_it(
    kaggle: Kaggle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = kaggle.attach(tmp_path)
    work = tmp_path / "working"
    wanted = write_sample(data, write_hidden(data))
    done = kaggle.execute(tmp_path, KAGGLE_IS_COMPETITION_RERUN="1")
    assert done.returncode == 0, done.stderr
    assert "scoring rerun: 8 scans" in done.stdout
    assert f"scan {TORN}: the nearest slices stand for" in done.stdout
    assert not (work / "pictures").exists()
    submission = read_csv(work / "submission.csv")
    assert list(submission) == wanted
    for name in (TORN, GAPS):
        shutil.rmtree(data / "test" / name.partition("_")[0])
    own = submit_step(kaggle.project, data / "test", tmp_path / "own.csv", None)
    ours = read_csv(own)
    assert {key: submission[key] for key in ours} == ours
    assert {name.rpartition("_slice_")[0] for name, _ in ours} == {HIDDEN.name, *SOUND}
    score = hidden_score(kaggle.project, data, submission, tmp_path)
    with capsys.disabled():
        print(f"\nhidden test: Dice by class {score}")
    assert score == hidden_score(kaggle.project, data, ours, tmp_path)
    assert score["left"] > 0.5


def hidden_score(
    project: Project, data: Path, submission: dict[tuple[str, str], str], folder: Path
) -> dict[str, float]:
    """Dice by class of the scan whose truth is known."""
    alone = folder / "alone"
    shutil.copytree(data / "test" / HIDDEN.case, alone / HIDDEN.case, dirs_exist_ok=True)
    lines = [f"{name},{label},{text}" for (name, label), text in submission.items() if name.startswith(HIDDEN.name)]
    for path, rows in (("given.csv", lines), ("truth.csv", toy.label_rows(HIDDEN))):
        (folder / path).write_text("\n".join(["id,class,segmentation", *rows]) + "\n")
    frame = score_step(project, folder / "given.csv", folder / "truth.csv", alone)
    total = frame.set_index("scan").loc["all"]
    return {label: float(total[f"dice {label}"]) for label in toy.CLASSES}


@pytest.mark.long
def test_in_the_public_run_training_scans_are_predicted_and_drawn(kaggle: Kaggle, tmp_path: Path) -> None:
    data = kaggle.attach(tmp_path)
    toy.write_raw(data)
    write_sample(data, [])
    done = kaggle.execute(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "public run: 3 scans" in done.stdout
    assert list(read_csv(tmp_path / "working" / "submission.csv")) == FIRST
    pictures = sorted(path.name for path in (tmp_path / "working" / "pictures").iterdir())
    assert pictures == sorted(f"{scan.name}.png" for scan in toy.SCANS[:3])


@pytest.mark.long
def test_in_a_public_run_with_an_empty_test_folder_a_torn_scan_fails_the_notebook_after_all_is_written(
    kaggle: Kaggle, tmp_path: Path
) -> None:
    data = kaggle.attach(tmp_path)
    toy.write_raw(data)
    write_sample(data, [])
    (data / "test").mkdir()
    for path in toy.write_scan(data / "train", toy.SCANS[1]).iterdir():
        path.write_bytes(b"torn")
    done = kaggle.execute(tmp_path)
    assert done.returncode != 0
    assert "DataError: the submission is written, but not all went well." in done.stderr
    submission = read_csv(tmp_path / "working" / "submission.csv")
    assert list(submission) == FIRST
    with_masks = {name.rpartition("_slice_")[0] for (name, _), text in submission.items() if text}
    assert with_masks == {toy.SCANS[0].name, toy.SCANS[2].name}


@pytest.mark.long
def test_a_bundle_with_a_changed_byte_is_refused_by_name(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.attach(tmp_path)
    (tmp_path / "input" / "casefold-mix").unlink()
    shutil.copytree(kaggle.bundle, tmp_path / "input" / "casefold-mix")
    weights = tmp_path / "input" / "casefold-mix" / "models" / "toy_2d" / "fold1" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = kaggle.execute(tmp_path)
    assert done.returncode != 0
    assert "1 changed: models/toy_2d/fold1/weights.safetensors" in done.stderr
    assert not (tmp_path / "working" / "submission.csv").exists()


@pytest.mark.long
def test_a_bundle_for_python_3_12_has_wheels_that_install_there(kaggle: Kaggle, tmp_path: Path) -> None:
    folder, lines = bundle_step(kaggle.project, tmp_path, Options(python="3.12", half=False))
    wheels = sorted((folder / "wheels").glob("*.whl"))
    assert [path.name.split("-")[0] for path in wheels] == [
        "casefold", "connected_components_3d", "monai", "segmentation_models_pytorch", "timm",
    ]  # fmt: skip
    check_tags(wheels, set(tags_of("3.12")), "3.12")
    assert "cp312" in wheels[1].name
    assert lines[1].startswith("wheels for Python 3.12: casefold-")
    assert json.loads((folder / KERNEL_FILE).read_text())["enable_internet"] is False
    assert os.listdir(tmp_path) == ["mix"]
