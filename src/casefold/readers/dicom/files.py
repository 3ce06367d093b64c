"""DICOM files by their headers: which are images, and of what; no pixel is read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from casefold.readers import Report
from casefold.readers.dicom.faults import in_one_line
from casefold.readers.dicom.frames import Frame, frames_of

HEADER = (
    "SOPClassUID SOPInstanceUID SeriesInstanceUID StudyDate SeriesNumber SeriesDescription InstanceNumber Modality "
    "ImageType Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation BitsAllocated "
    "ImagePositionPatient ImageOrientationPatient PixelSpacing RescaleSlope RescaleIntercept ModalityLUTSequence "
    "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence ReferencedSeriesSequence"
).split()
PREAMBLE = 128
# A data set without preamble starts with group 2 or 8, of either byte order.
BARE_STARTS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
SEGMENTATION = "SEG"


@dataclass(frozen=True)
class Image:
    """A DICOM file with pixels, as its header describes it; its frames carry file 0.

    refers_to: UIDs of the series and images that a segmentation was drawn on.
    """

    path: Path
    series: str
    sop: str
    kind: str
    case: str
    date: str
    number: str
    instance: int
    description: str
    localizer: bool
    rows: int
    columns: int
    channels: int
    bits: int
    photometric: str
    syntax: str
    frames: tuple[Frame, ...]
    refers_to: tuple[str, ...]


def read_headers(paths: Iterable[Path], keyword: str | None, report: Report) -> tuple[list[Image], dict[Path, str]]:
    """The images among files, and what each of the others is; `keyword` is the element that names the case.

    A DICOM file whose header can't be read is reported as unreadable and left out.
    """
    tags = [Tag(word) for word in (*HEADER, keyword) if word]
    images, others = list[Image](), dict[Path, str]()
    for path in paths:
        try:
            found = _read_header(path, tags, keyword)
        except Exception as e:  # pydicom raises anything at all on broken bytes
            message = f"{path} can't be read as DICOM, is it cut short? {in_one_line(e)}"
            report("unreadable", str(path), f"{message}; copy it again or move it away")
            continue
        if isinstance(found, str):
            others[path] = found
        else:
            images.append(found)
    return images, others


def _read_header(path: Path, tags: list[BaseTag], keyword: str | None) -> Image | str:
    with path.open("rb") as stream:
        start = stream.read(PREAMBLE + 4)
        if start[PREAMBLE:] != b"DICM" and start[:2] not in BARE_STARTS:
            return "not DICOM"
        stream.seek(0)
        dataset = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=tags)
        meta = getattr(dataset, "file_meta", Dataset())
        sop_class = dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or ""
        if not dataset.get("Rows") or not dataset.get("Columns"):
            return f"{UID(sop_class).name or 'DICOM of no class'}, without an image"
        return _image(path, dataset, str(meta.get("TransferSyntaxUID") or ""), keyword)


def _image(path: Path, dataset: Dataset, syntax: str, keyword: str | None) -> Image:
    kind = str(dataset.get("Modality") or "")
    number, photometric = dataset.get("SeriesNumber"), str(dataset.get("PhotometricInterpretation") or "")
    is_palette = photometric == "PALETTE COLOR"  # its tables give RGB, nearly always of 16 bits
    return Image(
        path=path,
        series=str(dataset.get("SeriesInstanceUID") or ""),
        sop=str(dataset.get("SOPInstanceUID") or ""),
        kind=kind,
        case=str(dataset.get(keyword) or "") if keyword else "",
        date=str(dataset.get("StudyDate") or ""),
        number="" if number is None else str(number),
        instance=int(dataset.get("InstanceNumber") or 0),
        description=str(dataset.get("SeriesDescription") or ""),
        localizer="LOCALIZER" in (dataset.get("ImageType") or ()),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        channels=3 if is_palette else int(dataset.get("SamplesPerPixel") or 1),
        bits=16 if is_palette else int(dataset.get("BitsAllocated") or 0),
        photometric=photometric,
        syntax=syntax,
        frames=() if kind == SEGMENTATION else tuple(frames_of(dataset)),
        refers_to=tuple(_referred(dataset)) if kind == SEGMENTATION else (),
    )


def _referred(dataset: Dataset) -> Iterator[str]:
    for series in dataset.get("ReferencedSeriesSequence") or ():
        yield str(series.SeriesInstanceUID)
        for image in series.get("ReferencedInstanceSequence") or ():
            yield str(image.ReferencedSOPInstanceUID)
