"""Which slices a montage shows, what its header and legend say, and that contours lie where the masks are."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.core import Grid, Scan, Triple, pack_masks
from casefold.report import montage
from casefold.report.montage import draw_montage, pick_slices


def made(
    shape: tuple[int, int, int] = (8, 20, 30),
    modalities: int = 1,
    masks: NDArray[np.bool_] | None = None,
    spacing_mm: Triple | None = None,
    kind: Any = np.uint8,
) -> Scan:
    image = np.zeros((modalities, *shape), kind)
    image[:, :, 5:15, 5:15] = 200
    names = tuple(str(z) for z in range(shape[0]))
    classes = tuple(f"c{index}" for index in range(0 if masks is None else len(masks)))
    packed = None if masks is None else pack_masks(masks)
    return Scan("case1", "case1_day0", image, Grid(shape, spacing_mm), classes, names, packed)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The pages that are drawn, before they are pixels."""
    pages: list[Any] = []
    real = montage._page

    def page(*words: Any) -> Any:
        pages.append(real(*words))
        return pages[-1]

    monkeypatch.setattr(montage, "_page", page)
    return pages


def titles(page: Any) -> list[str]:
    return [axes.get_title() for axes in page.axes]


@pytest.mark.parametrize(
    ("depth", "count", "picked"),
    [(10, 5, [1, 3, 5, 7, 9]), (3, 24, [0, 1, 2]), (1, 4, [0]), (9, 3, [1, 4, 7]), (7, 1, [3])],
)
def test_slices_are_evenly_spaced(depth: int, count: int, picked: list[int]) -> None:
    assert pick_slices(None, depth, count) == picked


def test_the_largest_slice_of_each_class_is_among_them() -> None:
    masks = np.zeros((3, 10, 4, 4), np.bool_)
    masks[0, 8, 0, 0] = True  # in place of 7 or 9, the first of the nearest
    masks[1, [0, 4], 0, 0] = masks[1, 4, 1, 1] = True  # in place of 3
    assert pick_slices(masks, 10, 5) == [1, 4, 5, 8, 9]
    assert pick_slices(masks, 10, 1) == [4, 8]  # one tile more rather than a class less


def test_header_and_legend(tmp_path: Path, drawn: list[Any]) -> None:
    masks = np.zeros((2, 8, 20, 30), np.bool_)
    masks[0, 2:4, 5:10, 5:10] = True
    draw_montage(made(masks=masks, spacing_mm=(3.0, 0.5, 0.25)), tmp_path / "a" / "b.png")
    assert drawn[0].texts[0].get_text().splitlines() == [
        "case case1   scan case1_day0",
        "8 x 20 x 30 voxels (z, y, x)   3 x 0.5 x 0.25 mm   uint8",
        "intensity   min 0             0.5 % 0           50 % 0            99.5 % 200        max 200",
    ]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == [
        "c0: 50 voxels, 18.8 mm³, on 2 of 8 slices",
        "c1: 0 voxels, 0 mm³, on 0 of 8 slices",
    ]
    assert titles(drawn[0]) == [f"z {z}" for z in range(8)] + [""] * 4
    assert cv2.imread(str(tmp_path / "a" / "b.png")) is not None


def test_without_labels_and_spacing(tmp_path: Path, drawn: list[Any]) -> None:
    draw_montage(made(), tmp_path / "x.png")
    lines = drawn[0].texts[0].get_text().splitlines()
    assert lines[1] == "8 x 20 x 30 voxels (z, y, x)   spacing unknown   uint8"
    assert lines[-1] == "no labels"
    assert drawn[0].legends == []


def test_modalities_are_rows_of_the_same_slices(tmp_path: Path, drawn: list[Any]) -> None:
    draw_montage(made(modalities=2), tmp_path / "x.png", columns=3, slices=12, modalities=("t1", "t2"))
    assert titles(drawn[0]) == [
        f"{name}  z {z}" for block in ((0, 2, 3), (4, 6, 7)) for name in ("t1", "t2") for z in block
    ]
    assert drawn[0].texts[0].get_text().splitlines()[2].startswith("t1   min 0 ")
    draw_montage(made(modalities=2), tmp_path / "x.png")
    assert titles(drawn[1])[0] == "modality 0  z 0"


def test_an_image_of_one_slice_is_drawn_without_and_with_contours(tmp_path: Path, drawn: list[Any]) -> None:
    masks = np.zeros((1, 1, 20, 30), np.bool_)
    masks[0, 0, 5:15, 5:15] = True
    draw_montage(made((1, 20, 30), 3, masks), tmp_path / "x.png", colour=True)
    plain, outlined = drawn[0].axes
    assert [len(axes.collections) for axes in (plain, outlined)] == [0, 1]
    assert plain.images[0].get_array().shape == (20, 30, 3)
    assert [line.split()[0] for line in drawn[0].texts[0].get_text().splitlines()[2:]] == ["R", "G", "B"]
    assert drawn[0].legends[0].get_texts()[0].get_text() == "c0: 100 voxels"


def test_a_contour_runs_round_its_mask_at_the_border_too(tmp_path: Path, drawn: list[Any]) -> None:
    masks = np.zeros((1, 1, 20, 30), np.bool_)
    masks[0, 0, 0:4, 26:30] = True
    draw_montage(made((1, 20, 30), 1, masks), tmp_path / "x.png")
    corners = drawn[0].axes[1].collections[0].get_paths()[0].vertices
    assert (corners.min(axis=0).tolist(), corners.max(axis=0).tolist()) == ([25.5, -0.5], [29.5, 3.5])
    assert drawn[0].axes[1].get_xlim() == (-0.5, 29.5)


def test_more_classes_than_colours_have_other_lines(tmp_path: Path, drawn: list[Any]) -> None:
    masks = np.zeros((9, 1, 20, 30), np.bool_)
    masks[:, 0, 5:9, 5:9] = True
    draw_montage(made((1, 20, 30), 1, masks), tmp_path / "x.png")
    looks = {(handle.get_color(), handle.get_linestyle()) for handle in drawn[0].legends[0].legend_handles}
    assert len(looks) == 9


@pytest.mark.parametrize("kind", [np.int16, np.float32, np.uint16])
def test_any_type_and_a_large_slice(tmp_path: Path, kind: Any) -> None:
    masks = np.zeros((1, 1, 1200, 1500), np.bool_)
    masks[0, 0, 100:900, 100:900] = True
    draw_montage(made((1, 1200, 1500), 1, masks, kind=kind), tmp_path / "x.png")
    picture = cv2.imread(str(tmp_path / "x.png"))
    orange = (np.abs(picture.astype(int) - (0, 159, 230)).sum(axis=2) < 30).any(axis=0)
    assert picture.shape[1] == 1254 and orange[627:].any() and not orange[100:620].any()


def test_a_constant_scan_can_be_drawn(tmp_path: Path) -> None:
    scan = made()
    scan.image[:] = 0
    draw_montage(scan, tmp_path / "x.png")
    assert (tmp_path / "x.png").is_file()
