"""A detector's config."""

from pathlib import Path

import pytest

from casefold.config.detectors import Detect
from casefold.config.load import load_detector, load_experiment, parse_detector, read_yaml, save
from casefold.core import ConfigError

PLAIN = "kind: detect\nname: yolo\ntrain: {epochs: 3}\n"


def write(root: Path, text: str = PLAIN) -> Path:
    (root / "detect").mkdir(exist_ok=True)
    (root / "detect" / "yolo.yaml").write_text(text)
    return root


def test_a_detector_is_read_with_its_defaults_and_overrides(tmp_path: Path) -> None:
    config = load_detector(write(tmp_path), "yolo", ["train.lr=1e-2"])
    assert config.train.epochs == 3 and config.train.lr == 0.01
    assert config.target.name == "masks" and config.model.family == "yolo11" and config.find.min_slices == 2


def test_a_saved_detector_is_the_same(tmp_path: Path) -> None:
    config = load_detector(write(tmp_path, PLAIN + "target: {name: body, margin_px: 7}\n"), "yolo")
    save(config, tmp_path / "config.yaml")
    assert parse_detector(read_yaml(tmp_path / "config.yaml"), tmp_path / "config.yaml") == config


def test_a_detector_is_no_member(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kind: allowed: cls, seg25d, seg3d.*; came 'detect'"):
        load_experiment(write(tmp_path), "detect/yolo")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("data: {window: [-1, 0, 1], modalities: [0, 1]}", "1 colour or 3; 3 slices of 2 modalities make 6"),
        ("data: {size: 100}", r"data\.size: Input should be a multiple of 32"),
        ("model: {family: yolov7}", r"model\.family: allowed: yolov5, yolov8, yolo11, yolo26 .*; came 'yolov7'"),
        ("target: {name: bodies}", r"target\.name: allowed: masks, body \(did you mean 'body'\?\)"),
        ("data: {normalize: {name: zscore}}", r"data\.normalize\.name: allowed: percentile, minmax, window"),
    ],
)  # fmt: skip
def test_what_a_detector_can_t_be(words: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load_detector(write(tmp_path, f"{PLAIN}{words}\n"), "yolo")


def test_every_detector_of_the_configs_is_read() -> None:
    configs = Path(__file__).parents[2] / "configs"
    found = {path.stem: load_detector(configs, path.stem) for path in (configs / "detect").glob("*.yaml")}
    assert "lgg_yolo" in found and all(isinstance(config, Detect) for config in found.values())
