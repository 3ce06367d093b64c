"""The notebook's run: an empty submission first, the pipeline's own answer last, whatever lies in the folder."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import toy
from casefold.core import DataError, Grid, Masks, Scan
from casefold.infer import Loaded, infer, load_ensemble_models
from casefold.intensity import scan_statistics
from casefold.readers.table import find, load
from casefold.rerun import scans as predicting
from casefold.rerun.notebook import RERUN, Report, run_notebook
from casefold.rerun.opened import Bundle, open_bundle
from casefold.submission import read_csv, rows
from toy_bundle import ids, noise, write_bundle, write_planes, write_sample

HOURS = 3600.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(write_bundle(tmp_path_factory.mktemp("notebook") / "bundle"))


@pytest.fixture(autouse=True)
def outside_kaggle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RERUN, raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The competition's folder: training scans, no hidden ones, a sample with a header alone."""
    root = toy.write_raw(tmp_path / "toy")
    (root / "test").mkdir()
    (root / "sample_submission.csv").write_text("id,class,predicted\n")
    return root


def predict(bundle: Bundle, data: Path, **options: Any) -> tuple[Report, dict[tuple[str, str], str]]:
    """A run in this process, and what its submission holds."""
    target = data.parent / "submission.csv"
    report = run_notebook(bundle, data, target, **{"deadline_s": HOURS, "device": "cpu", "apart": False, **options})
    return report, read_csv(target)


@pytest.fixture(scope="module")
def plain(bundle: Bundle) -> Loaded:
    """The bundle's ensemble, as `submit` loads it."""
    return load_ensemble_models(bundle.recipe, bundle.runs, "cpu")


def by_pipeline(plain: Loaded, scan: Scan, rung: int = 0) -> dict[tuple[str, str], str]:
    return {(name, label): text for name, label, text in rows(infer(plain, scan, rung=rung))}


def hidden(data: Path, bundle: Bundle, name: str) -> Scan:
    """A hidden scan as the plain reader gives it."""
    return next(load(bundle.dataset, raw) for raw in find(bundle.dataset, data, "test") if raw.name == name)


def test_hidden_scans_get_the_pipelines_own_prediction_in_the_samples_order(
    bundle: Bundle, plain: Loaded, data: Path
) -> None:
    for name in ("case41_day0", "case50_day2"):
        toy.write_scan(data / "test", toy.ToyScan(name, slices=4))
    wanted = write_sample(data, [*ids("case50_day2", 4)[::-1], *ids("case41_day0", 4)])
    report, found = predict(bundle, data)
    expected = by_pipeline(plain, hidden(data, bundle, "case41_day0"))
    expected |= by_pipeline(plain, hidden(data, bundle, "case50_day2"))
    assert list(found) == wanted and found == {key: expected[key] for key in wanted}
    assert any(found.values())
    assert (data.parent / "submission.csv").read_text().startswith("id,predicted,class\n")
    assert (report.rerun, report.scans, report.failed, report.odd, report.shed) == (True, 2, {}, [], {})
    assert (report.unreached, report.faults, report.missing, report.extra) == ([], [], 0, 0)
    report.raise_for_failures()


def test_extra_scans_are_left_out_and_missing_ones_left_empty(bundle: Bundle, plain: Loaded, data: Path) -> None:
    for name in ("case41_day0", "case50_day2"):
        toy.write_scan(data / "test", toy.ToyScan(name, slices=4))
    wanted = write_sample(data, [*ids("case60_day0", 2), *ids("case41_day0", 5)])  # a slice more than there is
    report, found = predict(bundle, data)
    expected = by_pipeline(plain, hidden(data, bundle, "case41_day0"))
    assert found == {key: expected.get(key, "") for key in wanted}
    assert (report.missing, report.extra) == (6, 8)
    assert "rows without a prediction: 6, not wanted: 8" in report.words()


def test_the_public_run_predicts_three_training_scans(
    bundle: Bundle, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report, found = predict(bundle, data)
    assert list(found) == [
        (name, label) for scan in toy.SCANS[:3] for name in ids(scan.name, scan.slices) for label in toy.CLASSES
    ]
    assert any(found.values()) and (report.rerun, report.scans) == (False, 3)
    assert "there are no test scans: predicting 3 training scans instead" in caplog.text
    report.raise_for_failures()


def test_the_public_run_of_a_sample_with_rows_keeps_its_rows(bundle: Bundle, data: Path) -> None:
    shutil.rmtree(data / "test")
    wanted = write_sample(data, ids("case90_day1", 2))
    report, found = predict(bundle, data)
    assert found == dict.fromkeys(wanted, "") and (report.rerun, report.missing, report.scans) == (False, 4, 3)


def test_a_rerun_without_test_scans_is_all_empty(bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RERUN, "1")
    wanted = write_sample(data, ids("case90_day1", 2))
    report, found = predict(bundle, data)
    assert found == dict.fromkeys(wanted, "") and (report.rerun, report.scans) == (True, 0)
    report.raise_for_failures()


@pytest.mark.parametrize(("word", "rerun"), [("1", True), ("True", True), ("", False), ("0", False), ("false", False)])
def test_the_variable_tells_the_rerun(
    bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch, word: str, rerun: bool
) -> None:
    monkeypatch.setenv(RERUN, word)
    shutil.rmtree(data / "train")  # so that the public run finds nothing
    report, found = predict(bundle, data)
    assert (report.rerun, report.scans, found) == (rerun, 0, {})
    assert bool(report.faults) is not rerun


def test_odd_scans_are_predicted_as_the_plain_pipeline_does(bundle: Bundle, plain: Loaded, data: Path) -> None:
    """New size, one slice, 300 slices, constant, 8-bit, slice numbers missing, all black."""
    shapes: dict[str, tuple[int, int, int]] = {
        "case41_day0": (5, 61, 47), "case42_day0": (1, 28, 36), "case43_day0": (300, 9, 12), "case44_day0": (4, 28, 36),
        "case45_day0": (4, 28, 36), "case46_day0": (4, 28, 36), "case47_day0": (4, 28, 36),
    }  # fmt: skip
    images = {name: noise(shape) for name, shape in shapes.items()}
    images["case44_day0"][:] = 777
    images["case45_day0"] = noise(shapes["case45_day0"], "uint8")
    images["case47_day0"][:] = 0
    for name, image in images.items():
        write_planes(data, name, image, [3, 4, 9, 10] if name == "case46_day0" else None)
    write_sample(data, [one for name, shape in shapes.items() for one in ids(name, max(shape[0], 10))])
    report, found = predict(bundle, data)
    assert (report.failed, report.faults, report.rerun) == ({}, [], True)
    assert report.odd == ["scan case46_day0 lacks the slices [5, 6, 7, 8]"]
    for name, image in images.items():
        expected = by_pipeline(plain, scan := hidden(data, bundle, name))
        assert (scan.grid.shape, str(scan.image.dtype)) == (image.shape, str(image.dtype))
        own = {key: text for key, text in found.items() if key[0].startswith(f"{name}_")}
        assert {key: text for key, text in own.items() if text} == {key: t for key, t in expected.items() if t}
    assert {key[0][-4:] for key, text in found.items() if text and key[0].startswith("case46")} <= {
        "0003", "0004", "0009", "0010",
    }  # fmt: skip


def test_an_unreadable_slice_is_replaced_by_the_nearest_that_can_be_read(
    bundle: Bundle, plain: Loaded, data: Path
) -> None:
    """Of six slices the second is cut short and the third is no PNG at all; the ends keep their places."""
    image = noise((6, 28, 36))
    paths = write_planes(data, "case41_day0", image)
    paths[1].write_bytes(paths[1].read_bytes()[:-40])
    paths[2].write_bytes(b"no image")
    write_sample(data, ids("case41_day0", 6))
    report, found = predict(bundle, data)
    sound = image[[0, 3, 4, 5]]
    scan = Scan(
        "case41", "case41_day0", image[[0, 0, 3, 3, 4, 5]][None], Grid((6, 28, 36), (3.0, 1.25, 1.5)), toy.CLASSES,
        tuple(ids("case41_day0", 6)), statistics=scan_statistics(sound[None]),
    )  # fmt: skip
    assert found == by_pipeline(plain, scan) and any(found.values())
    assert [line.partition(";")[0] for line in report.odd] == [
        f"{paths[1]} can't be read as a PNG",
        f"{paths[2]} can't be read as a PNG",
        "scan case41_day0: the nearest slices stand for ['case41_day0_slice_0002', 'case41_day0_slice_0003']",
    ]
    assert report.failed == {} and "odd: 3" in report.words()


def test_slices_of_another_size_stay_empty(bundle: Bundle, data: Path) -> None:
    write_planes(data, "case41_day0", noise((5, 28, 36)))
    folder = data / "test" / "case41" / "case41_day0" / "scans"
    (folder / "slice_0002_36_28_1.50_1.25.png").rename(folder / "slice_0002_30_20_1.50_1.25.png")
    write_sample(data, ids("case41_day0", 5))
    report, found = predict(bundle, data)
    assert [text for key, text in found.items() if key[0].endswith("0002")] == ["", ""]
    assert any(found.values()) and report.failed == {} and "differs from" in report.odd[0]


def test_a_scan_that_can_not_be_read_at_all_costs_itself_alone(bundle: Bundle, plain: Loaded, data: Path) -> None:
    for path in write_planes(data, "case41_day0", noise((4, 28, 36))):
        path.write_bytes(b"")
    write_planes(data, "case50_day2", noise((4, 28, 36)))
    write_sample(data, [*ids("case41_day0", 4), *ids("case50_day2", 4)])
    report, found = predict(bundle, data)
    assert list(report.failed) == ["case41_day0"] and "has no slice that can be read, of 4" in report.words()
    assert not any(text for key, text in found.items() if key[0].startswith("case41"))
    expected = by_pipeline(plain, hidden(data, bundle, "case50_day2"))
    assert {key: text for key, text in found.items() if key[0].startswith("case50")} == expected
    report.raise_for_failures()  # a rerun never raises


def test_a_public_run_ends_with_an_error_after_all_is_written(bundle: Bundle, data: Path) -> None:
    for path in (data / "train" / "case2" / "case2_day0" / "scans").iterdir():
        path.write_bytes(b"")
    report, found = predict(bundle, data)
    assert [name for name in ("case2", "case7") if any(t for key, t in found.items() if key[0].startswith(name))] == [
        "case7"
    ]
    assert len(found) == 8 * 3 * 2
    with pytest.raises(DataError, match=r"the submission is written, but not all went well\. public run: 3 scans"):
        report.raise_for_failures()


def test_a_rung_that_fails_gives_way_to_the_next(
    bundle: Bundle, plain: Loaded, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fragile(loaded: Loaded, scan: Scan, rung: int, **more: Any) -> Masks:
        if rung == 0:
            raise RuntimeError("out of everything")
        return infer(loaded, scan, rung=rung, **more)

    monkeypatch.setattr(predicting, "infer", fragile)
    write_planes(data, "case41_day0", noise((4, 28, 36)))
    write_sample(data, ids("case41_day0", 4))
    report, found = predict(bundle, data)
    assert found == by_pipeline(plain, hidden(data, bundle, "case41_day0"), rung=1)
    told = "rung 0 failed, RuntimeError: out of everything; predicted by rung 1"
    assert report.failed == {"case41_day0": told}
    assert report.shed == {"case41_day0": "rung 1, 2 of 2 folds"}


def test_the_submission_is_all_empty_before_the_first_scan_and_grows(
    bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"case{n}_day0" for n in (41, 42, 43, 44)]
    for name in names:
        write_planes(data, name, noise((4, 28, 36)))
    wanted = write_sample(data, [one for name in names for one in ids(name, 4)])
    seen: list[set[str]] = []

    def watched(*given: Any, **more: Any) -> Masks:
        found = read_csv(data.parent / "submission.csv")
        assert list(found) == wanted
        seen.append({key[0].partition("_")[0] for key, text in found.items() if text})
        return infer(*given, **more)

    monkeypatch.setattr(predicting, "infer", watched)
    report, found = predict(bundle, data, every=2)
    assert [len(cases) for cases in seen] == [0, 0, 2, 2, 4]  # the first, by the cheapest plan, is done again at last
    assert {key[0].partition("_")[0] for key, text in found.items() if text} == {"case41", "case42", "case43", "case44"}
    assert report.shed == {}


def test_a_broken_sample_is_told_and_done_without(bundle: Bundle, data: Path) -> None:
    (data / "sample_submission.csv").write_text("image,runs\n1,\n")
    report, found = predict(bundle, data)
    assert len(found) == 8 * 3 * 2 and "has the columns ['image', 'runs']" in report.faults[0]
    with pytest.raises(DataError, match="not all went well"):
        report.raise_for_failures()


def test_called_again_only_what_is_missing_is_predicted(
    bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("case41_day0", "case50_day2"):
        write_planes(data, name, noise((4, 28, 36)))
    write_sample(data, [*ids("case41_day0", 4), *ids("case50_day2", 4)])
    _, found = predict(bundle, data)
    next((data.parent / ".submission_parts").glob("*/case50_day2.json")).unlink()
    asked: list[str] = []

    def noted(loaded: Any, scan: Scan, **more: Any) -> Masks:
        asked.append(scan.name)
        return infer(loaded, scan, **more)

    monkeypatch.setattr(predicting, "infer", noted)
    assert predict(bundle, data)[1] == found
    assert set(asked) == {"case50_day2"}


def test_time_that_is_up_leaves_the_rest_empty(bundle: Bundle, data: Path) -> None:
    write_planes(data, "case41_day0", noise((4, 28, 36)))
    wanted = write_sample(data, ids("case41_day0", 4))
    report, found = predict(bundle, data, deadline_s=0.0)
    assert found == dict.fromkeys(wanted, "") and report.unreached == ["case41_day0"]
    assert "without a prediction, for the time was up: 1" in report.words()
