"""Masks of DICOM series from NIfTI, segmentation objects and PNGs, and predictions written back and read again."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from pydicom import dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation

from casefold.config.datasets import DicomDataset
from casefold.core import DataError, Masks, Scan
from casefold.readers import RawScan, dicom
from toy_dicom import STORED, header, save, uid, write_multiframe, write_series

NAME = "p1_20200102_3"
SHAPE = STORED.shape
LABELS = (np.arange(STORED.size) % 3).astype(np.uint8).reshape(SHAPE)  # (z, y, x)
MASKS = np.stack([LABELS == 1, LABELS == 2])
OVERLAP = np.stack([LABELS > 0, LABELS == 2])
NIFTI = {"kind": "nifti", "pattern": "labels/{scan}.nii.gz"}
OBJECTS = {"kind": "segmentation"}


def config(**changes: Any) -> DicomDataset:
    return DicomDataset(**{"reader": "dicom", "root": "toy", "classes": ("one", "two"), **changes})


def first(root: Path, **changes: Any) -> RawScan:
    return dicom.find(config(**changes), root, "train")[0]


def only(root: Path, **changes: Any) -> Scan:
    (raw,) = dicom.find(config(**changes), root, "train")
    return dicom.load(config(**changes), raw)


def affine_of(root: Path) -> NDArray[np.float64]:
    return np.array(first(root).details["series"].grid.affine)


def save_label(
    root: Path, labels: NDArray[Any] = LABELS, codes: str = "LPS", path: str = f"labels/{NAME}.nii.gz"
) -> None:
    """Save labels (z, y, x) of the series as NIfTI with its axes turned to `codes`; the series itself is LPS."""
    turn = orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(codes))
    turned = orientations.apply_orientation(labels.transpose(), turn)
    (root / path).parent.mkdir(exist_ok=True)
    affine = affine_of(root) @ orientations.inv_ornt_aff(turn, labels.shape[::-1])
    nib.save(nib.Nifti1Image(turned, affine), root / path)


def write(root: Path, drawn: NDArray[np.bool_], folder: str = "out", **changes: Any) -> Path:
    """Write the masks of the first scan as predictions."""
    raw = first(root, **changes)
    masks = Masks("p1", raw.name, ("one", "two"), tuple(f"{z}" for z in range(drawn.shape[1])), drawn)
    return dicom.write(config(**changes), root, raw, masks, root / folder)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PIR", "SAL", "LAI", "IRP"])
def test_a_label_nifti_is_turned_to_the_series(tmp_path: Path, codes: str) -> None:
    write_series(tmp_path)
    save_label(tmp_path, codes=codes)
    scan = only(tmp_path, masks=NIFTI)
    np.testing.assert_array_equal(scan.class_masks(), MASKS)


def test_label_values_are_those_of_the_config(tmp_path: Path) -> None:
    write_series(tmp_path)
    save_label(tmp_path, LABELS * 100)  # 100 and 200; a third value is some other organ
    scan = only(tmp_path, masks={**NIFTI, "values": {"one": 200, "two": 7}})
    np.testing.assert_array_equal(scan.class_masks(), [LABELS == 2, LABELS == 9])
    truth = dicom.read_masks(
        config(masks={**NIFTI, "values": {"one": 200, "two": 7}}), tmp_path, tmp_path / f"labels/{NAME}.nii.gz"
    )
    np.testing.assert_array_equal(truth, scan.class_masks())
    with pytest.raises(DataError, match=rf"{NAME}\.nii\.gz holds the values \[100, 200\], wanted are \[0, 1, 2\]"):
        only(tmp_path, masks=NIFTI)


def test_a_label_on_another_grid_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    raw = RawScan("p1", NAME, (), True)
    for change, message in (
        (np.diag([1, 1, 1.1, 1]), r"on another grid, 0\.3 voxels off"),  # the last of 4 slices lies at 3.3
        (np.array([[0.8, 0.6, 0, 0], [-0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "on another grid"),
    ):
        (tmp_path / "labels").mkdir(exist_ok=True)
        affine = affine_of(tmp_path) @ change
        nib.save(nib.Nifti1Image(LABELS.transpose(), affine), tmp_path / "labels" / f"{raw.name}.nii.gz")
        with pytest.raises(DataError, match=message):
            only(tmp_path, masks=NIFTI)
    save_label(tmp_path, LABELS[:3])
    with pytest.raises(DataError, match=r"shape \(5, 3, 3\) for \(5, 3, 4\) \(x, y, z\)"):
        only(tmp_path, masks=NIFTI)


def test_a_label_that_is_cut_short_is_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    save_label(tmp_path, np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8))
    path = tmp_path / "labels" / f"{NAME}.nii.gz"
    for length in (-20, 30):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(DataError, match=rf"its label .*{NAME}\.nii\.gz (is cut short|can't be read)"):
            only(tmp_path, masks=NIFTI)


def test_scans_without_labels_stay_unlabelled_but_not_all(tmp_path: Path) -> None:
    write_series(tmp_path, "a")
    write_series(tmp_path, "b", SeriesNumber=4)
    with pytest.raises(DataError, match=r"none of the 2 scans below .* has labels; check `masks`"):
        first(tmp_path, masks=NIFTI)
    save_label(tmp_path)
    save_label(tmp_path, path="labels/stranger.nii.gz")
    told: list[tuple[str, str, str]] = []
    raws = dicom.find(config(masks=NIFTI), tmp_path, "train", report=lambda *fault: told.append(fault))
    assert [(raw.name, raw.labelled) for raw in raws] == [(NAME, True), ("p1_20200102_4", False)]
    assert [(kind, Path(place).name) for kind, place, _ in told] == [
        ("image without label", "p1_20200102_4"),
        ("label without image", "stranger.nii.gz"),
    ]


@pytest.mark.parametrize("tilt_mm", [0.0, 0.5])
def test_predictions_as_label_nifti_lie_on_their_series(tmp_path: Path, tilt_mm: float) -> None:
    for z, plane in enumerate(STORED):
        place = [-10.0, -20 + tilt_mm * z, 30 + 2.5 * z]
        save(tmp_path / f"{z}.dcm", header(z=z, ImagePositionPatient=place), plane)
    path = write(tmp_path, MASKS)
    assert path.name == dicom.result_name(config(), first(tmp_path)) == f"{NAME}.nii.gz"
    image = nib.load(path)
    np.testing.assert_allclose(image.affine, affine_of(tmp_path), atol=1e-6)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 0 if tilt_mm else 1)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), LABELS.transpose())
    np.testing.assert_array_equal(dicom.read_masks(config(), tmp_path, path), MASKS)
    assert dicom.exclusive_labels(config(), tmp_path)


def test_a_truth_on_other_axes_is_scored_on_those_of_its_series(tmp_path: Path) -> None:
    write_series(tmp_path)
    save_label(tmp_path, codes="RAS")
    np.testing.assert_array_equal(dicom.read_masks(config(), tmp_path, tmp_path / f"labels/{NAME}.nii.gz"), MASKS)


def test_written_values_and_overlaps(tmp_path: Path) -> None:
    write_series(tmp_path)
    changes = {"masks": {**NIFTI, "values": {"one": 5, "two": 3}}}
    save_label(tmp_path, LABELS)
    path = write(tmp_path, OVERLAP, **changes)
    np.testing.assert_array_equal(np.unique(nib.load(path).dataobj), [0, 3, 5])
    np.testing.assert_array_equal(dicom.read_masks(config(**changes), tmp_path, path), MASKS)  # the later class wins


def one_slice(root: Path) -> None:
    dataset = header(
        Modality="DX",
        SOPClassUID=DigitalXRayImageStorageForPresentation,
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        FrameOfReferenceUID=None,
    )
    save(root / "dx.dcm", dataset, STORED[0])


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("form", ["series", "tilted", "multi-frame", "one slice"])
def test_predictions_as_segmentation_objects_come_back_equal(tmp_path: Path, form: str, empty: bool) -> None:
    if form == "series":
        write_series(tmp_path)
    elif form == "tilted":
        for z, plane in enumerate(STORED):
            save(tmp_path / f"{z}.dcm", header(z=z, ImagePositionPatient=[-10.0, -20 + 0.5 * z, 30 + 2.5 * z]), plane)
    elif form == "multi-frame":
        write_multiframe(tmp_path / "m.dcm", order=(2, 0, 3, 1))
    else:
        one_slice(tmp_path)
    masks = OVERLAP[:, :1] if form == "one slice" else OVERLAP.copy()
    masks = masks & (not empty)
    path = write(tmp_path, masks, predictions="segmentation")
    raw = first(tmp_path)
    assert path.name == f"{raw.name}.dcm"
    np.testing.assert_array_equal(dicom.read_masks(config(), tmp_path, path), masks)
    scan = only(tmp_path, masks=OBJECTS)  # the object lies below the root, so it is found as the series' labels
    np.testing.assert_array_equal(scan.class_masks(), masks)
    written = dcmread(path)
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == dcmread(raw.sources[0]).SeriesInstanceUID
    assert [item.SegmentLabel for item in written.SegmentSequence] == ["one", "two"]
    assert not dicom.exclusive_labels(config(predictions="segmentation"), tmp_path)


def test_a_segmentation_of_a_series_with_gaps_and_copies_comes_back_equal(tmp_path: Path) -> None:
    files = write_series(tmp_path)
    files[3].with_name("copy.dcm").write_bytes(files[3].read_bytes())
    files[1].unlink()
    path = write(tmp_path, OVERLAP[:, [0, 2, 3]], predictions="segmentation", gaps="allow")
    np.testing.assert_array_equal(dicom.read_masks(config(gaps="allow"), tmp_path, path), OVERLAP[:, [0, 2, 3]])


def test_the_same_predictions_have_the_same_uids(tmp_path: Path) -> None:
    write_series(tmp_path)
    one, two = (dcmread(write(tmp_path, MASKS, out, predictions="segmentation")) for out in ("x", "y"))
    other = dcmread(write(tmp_path, OVERLAP, "z", predictions="segmentation"))
    assert one.SOPInstanceUID == two.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID == two.SeriesInstanceUID


def test_segments_may_have_names_of_their_own(tmp_path: Path) -> None:
    write_series(tmp_path)
    write(tmp_path, MASKS, predictions="segmentation")
    with pytest.raises(DataError, match=r"has the segments \['one', 'two'\], none of \['Liver', 'Spleen'\]"):
        only(tmp_path, masks={**OBJECTS, "labels": {"one": "Liver", "two": "Spleen"}})
    scan = only(tmp_path, masks={**OBJECTS, "labels": {"one": "two", "two": "Spleen"}})
    np.testing.assert_array_equal(scan.class_masks(), [MASKS[1], np.zeros(SHAPE, bool)])


def test_several_segments_of_one_label_are_one_mask(tmp_path: Path) -> None:
    write_series(tmp_path)
    path = write(tmp_path, MASKS, predictions="segmentation")
    dataset = dcmread(path)
    for item in dataset.SegmentSequence:
        item.SegmentLabel = "nodule"
    dataset.save_as(path)
    scan = only(tmp_path, classes=("nodule",), masks=OBJECTS)
    np.testing.assert_array_equal(scan.class_masks(), [LABELS > 0])


def test_a_fractional_segmentation_is_cut_at_one_half(tmp_path: Path) -> None:
    write_series(tmp_path)
    path = write(tmp_path, MASKS | True, predictions="segmentation")
    dataset = dcmread(path)
    frames = np.zeros((8, *SHAPE[1:]), np.uint8)
    frames[:, 0, :4] = [99, 100, 101, 200]
    dataset.SegmentationType, dataset.MaximumFractionalValue = "FRACTIONAL", 200
    dataset.SegmentationFractionalType = "PROBABILITY"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelData = 7, frames.tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    masks = only(tmp_path, masks=OBJECTS).class_masks()
    assert masks[:, :, 0, :4].tolist() == [[[False, True, True, True]] * 4] * 2
    assert not masks[:, :, 1:].any()


def test_segmentations_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    path = write(tmp_path, MASKS, predictions="segmentation")
    copy = write(tmp_path, OVERLAP, "out2", predictions="segmentation")
    with pytest.raises(DataError, match=r"the segment 'one' is there twice, in .*out/p1_.*dcm, .*out2/p1_.*dcm"):
        only(tmp_path, masks=OBJECTS)
    copy.unlink()
    dataset = dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = [-10, -20, 99]
    dataset.save_as(path)
    with pytest.raises(DataError, match=r"frame 1 of its segmentation .* lies on none of its slices, 61\.5 mm"):
        only(tmp_path, masks=OBJECTS)
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [1, 1]
    dataset.save_as(path)
    with pytest.raises(DataError, match=r"lies on another grid than its images: .*\(1\.0, 1\.0\) for \(0\.75, 0\.5\)"):
        only(tmp_path, masks=OBJECTS)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"p1_.*\.dcm can't be read"):
        only(tmp_path, masks=OBJECTS)


def test_a_segmentation_of_another_series_is_no_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_series(tmp_path / "x", "a")
    write_series(tmp_path / "y", "b", SeriesNumber=4)
    path = write(tmp_path / "x", MASKS, predictions="segmentation")
    raws = dicom.find(config(masks=OBJECTS), tmp_path, "train")
    assert [(raw.name, raw.labelled) for raw in raws] == [(NAME, True), ("p1_20200102_4", False)]
    path.rename(tmp_path / "y" / "a.dcm")
    with pytest.raises(DataError, match="none of the 1 scans"):
        dicom.find(config(masks=OBJECTS), tmp_path / "y", "train")
    with pytest.raises(DataError, match="is no segmentation object of a series below"):
        dicom.read_masks(config(), tmp_path / "y", tmp_path / "y" / "a.dcm")


def test_a_series_that_no_object_can_refer_to_says_so(tmp_path: Path) -> None:
    write_series(tmp_path, ImagePositionPatient=None)
    with pytest.raises(DataError, match=rf"no segmentation object can refer to .*{uid('a')}.*predictions: nifti"):
        write(tmp_path, MASKS, predictions="segmentation")
    np.testing.assert_array_equal(dicom.read_masks(config(), tmp_path, write(tmp_path, MASKS)), MASKS)


def test_masks_of_another_shape_are_not_written(tmp_path: Path) -> None:
    write_series(tmp_path)
    with pytest.raises(DataError, match=r"should be of \['one', 'two'\] on \(4, 3, 5\) .* not .* on \(3, 3, 5\)"):
        write(tmp_path, MASKS[:, :3])


def test_a_nifti_of_no_series_is_read_on_its_own_axes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_series(tmp_path)
    save_label(tmp_path, codes="RAS", path="labels/other.nii.gz")
    masks = dicom.read_masks(config(), tmp_path, tmp_path / "labels" / "other.nii.gz")
    np.testing.assert_array_equal(masks, MASKS[:, :, ::-1, ::-1])
    assert "is called other, so it is taken on its own axes" in caplog.text


def save_pngs(folder: Path, planes: NDArray[Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for z, plane in enumerate(planes):
        Image.fromarray(plane).save(folder / f"slice{z + 8}.png")  # slice8 .. slice11: not the order of the alphabet


def test_pngs_are_label_images_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_series(tmp_path)
    save_pngs(tmp_path / "masks" / NAME, LABELS * 50)
    masks = {"kind": "pngs", "pattern": "masks/{scan}/*.png", "values": {"one": 50, "two": 100}}
    np.testing.assert_array_equal(only(tmp_path, masks=masks).class_masks(), MASKS)


def test_pngs_of_each_class_may_overlap(tmp_path: Path) -> None:
    write_series(tmp_path)
    for place, name in enumerate(("one", "two")):
        save_pngs(tmp_path / "masks" / "p1" / name, OVERLAP[place].astype(np.uint8) * 255)
    masks = {"kind": "pngs", "pattern": "masks/{case}/{class}/*.png"}
    np.testing.assert_array_equal(only(tmp_path, masks=masks).class_masks(), OVERLAP)
    single = {"kind": "pngs", "pattern": "masks/{case}/one/*.png", "values": {"one": 255}}
    np.testing.assert_array_equal(only(tmp_path, masks=single, classes=("one",)).class_masks(), OVERLAP[:1])
    (tmp_path / "masks" / "p1" / "two" / "slice9.png").unlink()
    with pytest.raises(DataError, match=rf"scan {NAME}: it has 4 slices, but .* finds \[4, 3\] PNGs"):
        only(tmp_path, masks=masks)


def test_pngs_that_do_not_fit_are_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    masks = {"kind": "pngs", "pattern": "masks/{scan}/*.png"}
    save_pngs(tmp_path / "masks" / NAME, LABELS)
    Image.fromarray(LABELS[0, :2]).save(tmp_path / "masks" / NAME / "slice9.png")
    with pytest.raises(DataError, match=r"slice9\.png should be a label image of the slices' size, \(3, 5\), but is"):
        only(tmp_path, masks=masks, classes=("one",))
    Image.new("RGB", (5, 3)).save(tmp_path / "masks" / NAME / "slice9.png")
    with pytest.raises(DataError, match=r"slice9\.png should be a label image of one channel"):
        only(tmp_path, masks=masks, classes=("one",))
    (tmp_path / "masks" / NAME / "slice9.png").write_bytes(b"no PNG")
    with pytest.raises(DataError, match=r"slice9\.png can't be read"):
        only(tmp_path, masks=masks, classes=("one",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": {**NIFTI, "values": {"one": 1}}}, r"a value of its own, above 0, for each of \['one', 'two'\]"),
        ({"masks": {**NIFTI, "values": {"one": 1, "two": 1}}}, "a value of its own, above 0"),
        ({"masks": {**NIFTI, "values": {"one": 1, "two": 0}}}, "a value of its own, above 0"),
        ({"masks": {"kind": "nifti", "pattern": "labels/all.nii"}}, "should hold {scan}, {case} or {series}"),
        ({"masks": {"kind": "pngs", "pattern": "masks/{scan}/*.png"}}, "PNGs want {class} in `pattern` or"),
        (
            {"masks": {"kind": "pngs", "pattern": "masks/{scan}/{class}/*.png", "values": {"one": 1, "two": 2}}},
            "one of the two",
        ),
        ({"description": "("}, "description: '\\(' is no regular expression"),
    ],
)
def test_a_config_that_can_not_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**changes)
