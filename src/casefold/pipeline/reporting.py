"""report: one pass over verified OOF, then a page that says how good the ensemble is, where it loses, what to do."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from casefold import __version__
from casefold.core import ConfigError, DataError
from casefold.files import write_text
from casefold.leaderboard import book_frame, read_book
from casefold.models.weights import read_info
from casefold.pipeline.booking import BOOK
from casefold.pipeline.project import Project
from casefold.pipeline.report_findings import curves, losses, picks, suspects
from casefold.pipeline.report_members import members
from casefold.pipeline.report_pass import Looked, look
from casefold.pipeline.report_scores import METRICS, estimate, scores
from casefold.pipeline.report_viewer import viewer
from casefold.report.content import Content, Estimate, Headline
from casefold.report.page import page


def report_step(
    project: Project, folds: Sequence[int] | None = None, out: Path | None = None, cases: Path | None = None
) -> tuple[Path, Content]:
    """Write the page, and its tables as CSVs in a folder beside it; gives its path and all that it shows.

    folds: None takes those that every member is trained on; where there are none, all are trained, and tuned. out: None
    writes report.html beside the recipe. cases: a CSV with a column `case`, whose other columns group the
    scores. Scans that an earlier call looked at, with the same inputs, are read back.
    """
    path = out or project.out / "report.html"
    if path.suffix != ".html":
        raise ConfigError(f"the page should be a file that ends in .html, not {path}; its tables go beside it")
    given = pd.DataFrame() if cases is None else read_cases(cases)
    looked = look(project, folds)
    known = set(looked.held.cases)
    if cases is not None and not known & set(given.index):
        there = ", ".join(sorted(known)[:3])
        raise DataError(
            f"{cases} names none of the cases, which are called {there} ...; it has {list(given.index[:3])}"
        )
    content = _content(looked, given)
    for name, frame in tables(content).items():
        write_text(path.with_suffix("") / f"{name}.csv", frame.to_csv(index=list(frame.index) == list(frame.columns)))
    write_text(path, page(content))
    return path, content


def read_cases(path: Path) -> pd.DataFrame:
    """A CSV's columns by case; raises DataError where `case` is missing or a case stands twice."""
    try:
        frame = pd.read_csv(path, dtype={"case": str})
    except (OSError, ValueError) as e:
        raise DataError(f"{path} can't be read as a CSV of cases: {e}") from e
    if "case" not in frame:
        raise DataError(f"{path} should have a column `case`; it has {', '.join(map(str, frame.columns))}")
    twice = frame.loc[frame["case"].duplicated(), "case"].tolist()
    if twice:
        raise DataError(f"{path} has more than one row for {twice[:5]}; wanted one a case")
    return frame.set_index("case")


def tables(content: Content) -> dict[str, pd.DataFrame]:
    """Every frame of the content that is not empty, as `part_name`."""
    parts = [(own.name, getattr(content, own.name)) for own in fields(content)]
    found = {}
    for part, value in [pair for pair in parts if is_dataclass(pair[1])]:
        for name in [own.name for own in fields(value)]:
            inner = getattr(value, name)
            frame = getattr(inner, "entries", inner)
            if isinstance(frame, pd.DataFrame) and len(frame):
                found[f"{part}_{name}"] = frame
    return found


def _content(looked: Looked, given: pd.DataFrame) -> Content:
    project, held = looked.project, looked.held
    found, warnings = scores(held, looked.tuned, given)
    tuned = float(dict(zip(looked.tuned["what"], looked.tuned["tuned"], strict=True))["recipe"])
    doubted = suspects(held, len(project.segmenters))
    return Content(
        ensemble=held.ensemble,
        dataset=project.ensemble.dataset,
        classes=held.classes,
        members_used=tuple(looked.recipe.rungs[0].members),
        cases=len(held.case_names),
        scans=len(held.scans),
        folds=tuple(looked.folds),
        made=f"{datetime.now():%Y-%m-%d %H:%M}, casefold {__version__}",
        headline=Headline(METRICS[held.objective], estimate(held.objective, held.rows(held.ways[0])), Estimate(tuned)),
        warnings=(*_warnings(looked), *warnings),
        scores=found,
        losses=losses(held),
        curves=curves(held, looked.recipe.rungs[0]),
        members=members(project, held, looked.recipe, looked.store, looked.folds),
        suspects=doubted,
        picks=picks(held, looked.notes, book_frame(read_book(project.paths.runs / project.ensemble.dataset / BOOK))),
        viewer=viewer(looked, found.by_scan, doubted.scans),
    )


def _warnings(looked: Looked) -> list[str]:
    """What makes the numbers mean less than they seem to."""
    project, table, store, held = looked.project, looked.table, looked.store, looked.held
    found = []
    missing = sorted(set(range(table.count)) - set(looked.folds))
    if missing:
        every = [name for name in store.labelled() if table.fold(store, name) >= 0]
        words = f"{'fold' if len(missing) == 1 else 'folds'} {', '.join(map(str, missing))}"
        cases = len({store.case_of[name] for name in every})
        found.append(
            f"Incomplete: without {words}. All of this rests on {len(looked.folds)} of {table.count} folds, "
            f"{len(held.scans)} of {len(every)} scans and {len(held.case_names)} of {cases} cases."
        )
    if project.splits:
        own = [name for name, config in project.trained.items() if config.split is not None]
        found.append(f"{', '.join(own)} have fold tables of their own: scores by fold go by the data set's table.")
    if store.left_out:
        found.append(f"The store is partial: {len(store.left_out)} scans are left out; `prepare` adds them.")
    if table.kind == "time":
        found.append(
            "Same case: the fold table is by time, so scores are on later scans of cases that were trained on."
        )
    chosen = [name for name in project.members if any(_selected(project, name, fold) for fold in looked.folds)]
    if chosen:
        found.append(f"{', '.join(chosen)} took the best epoch by the fold itself: its scores are a little too good.")
    note = looked.recipe.rungs[0].note
    if note.startswith("fallback"):
        found.append(f"The recipe is simpler than what was searched: {note.removeprefix('fallback, ')}.")
    return found


def _selected(project: Project, member: str, fold: int) -> bool:
    return read_info(project.run(member, str(fold)) / "weights.safetensors").selected_on_fold
