"""The whole page: its sections, what it never fetches, names that are no markup, its size."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

import toy_page
from casefold.report.content import Content, Curves, Losses, Members, Picks, Scores, Suspects
from casefold.report.page import SECTIONS, page
from casefold.report.viewer import Packed

VOID = {"meta", "link", "input", "br", "path", "use"}
BAD = "</script><b>&\"'`x`"


class Tree(HTMLParser):
    """Ids, hrefs and addresses of a page; raises ValueError where a tag is closed that isn't open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._note(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(attrs)

    def _note(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            elif name == "href" and str(value).startswith("#"):
                self.links.append(str(value)[1:])
            elif name in ("href", "src", "xlink:href") and not str(value).startswith("#"):
                self.addresses.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self.open.pop() != tag:
            raise ValueError(f"{tag} is closed out of turn")


@pytest.fixture(scope="module")
def content() -> Content:
    return toy_page.content()


@pytest.fixture(scope="module")
def whole(content: Content) -> str:
    return page(content)


def test_every_section_stands_in_order_and_in_the_contents(whole: str) -> None:
    assert re.findall(r'<section id="(\w+)">', whole) == list(SECTIONS)
    assert re.findall(r'<li><a href="#(\w+)">', whole) == list(SECTIONS)


def test_the_page_is_well_formed_its_ids_its_own_and_its_links_lead_somewhere(whole: str) -> None:
    tree = Tree(whole)
    assert tree.open == []
    assert [name for name in set(tree.ids) if tree.ids.count(name) > 1] == []
    assert set(tree.links) - set(tree.ids) == set()


def test_nothing_is_fetched(whole: str) -> None:
    assert Tree(whole).addresses == ["data:,"]
    assert re.findall(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|WebSocket", whole) == []


def test_the_opening_warns_scores_and_advises(whole: str) -> None:
    opening = whole[whole.index('<section id="score">') : whole.index('<section id="scores">')]
    places = [
        opening.index(text)
        for text in ("Folds 3 and 4", "0.788", "0.741 to 0.829", "0.803", "Most is lost to boundary")
    ]
    assert places == sorted(places)


def test_the_page_is_the_same_for_the_same_content(content: Content, whole: str) -> None:
    assert page(content) == whole


def test_a_page_that_holds_only_its_headline_has_one_section(content: Content) -> None:
    bare = Content(
        "e", "d", ("a",), ("m",), 1, 1, (0,), "today", content.headline,
        scores=Scores(), losses=Losses(), curves=Curves(), members=Members(), suspects=Suspects(), picks=Picks(),
    )  # fmt: skip
    made = page(bare)
    assert re.findall(r'<section id="(\w+)">', made) == ["score"]
    assert set(Tree(made).links) - set(Tree(made).ids) == set()
    assert "warning" not in made[made.index("<body>") :]


def test_names_are_never_markup(content: Content) -> None:
    frame = pd.DataFrame({"case": [BAD], "scan": [BAD], "score": [0.5]})
    ways = pd.DataFrame({"what": [BAD], "kind": ["member"], "score": [0.5], "low": [0.4], "high": [0.6]})
    sweep = pd.DataFrame({"class": [BAD] * 2, "level": [1, 2], "score": [0.1, 0.2]})
    given = Content(
        BAD, BAD, (BAD,), (BAD,), 1, 1, (0,), BAD, content.headline, warnings=(BAD,),
        scores=Scores(ways=ways, by_scan=frame), curves=Curves(sweeps=sweep),
        picks=Picks(why=(BAD,), candidates=ways.assign(candidate=BAD)),
        viewer=(Packed(BAD, BAD, 0.5, '{"scan":"</script><b>"}'),),
    )  # fmt: skip
    made = page(given)
    assert "<b>" not in made
    assert made.count("</script>") == 2  # the scan's data and the page's own
    assert Tree(made).open == []


def test_the_toy_page_is_small(whole: str) -> None:
    assert len(whole.encode()) < 1_500_000
