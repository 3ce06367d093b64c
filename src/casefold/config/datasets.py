"""Schema of a data set: where the raw files are and how to read and fold them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from casefold.config.base import Dataset
from casefold.config.masks import MasksConfig, RleForm, SeriesLabels
from casefold.core import Triple


class UwmgiDataset(Dataset):
    """UW-Madison layout: `train/caseN/caseN_dayM/scans/slice_NNNN_W_H_sx_sy.png`, `train.csv` with RLE."""

    reader: Literal["uwmgi"]
    spacing_mm: Literal["unknown"] | tuple[float | Literal["from_name"], ...] = (3.0, "from_name", "from_name")
    train: str = "train"
    test: str = "test"
    labels: str = "train.csv"
    sample_submission: str = "sample_submission.csv"

    @model_validator(mode="after")
    def _three_axes(self) -> "UwmgiDataset":
        if self.spacing_mm != "unknown":
            if len(self.spacing_mm) != 3:
                raise ValueError("spacing_mm is z, y, x: three entries, or the word `unknown`")
            if self.spacing_mm[0] == "from_name":
                raise ValueError("the file names say nothing of z: spacing_mm[0] must be a number")
        return self


class PhantomDataset(UwmgiDataset):
    """Drawn from a seed and written in the UW-Madison layout when the files are not there yet."""

    reader: Literal["phantom"]  # type: ignore[assignment]
    seed: int = 7
    cases: int = Field(10, ge=2, description="training cases; some have several days")
    test_cases: int = Field(2, ge=0, description="cases that only the hidden test has")
    slices: tuple[int, int] = Field((20, 14), description="the two slice counts that occur")
    sizes: tuple[tuple[int, int], ...] = Field(((96, 96), (112, 96)), description="(width, height) that occur")


class NiftiDataset(Dataset):
    """NIfTI volumes: the Medical Segmentation Decathlon layout with its `dataset.json`, or any by patterns.

    A class may be several values of the label map (BraTS: whole tumour 1, 2, 4), and classes may share values.
    """

    OUTSIDE_STORE: ClassVar[frozenset[str]] = Dataset.OUTSIDE_STORE | {"written"}

    reader: Literal["nifti"]
    spacing_mm: Literal["from_file", "unknown"] | Triple = "from_file"
    image: str | None = Field(
        None, description="pattern below the root, `{case}/{scan}_{modality}.nii.gz`; null: as dataset.json lists"
    )
    label: str | None = Field(None, description="pattern of the label maps, `{case}/{scan}_seg.nii.gz`")
    modalities: tuple[str, ...] = Field(
        (), description="with {modality} in `image` one file each, in this order; else names for a 4D file's volumes"
    )
    missing_modality: Literal["refuse", "drop", "zeros", "mean"] = Field(
        "refuse", description="a scan that lacks one: refuse all, drop the scan, or fill with 0 or the others' mean"
    )
    labels: dict[str, tuple[int, ...]] = Field({}, description="values of each class; {}: by name from dataset.json")
    written: dict[str, int] = Field(
        {}, description="value of each class in predicted label maps; {}: its first value that no later class has"
    )
    case_pattern: str | None = Field(
        None, description="regular expression; its first group in a scan's name is the case"
    )
    test: str = Field("imagesTs", description="folder of the test images, or a pattern as `image`")


class DicomDataset(Dataset):
    """Folders of DICOM series, of any depth; a scan is a series."""

    OUTSIDE_STORE: ClassVar[frozenset[str]] = Dataset.OUTSIDE_STORE | {"predictions"}

    reader: Literal["dicom"]
    spacing_mm: Literal["from_file", "unknown"] | Triple = "from_file"
    train: str = Field(".", description="folder of the training series, below the root")
    test: str = "test"
    case: str = Field("PatientID", description="the DICOM keyword, or a pattern of a file's path with {case}")
    kinds: tuple[str, ...] = Field(("CT", "MR", "PT", "CR", "DX", "MG", "US", "OT"), description="DICOM Modality taken")
    description: str | None = Field(None, description="regular expression that SeriesDescription must match")
    gaps: Literal["refuse", "allow"] = Field("refuse", description="what a series with missing slices is")
    masks: SeriesLabels | None = None
    predictions: Literal["nifti", "segmentation"] = Field("nifti", description="what predictions are written as")


class ImagesDataset(Dataset):
    """Grey or RGB images found by a pattern with named parts; each is a slice of a scan, or a scan of one slice."""

    reader: Literal["images"]
    image: str = Field(
        description="below the root, with {scan} and perhaps {case}, {slice}, {width}, {height}, "
        "{spacing_z}, {spacing_y}, {spacing_x}, or names of your own: `train/{case}_{view:\\d+}.jpg`"
    )
    test: str | None = Field(None, description="pattern of the test images; null: there are none")
    id: str | None = Field(
        None, description="a slice's id, made of the pattern's parts; null: `{scan}`, or `{scan}_{slice}`"
    )
    case: str | None = Field(None, description="a scan's case, made of the parts; null: `{case}`, else `{scan}`")
    colour: Literal["grey", "rgb"] = "grey"
    spacing_mm: Literal["unknown"] | tuple[float | Literal["from_name"], ...] = "unknown"
    masks: MasksConfig | None = None
    submission: RleForm | None = Field(None, description="null: as `masks` where that is RLE, else label images")
    sample_submission: str | None = None

    @model_validator(mode="after")
    def _three_axes(self) -> "ImagesDataset":
        if self.spacing_mm != "unknown" and len(self.spacing_mm) != 3:
            raise ValueError("spacing_mm is z, y, x: three entries, or the word `unknown`")
        return self


DatasetConfig = Annotated[
    UwmgiDataset | PhantomDataset | NiftiDataset | DicomDataset | ImagesDataset, Field(discriminator="reader")
]
