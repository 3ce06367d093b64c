"""What the page is, what to beware of, the score, and what to do next."""

import math

from markupsafe import Markup

from casefold.report.advice import advice
from casefold.report.content import Content, Estimate
from casefold.report.table import interval, note, number, words


def head(content: Content) -> Markup:
    """The title and the line below it."""
    words = [
        f"data set {content.dataset}",
        f"{content.scans} scans of {content.cases} cases",
        f"{'class' if len(content.classes) == 1 else 'classes'} {', '.join(content.classes)}",
        f"{'fold' if len(content.folds) == 1 else 'folds'} {', '.join(map(str, content.folds))}",
        f"members {', '.join(content.members_used)}",
        content.made,
    ]
    return Markup('<header><h1>{}: out-of-fold report</h1><p class="soft">{}</p></header>').format(
        content.ensemble, " · ".join(words)
    )


def opening(content: Content) -> Markup:
    """Every prediction here was made by models that had not seen the case."""
    return Markup("{}{}{}{}").format(
        note(
            f"How good the ensemble {content.ensemble} is, where it loses, and what to do next. Each scan was",
            "predicted by models that had not seen its case.",
        ),
        _warnings(content),
        _headline(content),
        _advice(content),
    )


def _warnings(content: Content) -> Markup:
    if not content.warnings:
        return Markup("")
    lines = Markup("").join(note(line) for line in content.warnings)
    return Markup('<div class="warning" role="note">{}</div>').format(lines)


def _headline(content: Content) -> Markup:
    headline = content.headline
    cards = (
        (
            "Cross-fitted",
            headline.cross_fitted,
            "tuned on the other cases, scored on these: what to expect of new cases",
        ),
        ("Tuned on itself", headline.tuned, "tuned and scored on the same cases: too good by nature"),
    )
    return Markup('<div class="cards">{}</div>').format(
        Markup("").join(_card(headline.metric, *card) for card in cards)
    )


def _card(metric: str, name: str, score: Estimate, told: str) -> Markup:
    ends = Markup("")
    if not math.isnan(score.low):
        ends = Markup("<span>95 % interval {}</span>").format(interval(score.low, score.high))
    return Markup(
        '<div class="card"><span class="name">{}</span><span>{}</span><strong>{}</strong>{}<span>{}</span></div>'
    ).format(name, metric, number("", score.value), ends, told)


def _advice(content: Content) -> Markup:
    lines = [
        Markup("<li><strong>{}</strong> {}{}</li>").format(
            one.lead,
            words(one.text),
            Markup(' <a href="#{}">See there.</a>').format(one.section) if one.section else "",
        )
        for one in advice(content)
    ]
    body = Markup('<ol class="advice">{}</ol>').format(Markup("").join(lines)) if lines else note("Nothing stands out.")
    return Markup("<h3>What to do next</h3>{}").format(body)
