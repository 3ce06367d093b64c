"""How every verb begins and ends: an ensemble opened by name, faults told in one message, tables printed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

from casefold.config.paths import Paths
from casefold.core import CasefoldError
from casefold.files import ADVICE, AFTERWARDS

if TYPE_CHECKING:
    from casefold.pipeline.project import Project

Name = Annotated[str, typer.Argument(help="an ensemble: a file of configs/ensembles, without .yaml")]


@contextmanager
def explained(code: int = 1) -> Iterator[None]:
    """What a user can mend is printed as one message, with an exit code; anything else is a bug and keeps its trace."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        yield
    except CasefoldError as e:
        typer.echo(f"{type(e).__name__}: {e}", err=True)
        raise typer.Exit(code) from e
    except OSError as e:
        if e.errno not in ADVICE:
            raise
        typer.echo(f"{type(e).__name__}: {e}. {ADVICE[e.errno]}. {AFTERWARDS}", err=True)
        raise typer.Exit(code) from e


def opened(name: str, jobs: int | None = None, device: str = "auto", overrides: list[str] | None = None) -> "Project":
    """The ensemble of that name, by the roots of the environment."""
    from casefold.pipeline.planning import with_fitted_epochs
    from casefold.pipeline.project import open_project

    return with_fitted_epochs(open_project(Paths.from_environment(), name, overrides or [], jobs, device))


def show(frame: pd.DataFrame) -> None:
    """Print a table."""
    typer.echo(frame.to_string(index=False, float_format=lambda value: f"{value:.4f}", na_rep=""))
