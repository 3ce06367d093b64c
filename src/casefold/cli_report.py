"""The verbs that look at out-of-fold predictions: the page, and two ensembles against each other."""

import os
from pathlib import Path
from typing import Annotated

import typer

from casefold.cli_open import Name, explained, opened, show
from casefold.cli_training import Device, Jobs
from casefold.config.paths import Paths

app = typer.Typer()
SHOWN = 20  # scans that `compare` prints; its CSV has all


@app.command()
def report(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="the page [default: report.html beside the recipe]")] = None,
    cases: Annotated[Path | None, typer.Option(help="a CSV by `case`, whose columns group the scores")] = None,
    only: Annotated[
        list[int] | None, typer.Option("--fold", help="only this fold; repeatable [default: every fold]")
    ] = None,
    jobs: Jobs = None, device: Device = "auto",
) -> None:  # fmt: skip
    """Write a page on the ensemble's OOF: how good, where it loses, what to do. Example: casefold report lgg"""
    with explained():
        from casefold.pipeline.reporting import report_step
        from casefold.report.advice import advice

        path, content = report_step(opened(name, jobs, device), only, out, cases)
        for warning in content.warnings:
            typer.echo(warning)
        typer.echo(f"score: {content.headline.metric}, cross-fitted")
        show(content.scores.ways)
        for line in advice(content):
            typer.echo(f"- {line.lead} {line.text}")
        typer.echo(str(path))


@app.command()
def compare(
    one: Annotated[str, typer.Argument(help="an ensemble, or a trained member")],
    other: Annotated[str, typer.Argument(help="another of the same data set")],
    table: Annotated[Path | None, typer.Option("--csv", help="also write every scan there")] = None,
    jobs: Jobs = None, device: Device = "auto",
) -> None:  # fmt: skip
    """Hold two ensembles or members against each other, paired by case. Example: casefold compare lgg lgg_uw"""
    with explained():
        from casefold.files import write_text
        from casefold.pipeline.report_compared import compare_step

        told, found = compare_step(Paths.from_environment(), one, other, jobs or os.cpu_count() or 1, device)
        typer.echo(f"{told}\n{found.words}")
        if found.left_out:
            typer.echo(f"{len(found.left_out)} scans that only one of the two has are left out")
        show(found.moved.head(SHOWN))
        if table is not None:
            write_text(table, found.moved.to_csv(index=False))
