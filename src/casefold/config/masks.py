"""How masks are written down: as RLE in a CSV, as image files, as polygons, or as DICOM segmentations."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from casefold.config.base import Strict


class RleForm(Strict):
    """How a CSV holds masks, for a truth and a submission alike. Read: blank, `-1` and (NaN) are an empty mask."""

    id: str = Field("id", description="the column that names the image")
    key: str = Field("{id}", description="what stands there; `{id}_{class}` where the class is part of it")
    class_column: str | None = Field("class", description="null: the class is in the key, or there is one class only")
    class_names: dict[str, str] = Field({}, description="what the file calls a class, where that is not its own name")
    rle: str = Field("segmentation", description="the column of runs")
    order: Literal["row", "column"] = Field("row", description="along rows (numpy's order) or down columns")
    base: Literal[0, 1] = Field(1, description="the number of the first pixel")
    starts: Literal["absolute", "relative"] = Field(
        "absolute", description="relative: each start is counted from the end of the run before (SIIM-ACR)"
    )
    empty: Literal["blank", "-1", "missing"] = Field(
        "blank", description="how an empty mask is written; `missing`: a labelled image's row may be absent"
    )
    instances: bool = Field(False, description="a row an object: several rows an image and class are one mask")

    @model_validator(mode="after")
    def _keys_fit(self) -> "RleForm":
        parts = re.findall(r"[{](.*?)[}]", self.key)
        if "id" not in parts or not set(parts) <= {"id", "class"} or len(set(parts)) < len(parts):
            raise ValueError(f"key: {self.key!r} should be made of {{id}} and perhaps {{class}}, each once")
        if "class" in parts and self.class_column is not None:
            raise ValueError(f"key: {self.key!r} holds the class, so there is no column of it: `class_column: null`")
        if len({self.id, self.class_column, self.rle}) < 3:
            raise ValueError(
                f"id, class_column and rle are three columns, not {[self.id, self.class_column, self.rle]}"
            )
        if len(set(self.class_names.values())) < len(self.class_names):
            raise ValueError(f"class_names: two classes have one name in {self.class_names}")
        return self


UWMGI_TRUTH = RleForm()
UWMGI_FORM = RleForm(rle="predicted")


class RleMasks(RleForm):
    """Masks as RLE in a CSV below the root."""

    kind: Literal["rle"]
    file: str = "train.csv"


class FileMasks(Strict):
    """Masks as image files: label images (`values`, `colours`), or one file a class (`{class}` in the pattern).

    In a file of one class mask is what is not 0; in a JPEG, which has no clean 0, what is 128 and more.
    """

    kind: Literal["files"]
    pattern: str = Field(description="below the root, with the image pattern's parts: `masks/{scan}_mask.gif`")
    class_names: dict[str, str] = Field({}, description="what {class} stands for, where that is not its own name")
    values: dict[str, Annotated[int, Field(ge=0, le=65535)]] = Field(
        {}, description="label of each class in a label image; {}: not 0, the one class"
    )
    background: tuple[int, ...] = Field((0,), description="labels that are no class")
    ignore: tuple[int, ...] = Field((), description="labels that no loss and no score may count (255 for void)")
    colours: dict[str, tuple[int, int, int]] = Field({}, description="RGB of each class in a coloured label image")
    missing: Literal["unlabelled", "empty"] = Field("unlabelled", description="what an image without a file is")


class PolygonMasks(Strict):
    """Masks as polygons in pixels: one COCO JSON, or one GeoJSON an image."""

    kind: Literal["polygons"]
    form: Literal["coco", "geojson"]
    file: str = Field(description="below the root; for geojson a pattern with the image pattern's parts")
    class_names: dict[str, str] = Field({}, description="what the file calls a class, where that is not its own name")


def check_masks(form: RleForm | FileMasks | PolygonMasks, classes: tuple[str, ...]) -> None:
    """Raise ValueError where a form does not say which class is which."""
    strange = sorted(set(form.class_names) - set(classes))
    if strange:
        raise ValueError(f"class_names: {strange} are no classes of {list(classes)}")
    if isinstance(form, RleForm) and form.class_column is None and "{class}" not in form.key and len(classes) > 1:
        raise ValueError("several classes want a `class_column`, or {class} in `key`")
    if isinstance(form, FileMasks):
        _check_files(form, classes)


def _check_files(form: FileMasks, classes: tuple[str, ...]) -> None:
    ways = {"{class} in `pattern`": "{class}" in form.pattern, "values": form.values, "colours": form.colours}
    chosen = [way for way, value in ways.items() if value]
    if len(chosen) > 1 or (not chosen and len(classes) > 1):
        raise ValueError(f"the classes come from one of {', '.join(ways)}; given are {chosen or 'none'}")
    for field, words in (("values", form.values), ("colours", form.colours)):
        if words and set(words) != set(classes):
            raise ValueError(f"{field}: one entry a class is wanted, for {list(classes)}, not for {list(words)}")
    taken = [*form.values.values(), *form.ignore, *(form.background if form.values else ())]
    if len(set(taken)) < len(taken) or len(set(form.colours.values())) < len(form.colours):
        raise ValueError("values, colours, background and ignore: a label or a colour stands twice")


MasksConfig = Annotated[RleMasks | FileMasks | PolygonMasks, Field(discriminator="kind")]


class NiftiLabels(Strict):
    """A label NIfTI a series, on the series' own grid."""

    kind: Literal["nifti"]
    pattern: str = Field(description="below the root, with {case}, {scan} or {series}: `labels/{scan}.nii.gz`")
    values: dict[str, int] = Field({}, description="label of each class; {}: 1, 2, ... in the order of `classes`")


class SegmentationLabels(Strict):
    """DICOM segmentation objects among the files, each found by the series it refers to."""

    kind: Literal["segmentation"]
    labels: dict[str, str] = Field({}, description="the SegmentLabel of each class, where that is not its own name")


class PngLabels(Strict):
    """A folder of PNGs a series, one a slice, in the order of their names from the first slice along z to the last."""

    kind: Literal["pngs"]
    pattern: str = Field(description="below the root: `masks/{scan}/*.png`; with {class}: one file a class")
    values: dict[str, int] = Field({}, description="label of each class; {}: not 0, the one class")


SeriesLabels = Annotated[NiftiLabels | SegmentationLabels | PngLabels, Field(discriminator="kind")]
