"""A 2D data set of RGB images and label images through every step: prepare, folds, train, tune, submit, score."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.models.weights import read_info
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.submitting import score_step, submit_step
from casefold.pipeline.tuning import tune_step
from toy_members import seg25d

CLASSES = ("round", "flat")
DATASET = {
    "reader": "images",
    "root": "plain",
    "classes": list(CLASSES),
    "image": "images/{case}_{view}.png",
    "test": "test/{case}_{view}.png",
    "colour": "rgb",
    "masks": {"kind": "files", "pattern": "labels/{case}_{view}.png", "values": {"round": 1, "flat": 2}},
    "folds": {"kind": "case", "count": 2},
}
MEMBER = seg25d(name="rgb", train={"epochs": 1, "lr": 0.01}, predict={"flips": ("x",)})


def draw(path: Path, labels: Path, seed: int) -> None:
    """A red disc above a blue bar on grey noise, 36 x 28 (width x height), and its label image."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :36]
    label = np.zeros((28, 36), np.uint8)
    label[(y - 9) ** 2 + (x - random.integers(9, 27)) ** 2 <= 30] = 1
    label[20:24, 5:30] = 2
    image = random.integers(60, 90, (28, 36, 3))
    image[label == 1, 0] += 120
    image[label == 2, 2] += 120
    for target, pixels in ((path, image.astype(np.uint8)), (labels, label)):
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("plain")
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    raw = paths.raw("plain")
    for number in range(8):
        name = f"p{number // 2}_v{number % 2}.png"
        draw(raw / "images" / name, raw / "labels" / name, number)
    for number in (8, 9):
        draw(raw / "test" / f"p9_v{number}.png", root / "truth" / f"p9_v{number}.png", number)
    ensemble = {"name": "plain", "dataset": "plain", "members": ["seg25d/rgb"]}
    for path, content in (
        ("datasets/plain", DATASET),
        ("seg25d/rgb", as_plain(MEMBER)),
        ("ensembles/plain", {**ensemble, "tune": {"levels": [60, 100, 128, 160], "partition_folds": 2}}),
    ):
        target = paths.configs / f"{path}.yaml"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yaml.safe_dump(content))
    return open_project(paths, "plain", jobs=1, device="cpu")


def test_from_rgb_images_to_label_images(project: Project) -> None:
    recipe, scores = tune_step(project)
    table = project.table(project.store())
    assert sorted(table.fold_of) == ["p0", "p1", "p2", "p3"]
    assert {table.fold_of[case] for case in table.fold_of} == {0, 1}
    info = read_info(project.run("rgb", "0") / "weights.safetensors")
    assert (info.modalities, info.classes) == (3, CLASSES)
    assert recipe.classes == CLASSES and scores["tuned"].notna().any()

    written = submit_step(project, None, None, None)
    assert sorted(path.name for path in written.iterdir()) == ["p9_v8.png", "p9_v9.png"]
    labels = np.asarray(Image.open(written / "p9_v8.png"))
    assert labels.shape == (28, 36) and labels.dtype == np.uint8 and set(np.unique(labels)) <= {0, 1, 2}

    truth = project.paths.data.parent / "truth"
    frame = score_step(project, written, truth)
    assert frame["scan"].tolist() == ["p9_v8.png", "p9_v9.png", "all"]
    wanted = np.asarray(Image.open(truth / "p9_v8.png"))
    for value, name in enumerate(CLASSES, start=1):
        both = 2 * ((labels == value) & (wanted == value)).sum() / ((labels == value).sum() + (wanted == value).sum())
        assert frame.loc[0, f"dice {name}"] == pytest.approx(both, abs=1e-12)


def test_the_same_as_rows_of_a_csv(project: Project, tmp_path: Path) -> None:
    """With a submission form in the config nothing is trained again, and predictions are rows of a CSV."""
    path = project.paths.configs / "datasets" / "plain.yaml"
    form = {"id": "img", "key": "{id}_{class}", "class_column": None, "rle": "rle", "order": "column"}
    tune_step(project)
    weights = project.run("rgb", "0") / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    path.write_text(yaml.safe_dump({**DATASET, "submission": form}))
    again = open_project(project.paths, "plain", jobs=1, device="cpu")
    out = submit_step(again, None, tmp_path / "out.csv", None)
    assert weights.stat().st_mtime_ns == before
    names = [f"p9_v{view}_{name}" for view in (8, 9) for name in CLASSES]
    assert [line.partition(",")[0] for line in out.read_text().splitlines()] == ["img", *names]
    frame = score_step(again, out, out)
    assert frame["scan"].tolist() == ["p9_v8", "p9_v9", "all"]
    dice = frame[[f"dice {name}" for name in CLASSES]].to_numpy()
    assert ((dice == 1) | np.isnan(dice)).all()
