"""Schema of a detector: what `data.crop: {name: detector}` of other members cuts scans by."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from casefold.config.base import Strict
from casefold.config.inputs import BodyCrop, MinmaxNormalize, PercentileNormalize, WindowNormalize

COLOURS = (1, 3)


class MaskTarget(Strict):
    """Boxes round what is labelled on a slice: one round all classes, or one round each."""

    name: Literal["masks"] = "masks"
    by: Literal["union", "class"] = "union"


class DetectData(Strict):
    """Pictures of 8 bits: the slices at these offsets, past the ends the end again, of these modalities.

    Together they are the three colours, or the one, of a picture.
    """

    window: tuple[int, ...] = Field((-1, 0, 1), min_length=1)
    modalities: tuple[int, ...] | None = Field(None, min_length=1, description="counted from 0; null: every one")
    every: int = Field(1, ge=1, description="every n-th slice of a scan is looked at, in training and afterwards")
    empty_share: float = Field(0.2, ge=0, le=1, description="of the slices without a box so many train, evenly spread")
    size: int = Field(320, ge=32, multiple_of=32, description="of the longer side, as the network sees it")
    normalize: Annotated[
        PercentileNormalize | MinmaxNormalize | WindowNormalize, Field(discriminator="name")
    ] = PercentileNormalize()  # fmt: skip

    @model_validator(mode="after")
    def _colours(self) -> "DetectData":
        if self.modalities is not None and len(self.window) * len(self.modalities) not in COLOURS:
            raise ValueError(
                f"a picture has 1 colour or 3; {len(self.window)} slices of {len(self.modalities)} modalities make "
                f"{len(self.window) * len(self.modalities)}"
            )
        return self


class Yolo(Strict):
    """One of ultralytics' YOLOs (AGPL-3.0), built from its YAML, with random weights but for `pretrained`."""

    family: Literal["yolov5", "yolov8", "yolo11", "yolo26"] = "yolo11"
    scale: Literal["n", "s", "m", "l", "x"] = "n"
    pretrained: str | None = Field(None, description="ultralytics' .pt file below CASEFOLD_DATA; nothing is downloaded")
    seen: tuple[str, ...] = Field((), description="cases of this data set that the file's weights learnt from")


class DetectTrain(Strict):
    """What ultralytics' trainer is told; the rest stands as its own defaults have it. The last average is kept.

    Pictures are mixed to mosaics but for the last epochs, a fifth of all.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(16, ge=1)
    optimizer: Literal["AdamW", "Adam", "SGD"] = "AdamW"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    mosaic: float = Field(1.0, ge=0, le=1, description="share of the pictures that are put together of four")
    flip_x: float = Field(0.5, ge=0, le=1, description="share of the pictures that are mirrored left to right")
    flip_y: float = Field(0.0, ge=0, le=1, description="share that is turned upside down")
    zoom: float = Field(0.5, ge=0, lt=1, description="pictures are scaled by 1 - zoom to 1 + zoom")
    shift: float = Field(0.1, ge=0, lt=1, description="share of a picture's side by which it is shifted at most")
    seed: int = Field(0, ge=0)


class Find(Strict):
    """From the boxes of slices to the one of a scan.

    Boxes that lie upon one another on neighbouring slices are a chain; one that reaches over fewer than `min_slices`
    slices (over all of them, in a scan of fewer) is taken for an error; the scan's box holds all other chains, and a
    margin on each side. A scan in which nothing is found stays whole.
    """

    confidence: float = Field(0.25, gt=0, lt=1)
    overlap: float = Field(0.7, gt=0, lt=1, description="of two boxes on a slice that lie closer the weaker one goes")
    min_slices: int = Field(2, ge=1, description="of the slices looked at")
    margin: float = Field(0.1, ge=0, description="share of the box's height and width")
    batch_size: int = Field(16, ge=1)


class Detect(Strict):
    """A detector, `configs/detect/<name>.yaml`; no member of an ensemble: members that crop by it name it.

    It is trained before them, fold by fold, and what it saw, they saw.
    """

    kind: Literal["detect"]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    target: Annotated[MaskTarget | BodyCrop, Field(discriminator="name")] = MaskTarget()
    data: DetectData = DetectData()
    model: Yolo = Yolo()
    train: DetectTrain
    find: Find = Find()
