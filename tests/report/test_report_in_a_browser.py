"""The page in headless Chromium: the viewer is driven as a reader would, and the console stays quiet."""

import json
from typing import Any

import numpy as np
import pytest

import toy_page
from browser import drive
from casefold.metrics.overlap import overlap_by_slice
from casefold.report.page import page
from casefold.report.viewer import runs

MASKS = [
    np.zeros((5, 7), bool),
    np.ones((5, 7), bool),
    np.random.default_rng(0).random((40, 300)) < 0.02,
    np.random.default_rng(1).random((40, 300)) < 0.5,
    np.arange(40_000).reshape(200, 200) % 20_001 == 20_000,
]
STEPS = """  told.scans = [...part("scan").options].map((option) => option.textContent);
  told.sources = [...part("source").options].map((option) => option.value);
  told.slid = await after(() => choose("slice", told.start.slice - 2, "input"));
  told.back = await after(() => choose("slice", told.start.slice, "input"));
  told.member = await after(() => choose("source", told.sources[2], "change"));
  told.ensemble = await after(() => choose("source", told.sources[0], "change"));
  const ticks = box.querySelectorAll(".viewer-class");
  told.without = await after(() => ticks[0].click());
  told.withit = await after(() => ticks[0].click());
  for (const name of ["truth", "found", "errors"]) {
    told[name] = await after(() => part(name).click());
    told[`${name}Back`] = await after(() => part(name).click());
  }
  told.right = await after(() => press("ArrowRight"));
  told.left = await after(() => press("ArrowLeft"));
  told.down = await after(() => press("ArrowDown"));
  told.up = await after(() => press("ArrowUp"));
  told.m = await after(() => press("m"));
  told.mOn = await after(() => press("m"));
  told.one = await after(() => press("1"));
  told.ticked = [...ticks].map((tick) => tick.checked);
  await after(() => press("1"));
  const link = document.querySelector("#suspects a[data-z]");
  told.link = [link.dataset.scan, link.dataset.z];
  told.linked = await after(() => link.click());
  told.linkedTo = part("scan").selectedOptions[0].textContent;
  choose("scan", 0, "change");
  told.counts = [];
  for (let slice = 0; slice <= Number(part("slice").max); slice += 1) {
    const at = await after(() => choose("slice", slice, "input"));
    told.counts.push([at.place, at.rows]);
  }
  told.decoded = MASKS.map(([text, size]) => {
    const mask = casefold.decode(text, size);
    return [mask.length, [...mask.keys()].filter((place) => mask[place])];
  });
  const table = document.querySelector("#scores .table table");
  const column = (index) => [...table.tBodies[0].rows].map((row) => row.cells[index].textContent);
  table.tHead.rows[0].cells[2].firstChild.click();
  told.down0 = column(2);
  table.tHead.rows[0].cells[2].firstChild.click();
  told.up0 = column(2);
  const folded = document.querySelector(".unfold");
  const rows = folded.closest(".table").querySelectorAll("tr.more");
  told.folded = [rows[0].offsetHeight > 0, (folded.click(), rows[0].offsetHeight > 0)];
  const paper = () => getComputedStyle(document.body).backgroundColor;
  const theme = document.getElementById("theme");
  told.theme = [paper(), (theme.click(), paper()), (theme.click(), paper())];
  told.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
"""


@pytest.fixture(scope="module")
def content() -> Any:
    return toy_page.content()


@pytest.fixture(scope="module")
def told(content: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the driver saw, and what the console said."""
    masks = json.dumps([[runs(mask), mask.size] for mask in MASKS])
    folder = tmp_path_factory.mktemp("page")
    return drive(page(content), STEPS.replace("MASKS", masks), folder / "page.html")


@pytest.mark.long
def test_the_console_stays_quiet(told: dict[str, Any]) -> None:
    assert told["faults"] == []
    assert told["console"] == []


@pytest.mark.long
def test_scans_and_members_are_offered(told: dict[str, Any], content: Any) -> None:
    assert told["scans"] == [f"{packed.scan} · {packed.score:.3f}" for packed in content.viewer]
    assert told["sources"] == ["ensemble", "seg25d_lite0", "seg3d_unet"]


@pytest.mark.long
def test_the_slider_moves_through_the_slices(told: dict[str, Any]) -> None:
    start, slid, back = told["start"], told["slid"], told["back"]
    assert slid["slice"] == start["slice"] - 2
    assert slid["place"] != start["place"]
    assert slid["pixels"] != start["pixels"]
    assert back == start


@pytest.mark.long
def test_the_member_picker_changes_masks_and_numbers(told: dict[str, Any]) -> None:
    start, member = told["start"], told["member"]
    assert (member["source"], member["place"]) == ("seg3d_unet", start["place"])
    assert member["pixels"] != start["pixels"]
    assert [row[1] for row in member["rows"]] == [row[1] for row in start["rows"]]
    assert [row[2] for row in member["rows"]] != [row[2] for row in start["rows"]]
    assert told["ensemble"] == start


@pytest.mark.long
@pytest.mark.parametrize(
    ("off", "on"),
    [("without", "withit"), ("truth", "truthBack"), ("found", "foundBack"), ("errors", "errorsBack")],
)
def test_each_toggle_changes_the_picture_and_back(told: dict[str, Any], off: str, on: str) -> None:
    assert told[off]["pixels"] != told["start"]["pixels"]
    assert told[on] == told["start"]


@pytest.mark.long
def test_the_keys_step_through_slices_scans_members_and_classes(told: dict[str, Any]) -> None:
    start = told["start"]
    assert (told["right"]["slice"], told["left"]["slice"]) == (start["slice"] + 1, start["slice"])
    assert (told["down"]["scan"], told["up"]["scan"]) == ("1", "0")
    assert (told["m"]["source"], told["mOn"]["source"]) == ("seg25d_lite0", "seg3d_unet")
    assert told["ticked"] == [False, True, True]
    assert told["one"]["pixels"] != told["mOn"]["pixels"]


@pytest.mark.long
def test_a_link_in_a_table_opens_its_slice(told: dict[str, Any]) -> None:
    scan, z = told["link"]
    assert told["linkedTo"].startswith(scan)
    assert told["linked"]["place"] == f"z {z} (0 to 27)"


@pytest.mark.long
def test_every_slice_shows_the_masks_that_went_in(told: dict[str, Any], content: Any) -> None:
    held, scans = json.loads(content.viewer[0].text), toy_page.scans()
    seed = [one.name for one in scans].index(held["scan"])
    scan = scans[seed]
    found = toy_page.found_in(scan.class_masks(), 1 + 10 * seed)  # `source` is still seg3d_unet
    counts = overlap_by_slice(scan.class_masks(), found)
    wanted = [
        [f"z {one['z']} (0 to 27)", [[str(count[one["z"], 1]), str(count[one["z"], 2])] for count in counts]]
        for one in held["slices"]
    ]
    assert [[place, [row[1:3] for row in rows]] for place, rows in told["counts"]] == wanted


@pytest.mark.long
def test_runs_read_back_in_the_browser_are_the_masks(told: dict[str, Any]) -> None:
    assert told["decoded"] == [[mask.size, np.flatnonzero(mask).tolist()] for mask in MASKS]


@pytest.mark.long
def test_a_table_sorts_by_its_heads_and_unfolds(told: dict[str, Any]) -> None:
    assert told["down0"] == ["0.788", "0.784", "0.781", "0.779", "0.705", "0.702"]
    assert told["up0"] == told["down0"][::-1]
    assert told["folded"] == [False, True]


@pytest.mark.long
def test_the_theme_turns_and_nothing_is_wider_than_the_page(told: dict[str, Any]) -> None:
    assert told["theme"] == ["rgb(255, 255, 255)", "rgb(21, 24, 28)", "rgb(255, 255, 255)"]
    assert told["wide"] == 0
