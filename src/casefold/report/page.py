"""The page: one HTML file that holds all it needs and fetches nothing."""

from collections.abc import Callable
from importlib.resources import files

from markupsafe import Markup

from casefold.report.content import Content
from casefold.report.sections.lost import lost
from casefold.report.sections.members import members
from casefold.report.sections.opening import head, opening
from casefold.report.sections.picks import picks
from casefold.report.sections.scores import scores
from casefold.report.sections.suspects import suspects
from casefold.report.sections.thresholds import thresholds
from casefold.report.sections.viewing import viewing

# id -> title and what draws it, in the page's order; one that draws nothing is left out, in the contents too
SECTIONS: dict[str, tuple[str, Callable[[Content], Markup]]] = {
    "score": ("The score, and what to do next", opening),
    "scores": ("Scores", scores),
    "lost": ("Where it is lost", lost),
    "viewer": ("Worst and best scans", viewing),
    "thresholds": ("Thresholds and gate", thresholds),
    "members": ("Members", members),
    "suspects": ("Suspect labels", suspects),
    "picks": ("The last two picks", picks),
}
SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<div class="layout">
<nav aria-label="contents"><details open><summary>Contents</summary><ol>{contents}</ol></details>
<button type="button" id="theme">Light or dark</button></nav>
<main>
{head}
{body}
</main>
</div>
<script>{js}</script>
</body>
</html>
"""


def page(content: Content) -> str:
    """The whole page as HTML."""
    drawn = {name: (title, draw(content)) for name, (title, draw) in SECTIONS.items()}
    drawn = {name: pair for name, pair in drawn.items() if pair[1]}
    return str(
        Markup(SHELL).format(
            title=f"{content.ensemble}: out-of-fold report",
            css=_asset("page.css") + _asset("viewer.css"),
            js=_asset("page.js") + _asset("viewer.js"),
            contents=Markup("").join(
                Markup('<li><a href="#{}">{}</a></li>').format(name, title) for name, (title, _) in drawn.items()
            ),
            head=head(content),
            body=Markup("\n").join(
                Markup('<section id="{}"><h2>{}</h2>{}</section>').format(name, title, body)
                for name, (title, body) in drawn.items()
            ),
        )
    )


def _asset(name: str) -> Markup:
    return Markup((files("casefold.report") / "assets" / name).read_text("utf-8"))
