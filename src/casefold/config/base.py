"""What every data set's schema shares: folds, filters, and the fields no reader can do without."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """The base of every part of a config: unknown words are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ONE_SOURCE = "groups come from `file` and `column`, or from `pattern`; give one of the two"
SLICE_COLUMNS = frozenset({"case", "scan", "z", "slice", "height", "width", "labelled"})


class CaseFolds(Strict):
    """Stratified group k-fold: whole cases, balanced by what their slices hold."""

    kind: Literal["case"] = "case"
    count: int = Field(5, ge=2)
    seed: int = 2022


class GroupFolds(Strict):
    """Cases of one group (a hospital, a car) stay together: groups by a CSV's column, or by the case's name."""

    file: str | None = Field(None, description="a CSV below the root with the columns `case` and `column`")
    column: str | None = None
    pattern: str | None = Field(None, description="regular expression; its first group in a case's name is the group")

    @model_validator(mode="after")
    def _at_most_one_source(self) -> "GroupFolds":
        if (self.file is None) != (self.column is None) or not (self.file is None or self.pattern is None):
            raise ValueError(ONE_SOURCE)
        return self


class GroupKFolds(GroupFolds):
    """Group k-fold: stratified as kind `case`, but by whole groups."""

    kind: Literal["group"]
    count: int = Field(5, ge=2)
    seed: int = 2022

    @model_validator(mode="after")
    def _one_source(self) -> "GroupKFolds":
        if self.file is None and self.pattern is None:
            raise ValueError(ONE_SOURCE)
        return self


class SharesFolds(GroupFolds):
    """Shares of the cases (of the groups, where some are given), shuffled by seed. One fold, held back: `validation`.

    `tune` wants at least two cases there. `test` neither trains nor validates; only `score --part test` and `report`
    read it.
    """

    kind: Literal["shares"]
    train: float = Field(0.5, gt=0, lt=1)
    validation: float = Field(0.2, gt=0, lt=1)
    test: float = Field(0.3, ge=0, lt=1)
    seed: int = 2022

    @model_validator(mode="after")
    def _whole(self) -> "SharesFolds":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            parts = f"train {self.train}, validation {self.validation} and test {self.test}"
            raise ValueError(f"{parts} should sum to 1, but sum to {total:g}")
        return self


class TimeFolds(Strict):
    """One fold: the last scan of each case is held back, the earlier ones train. Every score says "same case"."""

    kind: Literal["time"]


class GivenFolds(Strict):
    """A split that came with the data: a CSV below the root says of each case train, val or test.

    One fold, held back: `val`. `test` neither trains nor validates; only `score --part test` and `report` read it.
    """

    kind: Literal["given"]
    file: str
    case: str = Field("case", description="the column that names the case")
    column: str = Field("split", description="the column that says train, val or test")


class RootsFolds(Strict):
    """Learn on one set, be tested on others. One fold, held back: a share of the cases of `root`, shuffled by seed.

    Its other cases train. Cases that only `joined` roots have are the test part, which neither trains nor validates.
    """

    kind: Literal["roots"]
    validation: float = Field(0.2, gt=0, lt=1, description="of the cases of `root`")
    seed: int = 2022


FoldsConfig = Annotated[
    CaseFolds | GroupKFolds | TimeFolds | GivenFolds | SharesFolds | RootsFolds, Field(discriminator="kind")
]


class N4Filter(Strict):
    """N4 bias field correction (Tustison 2010), for MR; gives float32."""

    name: Literal["n4"]
    shrink: int = Field(4, ge=1, description="the field is fitted on every n-th voxel of a slice")
    iterations: tuple[int, ...] = Field((50, 50, 50), min_length=1, description="most iterations, a number a level")


class MedianFilter(Strict):
    """Median of a square of each slice, against salt-and-pepper noise; keeps the type."""

    name: Literal["median"]
    size_px: Literal[3, 5] = 3


class ClaheFilter(Strict):
    """Contrast-limited adaptive histogram equalisation of each slice; 8-bit and 16-bit images, keeps the type."""

    name: Literal["clahe"]
    clip: float = Field(2.0, gt=0)
    tiles: int = Field(8, ge=1, description="tiles along height and along width")


FilterConfig = Annotated[N4Filter | MedianFilter | ClaheFilter, Field(discriminator="name")]


class Dataset(Strict):
    """What every data set has. `root` is below CASEFOLD_DATA.

    `joined` are more roots there, laid out alike: their training scans are added, but for those whose name an earlier
    root has. Cases of the same name are one case, whichever roots their scans lie in.
    """

    OUTSIDE_STORE: ClassVar[frozenset[str]] = frozenset(
        {
            "root", "joined", "test", "drop_scans", "dropped_slices", "folds", "cache_gib", "sample_submission",
            "submission",
        }
    )  # fmt: skip

    root: str
    joined: tuple[str, ...] = ()
    classes: tuple[str, ...] = Field(min_length=1, max_length=64)
    drop_scans: tuple[str, ...] = ()
    dropped_slices: int | None = Field(None, ge=0, description="what drop_scans must remove; checked when given")
    filters: tuple[FilterConfig, ...] = Field((), description="applied to each scan as it is read, in this order")
    cache_gib: float = Field(0.5, ge=0, description="memory a training process may keep prepared arrays in; 0: none")
    folds: FoldsConfig = CaseFolds()

    @model_validator(mode="after")
    def _named_once(self) -> "Dataset":
        for field in ("classes", "drop_scans"):
            words = getattr(self, field)
            twice = sorted({word for word in words if words.count(word) > 1})
            if twice:
                raise ValueError(f"{field} names {twice} more than once")
        if len({self.root, *self.joined}) <= len(self.joined):
            raise ValueError(f"root and joined name a folder twice: {[self.root, *self.joined]}")
        if self.joined and self.drop_scans:
            raise ValueError("drop_scans is for one root; move the scans out of their folders, or join none")
        if isinstance(self.folds, RootsFolds) and not self.joined:
            raise ValueError("folds of kind roots test on what `joined` roots hold; name one there")
        taken = sorted(SLICE_COLUMNS.intersection(self.classes))
        if taken:
            raise ValueError(f"classes: {taken} are columns of the slice table; take other names")
        return self
