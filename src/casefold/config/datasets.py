"""Schema of a data set: where the raw files are and how to read and fold them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from casefold.core import Triple


class Strict(BaseModel):
    """The base of every part of a config: unknown words are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SLICE_COLUMNS = frozenset({"case", "scan", "z", "slice", "height", "width", "labelled"})


class CaseFolds(Strict):
    """Stratified group k-fold: whole cases, balanced by what their slices hold."""

    kind: Literal["case"] = "case"
    count: int = Field(5, ge=2)
    seed: int = 2022


class GroupFolds(Strict):
    """Group k-fold by a column of a CSV (`case` and that column): all cases of a group (a hospital, say) together."""

    kind: Literal["group"]
    file: str
    column: str
    count: int = Field(5, ge=2)
    seed: int = 2022


class TimeFolds(Strict):
    """One fold: the last scan of each case is held back, the earlier ones train. Every score says "same case"."""

    kind: Literal["time"]


FoldsConfig = Annotated[CaseFolds | GroupFolds | TimeFolds, Field(discriminator="kind")]


class Dataset(Strict):
    """What every data set has. `root` is below CASEFOLD_DATA."""

    root: str
    classes: tuple[str, ...] = Field(min_length=1, max_length=64)
    drop_scans: tuple[str, ...] = ()
    dropped_slices: int | None = Field(None, ge=0, description="what drop_scans must remove; checked when given")
    folds: FoldsConfig = CaseFolds()

    @model_validator(mode="after")
    def _named_once(self) -> "Dataset":
        for field in ("classes", "drop_scans"):
            words = getattr(self, field)
            twice = sorted({word for word in words if words.count(word) > 1})
            if twice:
                raise ValueError(f"{field} names {twice} more than once")
        taken = sorted(SLICE_COLUMNS.intersection(self.classes))
        if taken:
            raise ValueError(f"classes: {taken} are columns of the slice table; take other names")
        return self


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
    """Medical Segmentation Decathlon layout: `dataset.json`, imagesTr, labelsTr, imagesTs; exclusive labels."""

    reader: Literal["nifti"]
    spacing_mm: Literal["from_file", "unknown"] | Triple = "from_file"
    case_pattern: str | None = Field(
        None, description="regular expression; its first group in a scan's name is the case"
    )
    test: str = "imagesTs"


DatasetConfig = Annotated[UwmgiDataset | PhantomDataset | NiftiDataset, Field(discriminator="reader")]
