"""Four competitions and a plain 2D set by their ready configs alone: truth read, submission written and read back.

Each is a made-up folder of a few tiny files in the competition's own layout.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import toy_dicom
from casefold.config.datasets import ImagesDataset
from casefold.config.load import load_dataset
from casefold.core import DataError, Masks, Scan
from casefold.readers.table import csv_form, find, load, read_masks, submission_form, truth_form, write_result
from casefold.submission import Slice, check_csv, read_csv, rows, score, write_csv

CONFIGS = Path(__file__).parents[2] / "configs"
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def config(name: str) -> ImagesDataset:
    read = load_dataset(CONFIGS, name)
    assert isinstance(read, ImagesDataset)
    return read


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def save_dicom(path: Path, pixels: NDArray[np.uint8]) -> None:
    toy_dicom.save(path, toy_dicom.header(RescaleSlope=None, RescaleIntercept=None), pixels)


def drawn(text: str) -> NDArray[np.bool_]:
    """A mask from its picture: `#` is mask, rows are parted by blanks."""
    return np.array([[letter == "#" for letter in row] for row in text.split()])


def training(name: str, root: Path) -> dict[str, Scan]:
    return {raw.name: load(config(name), raw) for raw in find(config(name), root, "train")}


def predicted(name: str, root: Path, masks: Mapping[str, list[str]]) -> list[Masks]:
    """Predictions of the test part: by scan, a picture for each class."""
    scans = [load(config(name), raw) for raw in find(config(name), root, "test")]
    assert [scan.name for scan in scans] == list(masks) and all(scan.masks is None for scan in scans)
    return [
        Masks(
            scan.case,
            scan.name,
            scan.classes,
            scan.slice_names,
            np.stack([drawn(m) for m in masks[scan.name]])[:, None],
        )
        for scan in scans
    ]


def submit(name: str, root: Path, masks: Mapping[str, list[str]], out: Path) -> str:
    """Write, check, read back and score a submission against itself; gives its text."""
    form, classes, made = csv_form(config(name)), config(name).classes, predicted(name, root, masks)
    sample = root / (config(name).sample_submission or "")
    write_csv(out, [row for scan in made for row in rows(scan, form)], sample if sample.is_file() else None, form)
    sizes = {id_: scan.masks.shape[2:] for scan in made for id_ in scan.slice_names}
    check_csv(out, sample if sample.is_file() else None, sizes, classes, form)
    slices = {id_: Slice(scan.scan, 0, *scan.masks.shape[2:]) for scan in made for id_ in scan.slice_names}
    result = score(out, out, slices, classes, form=form, truth_form=form)
    for scan in made:
        wanted = np.where(scan.masks.any(axis=(1, 2, 3)), 1.0, np.nan)
        np.testing.assert_array_equal(result.dice[scan.scan], wanted)
    return out.read_text()


def test_siim(tmp_path: Path) -> None:
    """DICOM, columns from 0, relative starts, a row an object, -1 for none, images without a row; blanks in the CSV."""
    for scan in ("1.2.276.3", "1.2.276.20", "1.2.276.100"):
        save_dicom(tmp_path / "dicom-images-train" / f"s{scan}" / f"t{scan}" / f"{scan}.dcm", GREY)
    for scan in ("1.2.9.1", "1.2.9.2"):
        save_dicom(tmp_path / "dicom-images-test" / "s" / scan / f"{scan}.dcm", GREY)
    (tmp_path / "train-rle.csv").write_text(
        "ImageId, EncodedPixels\n1.2.276.20, 1 2 2 1\n1.2.276.3, -1\n1.2.276.20, 11 1\n"
    )
    scans = training("siim", tmp_path)
    assert list(scans) == ["1.2.276.3", "1.2.276.20", "1.2.276.100"]
    np.testing.assert_array_equal(scans["1.2.276.20"].image, GREY[None, None])
    np.testing.assert_array_equal(scans["1.2.276.20"].class_masks()[0, 0], drawn(".... #... ##.#"))
    assert not scans["1.2.276.3"].class_masks().any()
    assert scans["1.2.276.100"].masks is None

    (tmp_path / "sample_submission.csv").write_text("ImageId,EncodedPixels\n1.2.9.2,1 1\n1.2.9.1,1 1\n")
    masks = {"1.2.9.1": ["##.. ##.. ...#"], "1.2.9.2": [".... .... ...."]}
    assert submit("siim", tmp_path, masks, tmp_path / "out.csv") == (
        "ImageId,EncodedPixels\n1.2.9.2,-1\n1.2.9.1,0 2 1 2\n1.2.9.1,11 1\n"
    )
    form = csv_form(config("siim"))
    assert read_csv(tmp_path / "out.csv", [form], (), ("pneumothorax",)) == {
        ("1.2.9.2", "pneumothorax"): "",
        ("1.2.9.1", "pneumothorax"): "0 2 1 2\n11 1",
    }


def test_hubmap(tmp_path: Path) -> None:
    """RGB TIFFs, columns from 1, one class, a row an image, more columns beside."""
    save(tmp_path / "train_images" / "10044.tiff", COLOUR)
    save(tmp_path / "test_images" / "10078.tiff", COLOUR)
    (tmp_path / "train.csv").write_text("id,organ,rle,age\n10044,prostate,2 2 10 1,37\n")
    scan = training("hubmap", tmp_path)["10044"]
    np.testing.assert_array_equal(scan.image, COLOUR.transpose(2, 0, 1)[:, None])
    np.testing.assert_array_equal(scan.class_masks()[0, 0], drawn("...# #... #..."))

    (tmp_path / "sample_submission.csv").write_text("id,rle\n10078,1 1\n")
    text = submit("hubmap", tmp_path, {"10078": ["##.. .#.. ...#"]}, tmp_path / "out.csv")
    assert text == "id,rle\n10078,1 1 4 2 12 1\n"


def test_severstal(tmp_path: Path) -> None:
    """Grey JPEGs in three channels, rows for defects only, four numbered classes; the class in the submission's key."""
    for path in ("train_images/0002cc93b.jpg", "train_images/a_2.jpg", "test_images/b7.jpg"):
        save(tmp_path / path, np.full((3, 4, 3), 90, np.uint8))
    (tmp_path / "train.csv").write_text("ImageId,ClassId,EncodedPixels\na_2.jpg,3,1 3\na_2.jpg,1,5 1\n")
    scans = training("severstal", tmp_path)
    assert scans["a_2"].image.shape == (1, 1, 3, 4)
    assert scans["a_2"].slice_names == ("a_2.jpg",)
    pictures = [".... .#.. ....", ".... .... ....", "#... #... #...", ".... .... ...."]
    np.testing.assert_array_equal(scans["a_2"].class_masks()[:, 0], [drawn(picture) for picture in pictures])
    assert scans["0002cc93b"].masks is not None and not scans["0002cc93b"].class_masks().any()

    text = submit("severstal", tmp_path, {"b7": pictures}, tmp_path / "out.csv")
    assert text == "ImageId_ClassId,EncodedPixels\nb7.jpg_1,5 1\nb7.jpg_2,\nb7.jpg_3,1 3\nb7.jpg_4,\n"
    sample = "b7.jpg_4,1 1\nb7.jpg_3,1 1\nb7.jpg_2,1 1\nb7.jpg_1,1 1\n"
    (tmp_path / "sample_submission.csv").write_text(f"ImageId_ClassId,EncodedPixels\n{sample}")
    text = submit("severstal", tmp_path, {"b7": pictures}, tmp_path / "out.csv")
    assert text == "ImageId_ClassId,EncodedPixels\nb7.jpg_4,\nb7.jpg_3,1 3\nb7.jpg_2,\nb7.jpg_1,5 1\n"

    truth = tmp_path / "truth.csv"
    truth.write_text("ImageId,ClassId,EncodedPixels\nb7.jpg,3,1 3\nb7.jpg,2,1 1\n")
    labelled = truth_form(config("severstal"))
    assert labelled is not None
    slices = {"b7.jpg": Slice("b7", 0, 3, 4)}
    form, classes = csv_form(config("severstal")), config("severstal").classes
    result = score(tmp_path / "out.csv", truth, slices, classes, form=form, truth_form=labelled)
    np.testing.assert_array_equal(result.dice["b7"], [0.0, 0.0, 1.0, np.nan])


def test_carvana(tmp_path: Path) -> None:
    """Views of cars, whose case is the car; GIF masks; rows from 1, `img` is the file's name."""
    mask = drawn(".##. .##. ....")
    for car in ("00087a6bd4dc_01", "00087a6bd4dc_02", "02159e548029_01"):
        save(tmp_path / "train" / f"{car}.jpg", COLOUR)
        save(tmp_path / "train_masks" / f"{car}_mask.gif", (mask * 255).astype(np.uint8))
    save(tmp_path / "test" / "0004d4463b50_16.jpg", COLOUR)
    scans = training("carvana", tmp_path)
    assert [(scan.case, name) for name, scan in scans.items()] == [
        ("00087a6bd4dc", "00087a6bd4dc_01"),
        ("00087a6bd4dc", "00087a6bd4dc_02"),
        ("02159e548029", "02159e548029_01"),
    ]
    for scan in scans.values():
        assert scan.image.shape == (3, 1, 3, 4)
        np.testing.assert_array_equal(scan.class_masks()[0, 0], mask)

    (tmp_path / "sample_submission.csv").write_text("img,rle_mask\n0004d4463b50_16.jpg,1 1\n")
    text = submit("carvana", tmp_path, {"0004d4463b50_16": [".##. .##. ..##"]}, tmp_path / "out.csv")
    assert text == "img,rle_mask\n0004d4463b50_16.jpg,2 2 6 2 11 2\n"


def test_a_plain_2d_set(tmp_path: Path) -> None:
    """RGB images and label images of the same name; predictions go back as label images."""
    labels = np.array([[0, 1, 1, 0], [2, 2, 1, 0], [0, 0, 0, 0]], np.uint8)
    for name in ("é 1", "b"):
        save(tmp_path / "images" / f"{name}.png", COLOUR)
    save(tmp_path / "labels" / "é 1.png", labels)
    save(tmp_path / "test" / "c.png", COLOUR)
    scans = training("labels2d", tmp_path)
    np.testing.assert_array_equal(scans["é 1"].image, COLOUR.transpose(2, 0, 1)[:, None])
    np.testing.assert_array_equal(scans["é 1"].class_masks()[:, 0], [labels == 1, labels == 2])
    assert scans["b"].masks is None

    assert submission_form(config("labels2d")) is None
    raw = find(config("labels2d"), tmp_path, "test")[0]
    masks = predicted("labels2d", tmp_path, {"c": ["##.. .... ....", ".... ..## ...."]})[0]
    path = write_result(config("labels2d"), tmp_path, raw, masks, tmp_path / "out")
    assert path == tmp_path / "out" / "c.png"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), [[1, 1, 0, 0], [0, 0, 2, 2], [0, 0, 0, 0]])
    np.testing.assert_array_equal(read_masks(config("labels2d"), tmp_path, path), masks.masks)


def hidden(root: Path) -> None:
    save(root / "test" / "0004d4463b50_16.jpg", COLOUR)


def beside(root: Path) -> None:
    save(root / "0004d4463b50_16.jpg", COLOUR)


@pytest.mark.parametrize("write", [hidden, beside])
def test_a_folder_that_is_handed_over_is_laid_out_as_below_the_root_or_flat(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path)
    (raw,) = find(config("carvana"), tmp_path / "nowhere", "test", tmp_path)
    assert (raw.case, raw.name, raw.labelled) == ("0004d4463b50", "0004d4463b50_16", False)
    assert load(config("carvana"), raw).slice_names == ("0004d4463b50_16.jpg",)


def test_a_folder_without_images_names_the_patterns(tmp_path: Path) -> None:
    save(tmp_path / "x.png", COLOUR)
    with pytest.raises(
        DataError, match=r"holds no image of the pattern test/.*\.jpg or \{case\}_.*\.jpg; it holds x\.png"
    ):
        find(config("carvana"), tmp_path, "test", tmp_path)
    with pytest.raises(DataError, match=r"no folder .*gone to read images from"):
        find(config("carvana"), tmp_path, "test", tmp_path / "gone")
