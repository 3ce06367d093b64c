"""Bad input ends in one message and exit code 1 and costs nothing that was done; mended, what is missing is done."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import timm
import yaml
from safetensors.torch import save_file
from torch._utils import ExceptionWrapper
from typer.testing import CliRunner

import toy
import toy_nifti
from casefold.cli import app
from casefold.config.experiments import as_plain
from casefold.core import DataError
from casefold.pipeline import submitting, training
from casefold.store import Store
from casefold.train.loop import _told_plainly
from casefold.train.state import State
from toy_faults import content, no_file_above, times, without_right, written
from toy_members import ENCODER, seg3d, seg25d

ONE = ("--jobs", "1", "--device", "cpu")
GOES_ON = "What is done stays, and the same command does only the rest"
MEMBER = "runs/toy/members/toy_3d"
ENSEMBLE = "runs/toy/ensembles/solo"
UNSEEN = [toy.ToyScan(name, slices=4) for name in ("case41_day0", "case42_day0", "case43_day0")]


def enter(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Point the roots of the environment below one folder."""
    for name in ("data", "store", "runs", "configs", "folds"):
        patch.setenv(f"CASEFOLD_{name.upper()}", str(root / name))


def run(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words: str) -> str:
    """What a verb says that ends with 1, by itself and not by an exception that nobody caught."""
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 1 and "Traceback" not in result.output
    return result.output


def write_yaml(root: Path, name: str, config: dict[str, Any]) -> Path:
    path = root / "configs" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path


def member(**changes: Any) -> dict[str, Any]:
    changes = {"train": {"epochs": 2}, "data": {"patch": (2, 8, 8), "overlap": 0.0}, **changes}
    return as_plain(seg3d(**changes))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared, folded in two, and the first fold trained."""
    root = tmp_path_factory.mktemp("begun")
    toy.write_raw(root / "data" / "toy")
    for scan in UNSEEN:
        toy.write_scan(root / "data" / "toy" / "test", scan)
    toy.write_config(root / "configs", folds={"kind": "case", "count": 2})
    write_yaml(root, "seg3d/toy_3d", member())
    write_yaml(root, "ensembles/solo", {"name": "solo", "dataset": "toy", "members": ["seg3d/toy_3d"]})
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        run("fold", "0", "solo", *ONE)
    return root


@pytest.fixture(scope="module")
def ended(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every step done, to `submission.csv`."""
    root = tmp_path_factory.mktemp("ended") / "all"
    shutil.copytree(begun, root)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        run("oof", "solo", *ONE)
        run("submit", "solo", *ONE, "--out", str(root / "submission.csv"))
    return root


@pytest.fixture
def half(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `begun` that a test may damage."""
    enter(tmp_path / "w", monkeypatch)
    return Path(shutil.copytree(begun, tmp_path / "w"))


@pytest.fixture
def whole(ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `ended` that a test may damage."""
    enter(tmp_path / "w", monkeypatch)
    return Path(shutil.copytree(ended, tmp_path / "w"))


@pytest.fixture
def aside(tmp_path: Path) -> Iterator[Any]:
    """A call that puts something else in a file's place; calling what it gives puts the file back as it was."""
    count = 0

    def damage(path: Path, instead: bytes | None) -> Any:
        nonlocal count
        count += 1
        kept = path.replace(tmp_path / f"kept{count}")
        if instead is not None:
            path.write_bytes(instead)
        return lambda: kept.replace(path)

    yield damage


def slice_of(root: Path, part: str, scan: str, z: int) -> Path:
    return next((root / "data" / "toy" / part / scan.partition("_")[0] / scan / "scans").glob(f"slice_{z:04d}_*"))


def row_changed(path: Path, name: str, label: str, runs: str) -> bytes:
    """A CSV of labels with other runs in one row."""
    lines = path.read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith(f"{name},{label},"))
    lines[place] = f"{name},{label},{runs}"
    return "\n".join(lines).encode()


def of_scan(name: str) -> set[str]:
    return {f"store/toy/scans/{name}/{file}" for file in ("image.npy", "masks.npy", "scan.json")}


INDEX = {"store/toy/store.json", "store/toy/slices.csv"}


def trained(root: Path) -> dict[str, str]:
    """What the runs must be to the last byte, however often they were stopped: not what clock and process say."""
    files = content(root, MEMBER)
    return {name: files[name] for name in files if Path(name).name not in ("manifest.json", "timing.csv", "last.pt")}


def test_a_corrupt_png_costs_only_its_scan(whole: Path, aside: Any) -> None:
    sound, before = content(whole), content(whole, "runs", "folds")
    path = slice_of(whole, "train", "case7_day1", 3)
    mend = aside(path, path.read_bytes()[:-20])
    shutil.rmtree(whole / "store")
    said = refused("prepare", "solo", *ONE[:2])
    assert "DataError: 1 of 8 scans can't be read; the others are in the store and stay there. Mend the files, " in said
    assert f"  case7_day1: DataError: {path} can't be read as a PNG; put a sound copy in its place\n" in said
    assert content(whole, "runs", "folds") == before
    store, stamps = Store(whole / "store" / "toy"), times(whole)
    assert len(store.case_of) == 7 and store.scan("case7_day13").image.shape == (1, 8, 28, 36)
    assert f"{path} can't be read as a PNG" in refused("oof", "solo", *ONE)  # a step never does with less
    mend()
    run("prepare", "solo", *ONE[:2])
    assert written(stamps, whole, "store") == of_scan("case7_day1") | INDEX
    assert content(whole) == sound


def test_a_corrupt_png_to_predict_costs_only_its_scan(whole: Path, aside: Any) -> None:
    out, parts = whole / "submission.csv", next((whole / ENSEMBLE / "submit").iterdir())
    sound = out.read_bytes()
    path = slice_of(whole, "test", "case42_day0", 2)
    mend = aside(path, b"no image")
    shutil.rmtree(parts)
    said = refused("submit", "solo", *ONE, "--out", str(out))
    assert "DataError: 1 of 3 scans can't be predicted, the others are; mend their files, or take them out of" in said
    assert f"{GOES_ON}:\n  case42_day0: DataError: {path} can't be read as a PNG" in said
    assert sorted(part.stem for part in parts.iterdir()) == ["case41_day0", "case43_day0"]
    assert out.read_bytes() == sound
    stamps = times(parts)
    mend()
    run("submit", "solo", *ONE, "--out", str(out))
    assert written(stamps, parts) == {"case42_day0.json"}
    assert out.read_bytes() == sound


@pytest.mark.parametrize(("file", "told"), [("t2", "b_t2"), ("seg", "b_seg")])
def test_a_truncated_nifti_costs_only_its_scan(half: Path, aside: Any, file: str, told: str) -> None:
    train = half / "data" / "brats" / "train"
    for seed, name in enumerate(("a", "b", "c")):
        toy_nifti.write_brain(train, name, seed)
    write_yaml(half, "datasets/brats", toy_nifti.brats())
    write_yaml(half, "ensembles/brain", {"name": "brain", "dataset": "brats", "members": ["seg3d/toy_3d"]})
    path, before = train / "b" / f"{told}.nii.gz", content(half, "runs", "folds", "store/toy")
    mend = aside(path, path.read_bytes()[: path.stat().st_size // 2])
    said = refused("prepare", "brain", *ONE[:2])
    assert "DataError: 1 of 3 scans can't be read; the others are in the store and stay there. Mend the files, " in said
    assert f"  b: DataError: {path} is truncated or corrupt: " in said
    stamps = times(half, "store/brats")
    assert list(Store(half / "store" / "brats").case_of) == ["a", "c"]
    mend()
    run("prepare", "brain", *ONE[:2])
    new = {f"scans/b/{name}" for name in ("image.npy", "masks.npy", "scan.json")} | {"store.json", "slices.csv"}
    assert written(stamps, half, "store/brats") == {f"store/brats/{name}" for name in new}
    assert content(half, "runs", "folds", "store/toy") == before


@pytest.mark.parametrize("verb", ["prepare", "oof", "tune"])
def test_an_unknown_class_in_a_csv_is_named_and_nothing_is_touched(whole: Path, aside: Any, verb: str) -> None:
    stamps, options = times(whole), ONE if verb != "prepare" else ONE[:2]
    labels = whole / "data" / "toy" / "train.csv"
    mend = aside(labels, labels.read_bytes() + b"case2_day0_slice_0001,lefft,1 1\n")
    said = refused(verb, "solo", *options)
    assert f"DataError: {labels}: unknown class 'lefft' (did you mean 'left'?); mend the rows, or the config" in said
    mend()
    run(verb, "solo", *options)
    assert times(whole) == stamps


def test_an_rle_past_the_end_costs_only_its_scan(whole: Path, aside: Any) -> None:
    sound, before = content(whole), content(whole, "runs", "folds")
    labels = whole / "data" / "toy" / "train.csv"
    mend = aside(labels, row_changed(labels, "case7_day1_slice_0003", "left", "1000 10"))
    said = refused("prepare", "solo", *ONE[:2])
    assert (
        "  case7_day1: DataError: train.csv: case7_day1_slice_0003 left: RLE: the run 1000 10 goes past the end" in said
    )
    assert "of a mask of 28 x 36 (height x width) = 1008 pixels; mend that row\n" in said
    assert content(whole, "runs", "folds") == before and len(Store(whole / "store" / "toy").case_of) == 7
    stamps = times(whole, "store")
    mend()
    run("prepare", "solo", *ONE[:2])
    assert written(stamps, whole, "store") == INDEX
    assert content(whole) == sound


def test_an_rle_past_the_end_of_a_submission_is_named(whole: Path) -> None:
    labels = whole / "data" / "toy" / "train.csv"
    given = whole / "given.csv"
    given.write_bytes(row_changed(labels, "case7_day1_slice_0003", "left", "1000 10"))
    stamps = times(whole)
    said = refused("score", "solo", str(given), str(labels), "--input", str(whole / "data" / "toy" / "train"))
    assert (
        f"DataError: {given}: slice case7_day1_slice_0003, class left: RLE: the run 1000 10 goes past the end" in said
    )
    assert times(whole) == stamps


def test_four_faults_of_a_config_are_told_at_once(half: Path, ended: Path, aside: Any) -> None:
    path, before = half / "configs" / "seg3d" / "toy_3d.yaml", content(half, "store", "folds", "runs")
    wrong = member() | {"augment": "wild", "losses": [{"name": "dyce"}], "train": {"epochs": 2, "batch_sise": 4}}
    wrong["data"] = {"patch": [2, 8, 8], "overlap": 1.5}
    mend = aside(path, yaml.safe_dump(wrong).encode())
    assert refused("fold", "1", "solo", *ONE).splitlines() == [
        f"ConfigError: {path} has 4 fault(s):",
        "  augment: allowed: none, light, medium, heavy, flips, zoom, distortion, degraded, scanner, nnunet, "
        "resliced, upright, anatomical; came 'wild'",
        "  train.batch_sise: unknown word (did you mean 'batch_size'?)",
        "  data.overlap: Input should be less than 1; came 1.5",
        "  losses.0.name: allowed: bce, ce, mse, focal, border_ce, dice, iou, dice_fp, tversky, focal_tversky, lovasz, "
        "generalized_dice, hausdorff_dt (did you mean 'dice'?); came 'dyce'",
    ]
    assert content(half, "store", "folds", "runs") == before
    mend()
    stamps = times(half)
    run("fold", "1", "solo", *ONE)
    assert all(name.startswith(f"{MEMBER}/fold1/") for name in written(stamps, half))
    assert trained(half) == trained(ended)


@pytest.mark.parametrize("damage", ["gone", "cut"])
@pytest.mark.parametrize("verb", ["fold 1", "oof", "tune", "submit"])
def test_weights_that_are_gone_or_cut_are_named(whole: Path, aside: Any, verb: str, damage: str) -> None:
    out = () if verb != "submit" else ("--out", str(whole / "submission.csv"))
    path = whole / MEMBER / "fold1" / "weights.safetensors"
    stamps = times(whole)
    mend = aside(path, None if damage == "gone" else path.read_bytes()[:1000])
    said = refused(*verb.split(), "solo", *ONE, *out)
    assert f"DataError: weights {path} can't be read (" in said
    assert "); put the file back, or train that fold again with --redo\n" in said
    mend()
    assert times(whole) == stamps
    run(*verb.split(), "solo", *ONE, *out)
    assert written(stamps, whole) <= {"submission.csv"}


def test_weights_that_are_gone_are_trained_again_where_that_is_asked(whole: Path, ended: Path) -> None:
    path, stamps = whole / MEMBER / "fold1" / "weights.safetensors", times(whole, f"{MEMBER}/fold0")
    path.unlink()
    run("fold", "1", "solo", *ONE, "--redo")
    assert times(whole, f"{MEMBER}/fold0") == stamps
    assert path.read_bytes() == (ended / MEMBER / "fold1" / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_run_whose_first_weights_are_missing_stops_no_other(
    half: Path, ended: Path, monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    """With two jobs a thread stands for the processes: they would take seconds to start."""
    monkeypatch.setattr(training, "pool", lambda processes: ThreadPoolExecutor(1))
    flat = as_plain(seg25d(model={"pretrained": "first.safetensors"}, train={"batch_size": 32}))
    write_yaml(half, "seg25d/toy_2d", flat)
    both = ["seg25d/toy_2d", "seg3d/toy_3d"]
    write_yaml(half, "ensembles/solo", {"name": "solo", "dataset": "toy", "members": both})
    said = refused("fold", "1", "solo", "--jobs", jobs, "--device", "cpu")
    assert "CasefoldError: 1 of 2 runs failed; the rest is kept; the same command does only these:\n" in said
    assert (
        f"  seg25d/toy_2d 1: ConfigError: model.pretrained: no file {half}/data/first.safetensors; the name is" in said
    )
    assert trained(half) == trained(ended)
    stamps = times(half)
    path = half / "data" / "first.safetensors"
    path.write_bytes(b"no weights")
    assert f"ConfigError: weights {path} can't be read (SafetensorError); fetch the file again\n" in refused(
        "fold", "1", "solo", *ONE
    )
    save_file(timm.create_model(ENCODER).state_dict(), path)
    run("fold", "1", "solo", *ONE)
    changed = written(stamps, half, "runs", "store", "folds")
    assert "runs/toy/members/toy_2d/fold1/weights.safetensors" in changed
    assert all(name.startswith("runs/toy/members/toy_2d/fold1/") for name in changed)


def test_a_scan_to_predict_that_fails_in_a_pool_stops_no_other(
    whole: Path, aside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "pool", lambda processes: ThreadPoolExecutor(1))
    out, parts = whole / "new.csv", next((whole / ENSEMBLE / "submit").iterdir())
    mend = aside(slice_of(whole, "test", "case41_day0", 1), b"")
    shutil.rmtree(parts)
    said = refused("submit", "solo", "--jobs", "2", "--device", "cpu", "--out", str(out))
    assert "DataError: 1 of 3 scans can't be predicted, the others are; " in said and "\n  case41_day0: DataErr" in said
    assert sorted(part.stem for part in parts.iterdir()) == ["case42_day0", "case43_day0"] and not out.exists()
    mend()
    run("submit", "solo", "--jobs", "2", "--device", "cpu", "--out", str(out))
    assert out.read_bytes() == (whole / "submission.csv").read_bytes()


def test_a_process_that_was_killed_is_told_apart(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*given: Any) -> None:
        raise BrokenProcessPool("terminated abruptly")

    for module, name in ((training, "train"), (submitting, "predict_share")):
        monkeypatch.setattr(module, "pool", lambda processes: ThreadPoolExecutor(1))
        monkeypatch.setattr(module, name, die)
    shutil.rmtree(next((whole / ENSEMBLE / "submit").iterdir()))
    said = refused("submit", "solo", "--jobs", "2", "--device", "cpu", "--out", str(whole / "new.csv"))
    assert f"most likely for want of memory; call again with fewer --jobs. {GOES_ON}" in said
    shutil.rmtree(whole / MEMBER)
    said = refused("train", "solo", "--jobs", "2", "--device", "cpu")
    assert said.endswith("a process was killed, most likely for want of memory: call again with fewer --jobs\n")


def test_a_full_disk_in_prepare_costs_only_the_scan_that_met_it(whole: Path) -> None:
    toy.write_scan(whole / "data" / "toy" / "train", toy.ToyScan("case50_day0", width=99, height=99))
    stamps = times(whole)
    with no_file_above(20_000):
        said = refused("prepare", "solo", *ONE[:2])
    assert (
        f"DataError: {whole}/store/toy/scans/case50_day0 can't be written: File too large. Make room there, or " in said
    )
    assert "the scans that are done stay, and the same command does only the rest\n" in said
    assert times(whole) == stamps and len(Store(whole / "store" / "toy").case_of) == 8
    run("prepare", "solo", *ONE[:2])
    assert written(stamps, whole) == {name for name in of_scan("case50_day0") if "masks" not in name} | INDEX


def test_a_full_disk_at_the_list_of_scans_keeps_the_old_one(whole: Path) -> None:
    toy.write_config(whole / "configs", folds={"kind": "case", "count": 2}, drop_scans=["case31_day4"])
    stamps = times(whole)
    with no_file_above(1000):
        said = refused("prepare", "solo", *ONE[:2])
    assert f"WriteError: {whole}/store/toy/slices.csv can't be written: File too large. Make room there, or " in said
    assert len(Store(whole / "store" / "toy").case_of) == 8
    assert written(stamps, whole) == set()
    run("prepare", "solo", *ONE[:2])
    assert len(Store(whole / "store" / "toy").case_of) == 7 and written(stamps, whole) == INDEX


def test_a_full_disk_at_a_checkpoint_costs_one_epoch(half: Path, ended: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fold = State.save, half / MEMBER / "fold1"
    stamps = times(half)

    def save(state: State, path: Path) -> None:
        with no_file_above(10_000 if state.progress.epoch == 2 else 10**9):
            real(state, path)

    with monkeypatch.context() as patch:
        patch.setattr(State, "save", save)
        said = refused("fold", "1", "solo", *ONE)
    assert "CasefoldError: 1 of 1 runs failed; the rest is kept; the same command does only these:\n" in said
    assert (
        f"  seg3d/toy_3d 1: WriteError: {fold}/last.pt can't be written: File too large. Make room there, or " in said
    )
    elsewhere = "move its root to another disk and set CASEFOLD_STORE, CASEFOLD_RUNS or CASEFOLD_DATA to where it is"
    assert f"{elsewhere}. {GOES_ON}" in said
    files = ["before.pt", "config.yaml", "last.pt", "log.csv", "manifest.json", "timing.csv"]
    assert written(stamps, half) == {f"{MEMBER}/fold1/{name}" for name in files}
    first = (fold / "timing.csv").read_text()
    assert len(first.splitlines()) == 2
    run("fold", "1", "solo", *ONE)
    assert (fold / "timing.csv").read_text().startswith(first)  # the first epoch was not done again
    assert trained(half) == trained(ended)
    assert all(name.startswith(f"{MEMBER}/fold1/") for name in written(stamps, half))


def test_a_full_disk_at_a_prediction_costs_only_that(whole: Path) -> None:
    sound, stamps = content(whole), times(whole)
    lost = sorted((whole / MEMBER / "fold1" / "oof").iterdir())
    for path in lost:
        path.unlink()
    with no_file_above(500):
        said = refused("oof", "solo", *ONE)
    assert f"WriteError: {lost[0].parent}/" in said and ".npz can't be written: File too large. Make room" in said
    assert written(stamps, whole) == set()
    run("oof", "solo", *ONE)
    assert written(stamps, whole) == {path.relative_to(whole).as_posix() for path in lost}
    assert content(whole) == sound


def test_a_full_disk_at_the_submission_keeps_the_predictions_and_the_old_file(whole: Path) -> None:
    out = whole / "submission.csv"
    sound, stamps = out.read_bytes(), times(whole)
    out.write_text("an older one")
    with no_file_above(100):
        said = refused("submit", "solo", *ONE, "--out", str(out))
    assert f"WriteError: {out} can't be written: File too large. Make room there, or move " in said and GOES_ON in said
    assert out.read_text() == "an older one"
    run("submit", "solo", *ONE, "--out", str(out))
    assert out.read_bytes() == sound and written(stamps, whole) == {"submission.csv"}


def test_a_full_disk_while_predicting_stops_at_once(whole: Path) -> None:
    parts = next((whole / ENSEMBLE / "submit").iterdir())
    shutil.rmtree(parts)
    with no_file_above(100):
        said = refused("submit", "solo", *ONE, "--out", str(whole / "new.csv"))
    assert f"WriteError: {parts}/case41_day0.json can't be written: File too large. Make room there, or " in said
    assert list(parts.iterdir()) == []


def test_a_read_only_run_folder_is_named_and_still_read(whole: Path, ended: Path) -> None:
    shutil.rmtree(whole / MEMBER / "fold1")
    stamps = times(whole)
    with without_right(whole / "runs", 0o222):
        said = refused("fold", "1", "solo", *ONE)
        again = run("fold", "0", "solo", *ONE)
        redone = refused("fold", "0", "solo", *ONE, "--redo")
    assert (
        f"  seg3d/toy_3d 1: WriteError: {whole / MEMBER}/fold1/config.yaml can't be written: Permission denied" in said
    )
    assert ". Get the rights for that, or move its root to another disk and set CASEFOLD_STORE, " in said
    assert "seg3d/toy_3d 0" in again
    assert f"WriteError: {whole / MEMBER}/fold0." in redone and "can't be written: Permission denied" in redone
    assert times(whole) == stamps
    run("fold", "1", "solo", *ONE)
    assert all(name.startswith(f"{MEMBER}/fold1/") for name in written(stamps, whole))
    assert trained(whole) == trained(ended)


@pytest.mark.parametrize(
    ("verb", "lost", "told"),
    [
        ("prepare", "store/toy/scans/case2_day0/scan.json", "Permission denied: '{root}/store/toy/store.json'. Get"),
        ("folds", "folds/toy.csv", "{root}/folds/toy.csv can't be written: Permission denied. Get the rights"),
        ("oof", f"{ENSEMBLE}/oof.csv", f"{{root}}/{ENSEMBLE}/oof.csv can't be written: Permission denied. Get the"),
        ("tune", f"{ENSEMBLE}/recipe.yaml", f"{{root}}/{ENSEMBLE}/search/voxels/"),
        ("submit", f"{ENSEMBLE}/submit/*/case41_day0.json", "case41_day0.json can't be written: Permission denied"),
    ],
)
def test_every_step_names_the_file_that_a_read_only_folder_refuses(
    whole: Path, ended: Path, verb: str, lost: str, told: str
) -> None:
    options = {"prepare": ONE[:2], "folds": (), "submit": (*ONE, "--out", str(whole / "submission.csv"))}.get(verb, ONE)
    (gone,) = whole.glob(lost)
    gone.unlink()
    before = content(whole)
    with without_right(whole / lost.partition("/")[0], 0o222):
        said = refused(verb, "solo", *options)
    assert told.format(root=whole) in said and f". {GOES_ON}" in said
    assert content(whole) == before
    run(verb, "solo", *options)
    assert content(whole) == content(ended)


def test_a_results_folder_that_is_a_file_is_named(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = times(half)
    monkeypatch.setenv("CASEFOLD_RUNS", str(half / "configs" / "seg3d" / "toy_3d.yaml"))
    said = refused("fold", "1", "solo", *ONE)
    assert "fold1/config.yaml can't be written: Not a directory. Move away what stands in its place, or " in said
    assert times(half) == stamps


def test_a_phantom_that_can_not_be_drawn_is_named(half: Path) -> None:
    drawn = {"reader": "phantom", "root": "drawn", "classes": ["large_bowel", "small_bowel", "stomach"]}
    write_yaml(half, "datasets/drawn", drawn)
    write_yaml(half, "ensembles/drawn", {"name": "drawn", "dataset": "drawn", "members": ["seg3d/toy_3d"]})
    with without_right(half / "data", 0o222):
        said = refused("prepare", "drawn", *ONE[:2])
    assert f"WriteError: {half}/data/drawn can't be written: Permission denied. Get the rights for " in said


def test_a_fault_in_a_loading_process_is_told_without_its_trace() -> None:
    try:
        raise DataError("image.npy can't be read")
    except DataError:
        sent = ExceptionWrapper(where="in DataLoader worker process 0")

    def batches() -> Iterator[dict[str, Any]]:
        sent.reraise()
        yield {}

    with pytest.raises(DataError, match="Traceback"):
        next(batches())
    with pytest.raises(DataError, match=r"^image\.npy can't be read$"):
        next(_told_plainly(batches()))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "No columns to parse from file; save it as CSV in UTF-8\n"),
        ("id,class,segmentation\n".encode("utf-16"), "codec can't decode byte 0xff in position 0"),
        (b"id;class;segmentation\n", "has the columns ['id;class;segmentation']; wanted ['id', 'class', 'segmenta"),
    ],
    ids=["empty", "utf-16", "semicolons"],
)
def test_labels_that_are_no_csv_are_named(half: Path, aside: Any, text: bytes, told: str) -> None:
    labels, stamps = half / "data" / "toy" / "train.csv", times(half)
    mend = aside(labels, text)
    said = refused("fold", "0", "solo", *ONE)
    assert f"DataError: {labels} " in said and told in said
    mend()
    run("fold", "0", "solo", *ONE)
    assert times(half) == stamps


def test_files_that_may_not_be_read_are_named(half: Path) -> None:
    path, labels = slice_of(half, "train", "case7_day1", 1), half / "data" / "toy" / "train.csv"
    shutil.rmtree(half / "store")
    with without_right(path, 0o444):
        assert f"  case7_day1: DataError: {path} can't be read as a PNG" in refused("prepare", "solo", *ONE[:2])
    with without_right(labels, 0o444):
        assert f"DataError: {labels} can't be read as a CSV of id,class,segmentation: [Errno 13] Permission" in refused(
            "prepare", "solo", *ONE[:2]
        )
    run("prepare", "solo", *ONE[:2])


def test_a_fold_table_from_windows_is_the_same_table(whole: Path) -> None:
    path, before = whole / "folds" / "toy.csv", run("oof", "solo", *ONE)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    stamps = times(whole)
    assert run("oof", "solo", *ONE) == before and times(whole) == stamps
    path.write_bytes("case,fold\n".encode("utf-16"))
    assert f"DataError: {path} can't be read as CSV: " in refused("oof", "solo", *ONE)


@pytest.mark.parametrize(
    ("verb", "broken", "removed"),
    [
        ("prepare", "store/toy/store.json", "store/toy/store.json"),
        ("prepare", "store/toy/slices.csv", "store/toy/store.json"),
        ("prepare", "store/toy/scans/case2_day0/scan.json", "store/toy/scans/case2_day0/scan.json"),
        ("fold 0", f"{MEMBER}/fold0/manifest.json", f"{MEMBER}/fold0/manifest.json"),
        ("tune", f"{ENSEMBLE}/recipe.yaml", f"{ENSEMBLE}/recipe.yaml"),
        ("submit", f"{ENSEMBLE}/submit/*/case41_day0.json", f"{ENSEMBLE}/submit/*/case41_day0.json"),
    ],
)
def test_a_damaged_file_of_ones_own_says_what_to_remove(
    whole: Path, ended: Path, verb: str, broken: str, removed: str
) -> None:
    options = {"prepare": ONE[:2], "submit": (*ONE, "--out", str(whole / "submission.csv"))}.get(verb, ONE)
    (path,), (gone,) = whole.glob(broken), whole.glob(removed)
    path.write_bytes(b"" if path.suffix == ".csv" else b'{"half": [')
    said = refused(*verb.split(), "solo", *options)
    assert f"DataError: {path} " in said and "remove " in said and str(gone) in said
    gone.unlink()
    run(*verb.split(), "solo", *options)
    assert trained(whole) == trained(ended)
    others = ("data", "store", "folds", ENSEMBLE)
    assert content(whole, *others) == content(ended, *others)


@pytest.mark.parametrize("text", [b"", b"no checkpoint", b"PK\x03\x04 cut"])
def test_a_damaged_checkpoint_says_what_to_remove(half: Path, ended: Path, text: bytes) -> None:
    fold = half / MEMBER / "fold1"
    fold.mkdir()
    (fold / "last.pt").write_bytes(text)
    said = refused("fold", "1", "solo", *ONE)
    assert f"DataError: no checkpoint in {fold} can be read (last.pt: " in said
    assert "); remove them to begin that fold again\n" in said and "weights_only" not in said
    (fold / "last.pt").unlink()
    run("fold", "1", "solo", *ONE)
    assert trained(half) == trained(ended)


def test_configs_and_records_are_utf_8_whatever_the_machine_says(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("größe: 1\n".encode())
    (tmp_path / "a.json").write_bytes('{"größe": 1}'.encode())
    code = (
        "from pathlib import Path; from casefold.config.load import read_yaml; from casefold.files import read_json\n"
        "print(ascii([read_yaml(Path('a.yaml')), read_json(Path('a.json'))]))"
    )
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    made = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=plain, capture_output=True, text=True)
    assert made.stdout == "[{'gr\\xf6\\xdfe': 1}, {'gr\\xf6\\xdfe': 1}]\n", made.stderr


def test_a_config_in_another_encoding_is_named(half: Path) -> None:
    path = half / "configs" / "seg3d" / "toy_3d.yaml"
    path.write_bytes(b"# gr\xf6\xdfe\n" + path.read_bytes())
    assert f"ConfigError: {path} is not YAML in UTF-8: " in refused("fold", "0", "solo", *ONE)
