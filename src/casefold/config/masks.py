"""How masks are written down: as RLE in a CSV, as image files, as polygons, or as DICOM segmentations."""

from typing import Annotated, Literal

from pydantic import Field

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


class RleMasks(RleForm):
    """Masks as RLE in a CSV below the root."""

    kind: Literal["rle"]
    file: str = "train.csv"


class FileMasks(Strict):
    """Masks as image files: label images (`values`), or one file a class (`{class}` in the pattern; not 0 is mask)."""

    kind: Literal["files"]
    pattern: str = Field(description="below the root, with the image pattern's parts: `masks/{scan}_mask.gif`")
    values: dict[str, int] = Field({}, description="label of each class in a label image; {}: not 0, the one class")
    colours: dict[str, tuple[int, int, int]] = Field({}, description="RGB of each class in a coloured label image")
    missing: Literal["unlabelled", "empty"] = Field("unlabelled", description="what an image without a file is")


class PolygonMasks(Strict):
    """Masks as polygons in pixels: one COCO JSON, or one GeoJSON an image."""

    kind: Literal["polygons"]
    form: Literal["coco", "geojson"]
    file: str = Field(description="below the root; for geojson a pattern with the image pattern's parts")
    class_names: dict[str, str] = Field({}, description="what the file calls a class, where that is not its own name")


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
