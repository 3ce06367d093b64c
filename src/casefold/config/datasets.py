"""Schema of a data set: where the raw files are and how to read and fold them."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from casefold.config.base import Dataset
from casefold.config.labels import written_values
from casefold.config.masks import MasksConfig, RleForm, RleMasks, SeriesLabels, check_masks
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
    labels: dict[str, Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]] = Field(
        {}, description="values of each class; {}: by name from dataset.json"
    )
    other_values: Literal["refuse", "background"] = Field(
        "refuse", description="values of the label maps that neither `labels` nor dataset.json knows"
    )
    written: dict[str, Annotated[int, Field(ge=1, le=65535)]] = Field(
        {}, description="value of each class in predicted label maps; {}: its first value that no later class has"
    )
    case_pattern: str | None = Field(
        None, description="regular expression; its first group in a scan's name is the case"
    )
    test: str = Field(
        "imagesTs", description="folder of the test images, laid out as `image` says or side by side; or a pattern"
    )

    @property
    def file_a_modality(self) -> bool:
        """Whether each modality of a scan is a file of its own."""
        return "modality" in _parts(self.image)

    @property
    def test_is_pattern(self) -> bool:
        """Whether `test` is a pattern, not a folder."""
        return any(sign in self.test for sign in "{*?")

    @model_validator(mode="after")
    def _patterns_fit(self) -> "NiftiDataset":
        image, label, test = _parts(self.image), _parts(self.label), _parts(self.test)
        name = "scan" if "scan" in image else "case"
        if self.image is None and (self.label is not None or self.test_is_pattern):
            raise ValueError("`label`, and a pattern in `test`, go with a pattern in `image`; give that too")
        if self.image is not None and name not in image:
            raise ValueError(f"image: {self.image!r} should hold {{scan}} or {{case}}, which name the scan")
        if "modality" in image and not self.modalities:
            raise ValueError("modalities: {modality} in `image` wants their names, as [t1, t1ce, t2, flair]")
        if "modality" not in image and self.missing_modality != "refuse":
            raise ValueError("missing_modality is for a file a modality: give `image` with {modality}")
        if self.label is not None and (name not in label or "modality" in label):
            raise ValueError(f"label: {self.label!r} should hold {{{name}}} as `image` does, and no {{modality}}")
        if self.label is not None and not self.labels:
            raise ValueError("labels: `label` is a pattern, so give each class its values, as {whole: [1, 2, 4]}")
        if self.test_is_pattern and (name not in test or ("modality" in test) != ("modality" in image)):
            raise ValueError(f"test: {self.test!r} should name scans and modalities by the same parts as `image`")
        return self

    @model_validator(mode="after")
    def _words_fit(self) -> "NiftiDataset":
        for field, words in (("labels", self.labels), ("written", self.written)):
            if words and set(words) != set(self.classes):
                unknown, absent = sorted(set(words) - set(self.classes)), sorted(set(self.classes) - set(words))
                raise ValueError(f"{field}: wanted one entry a class; unknown: {unknown}, absent: {absent}")
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError(f"modalities: a name stands twice in {list(self.modalities)}")
        if self.labels:
            written_values({name: self.labels[name] for name in self.classes}, self.written)
        return self

    @model_validator(mode="after")
    def _one_case(self) -> "NiftiDataset":
        if self.case_pattern is None:
            return self
        if "case" in _parts(self.image):
            raise ValueError("case_pattern: the case is {case} in `image` already; keep one")
        try:
            groups = re.compile(self.case_pattern).groups
        except re.error as e:
            raise ValueError(f"case_pattern: {self.case_pattern!r} is no regular expression: {e}") from e
        if groups == 0:
            raise ValueError(f"case_pattern: {self.case_pattern!r} has no group; its first group is the case")
        return self


def _parts(pattern: str | None) -> set[str]:
    """The names of a pattern's parts; empty for a plain path, and for none."""
    return set(re.findall(r"\{(\w+)[:}]", pattern or ""))


class DicomDataset(Dataset):
    """Folders of DICOM series, of any depth; a scan is a series, but of CR, DX, MG, US, XA, RF and OT a single file."""

    OUTSIDE_STORE: ClassVar[frozenset[str]] = Dataset.OUTSIDE_STORE | {"predictions"}

    reader: Literal["dicom"]
    spacing_mm: Literal["from_file", "unknown"] | Triple = "from_file"
    train: str = Field(".", description="folder of the training series, below the root")
    test: str = "test"
    case: str = Field(
        "PatientID", description="a DICOM keyword, or a pattern with {case} of a file's path below the folder read"
    )
    kinds: tuple[str, ...] = Field(("CT", "MR", "PT", "CR", "DX", "MG", "US", "OT"), description="DICOM Modality taken")
    description: str | None = Field(None, description="regular expression that SeriesDescription must match")
    gaps: Literal["refuse", "allow"] = Field("refuse", description="what a series with missing slices is")
    masks: SeriesLabels | None = None
    predictions: Literal["nifti", "segmentation"] = Field("nifti", description="what predictions are written as")

    @model_validator(mode="after")
    def _words_fit(self) -> "DicomDataset":
        if self.masks is not None and self.masks.kind != "segmentation":
            values, parts = self.masks.values, _parts(self.masks.pattern)
            own = set(values.values())
            if values and (set(values) != set(self.classes) or len(own) < len(values) or min(own) < 1):
                wanted = f"a value of its own, above 0, for each of {list(self.classes)}"
                raise ValueError(f"masks.values: {wanted}; came {values}")
            if not parts & {"case", "scan", "series"}:
                raise ValueError(f"masks.pattern: {self.masks.pattern!r} should hold {{scan}}, {{case}} or {{series}}")
            mixed = bool(values) if "class" in parts else not values and len(self.classes) > 1
            if self.masks.kind == "pngs" and mixed:
                raise ValueError("masks: PNGs want {class} in `pattern` or, for label images, `values`; one of the two")
        try:
            re.compile(self.description or "")
        except re.error as e:
            raise ValueError(f"description: {self.description!r} is no regular expression: {e}") from e
        return self


class ImagesDataset(Dataset):
    """Grey or RGB images found by a pattern with named parts; each is a slice of a scan, or a scan of one slice."""

    reader: Literal["images"]
    image: str = Field(
        description="below the root, with {scan} and perhaps {case}, {slice}, {width}, {height}, "
        "{spacing_z}, {spacing_y}, {spacing_x}, or names of your own: `train/{case}_{view:\\d+}.jpg`; without {scan} "
        "all names make the scan's, `CASE_VIEW`"
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

    @model_validator(mode="after")
    def _masks_fit(self) -> "ImagesDataset":
        for field, form in (("masks", self.masks), ("submission", self.submission)):
            try:
                if form is not None:
                    check_masks(form, self.classes)
            except ValueError as e:
                raise ValueError(f"{field}: {e}") from e
        if self.sample_submission is not None and self.submission is None and not isinstance(self.masks, RleMasks):
            raise ValueError("sample_submission goes with a CSV; say in `submission` how it is written")
        return self


DatasetConfig = Annotated[
    UwmgiDataset | PhantomDataset | NiftiDataset | DicomDataset | ImagesDataset, Field(discriminator="reader")
]
