"""Plots as inline SVG whose colours follow the page, light or dark."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from casefold.report.figures import COLOURS

INK, FAINT = "#010203", "#040506"  # stand for the page's own colours, which only its style sheet knows
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "casefold",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
LINES = ("-", "--", ":", "-.")  # the colours are told apart by their line as well, in grey print


def plot(name: str, told: str, draw: Callable[[Axes], None], size: tuple[float, float] = (4.6, 3.1)) -> Markup:
    """A figure of one plot. name: of letters, its own on the page; told: the caption. size: inches, of 96 px."""
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Markup('<figure style="max-width:{:.0f}px">{}<figcaption>{}</figcaption></figure>').format(
        96 * size[0], _inline(stream.getvalue(), name, told), told
    )


def colour(index: int) -> str:
    """The colour of a class or member; they come round again."""
    return COLOURS[index % len(COLOURS)]


def line(index: int) -> str:
    """The line of a class or member."""
    return LINES[index % len(LINES)]


def names_below(axes: Axes, count: int) -> None:
    """A legend under the plot, which hides nothing in it; none where there is only one line to name."""
    if count > 1:
        axes.figure.legend(loc="outside lower center", ncols=min(count, 3))


def plain_numbers(*lines: Axis) -> None:
    """Write a logarithmic axis' numbers as 200, 5k, 1M, whatever it spans."""
    for one in lines:
        one.set_major_locator(LogLocator(subs=(1, 2, 5)))
        one.set_major_formatter(EngFormatter(sep=""))
        one.set_minor_formatter(NullFormatter())


def _inline(text: str, name: str, told: str) -> Markup:
    """The <svg> alone, its ids its own, its colours the page's."""
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    viewbox = _first(r'viewBox="([^"]+)"', body)
    opening = Markup('<svg viewBox="{}" role="img" aria-label="{}">').format(viewbox, told)
    body = re.sub(r"<svg[^>]*>", lambda _: str(opening), body, count=1)
    variables: Sequence[tuple[str, str]] = [(INK, "var(--ink)"), (FAINT, "var(--faint)")]
    variables = [*variables, *((code, f"var(--c{index})") for index, code in enumerate(COLOURS))]
    for code, variable in variables:
        body = re.sub(code, variable, body, flags=re.IGNORECASE)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--sans)", body)
    return Markup(re.sub(r"\n\s*", "\n", body))


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return "" if found is None else found.group(1)
