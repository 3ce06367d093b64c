"""The verbs of a competition's end: the bundle, smaller nets, studies, pseudo-labels, scores, comparisons."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from casefold.cli_open import Name, explained, opened, show
from casefold.cli_training import Device, Jobs
from casefold.config.paths import Paths
from casefold.core import ConfigError

app = typer.Typer()
SHOWN = 3  # as many slices of a class as `diff` names; its CSV has all
Of = Annotated[str | None, typer.Option("--of", help="the ensemble or data set it is of [default: UW-Madison's form]")]
Data = Annotated[Path | None, typer.Option("--data", help="the scans' folder, for sizes and scans; goes with --of")]
Sample = Annotated[Path | None, typer.Option(help="a CSV of ids with `height` and `width`, or `shape`")]


@app.command()
def bundle(
    name: Name,
    python: Annotated[str, typer.Option(help="the notebook's Python, for which wheels are fetched")] = "3.12",
    out: Annotated[Path, typer.Option(help="where the bundle's folder goes")] = Path("dist/kaggle"),
    owner: Annotated[str, typer.Option(help="your name on Kaggle [default: a gap to be filled]")] = "",
    wheels: Annotated[bool, typer.Option(help="bring wheels; without any, casefold must be there")] = True,
    half: Annotated[bool, typer.Option(help="weights in float16 where that changes nothing that counts")] = True,
    scans: Annotated[int, typer.Option(help="held-out scans to try float16 on; 0: every one")] = 12,
    jobs: Jobs = None, device: Device = "auto",
) -> None:  # fmt: skip
    """Wheels, weights, recipe and offline notebook for Kaggle. Example: casefold bundle lgg --owner me"""
    with explained():
        from casefold.pipeline.bundling import Options, bundle_step

        if scans < 0:
            raise ConfigError(f"--scans takes 0 or more, not {scans}")
        options = Options(python if wheels else None, owner, half, scans or None)
        folder, lines = bundle_step(opened(name, jobs, device), out, options)
        typer.echo("\n".join(lines))
        typer.echo(f"{folder}/README.md says how it goes to Kaggle")


@app.command()
def compress(
    name: Name,
    member: Annotated[str, typer.Option(help="which of its members, a seg25d or a seg3d")],
    fold: Annotated[int, typer.Option(help="which of its runs; the cases held out of it give the Dice")] = 0,
    amounts: Annotated[str, typer.Option(help="shares to prune, parted by commas")] = "0.2,0.4,0.6,0.8,0.9",
    way: Annotated[
        list[str] | None,
        typer.Option(help="global, pair, structured, half or onnx; repeatable [default: all that can be]"),
    ] = None,
    keep: Annotated[
        str | None, typer.Option(help="save the structured one of one amount as a run of a member of this name")
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Prune, narrow, halve, export: size, time, memory, Dice. Example: casefold compress lgg --member lgg_lite0"""
    with explained():
        from casefold.pipeline.compressing import compress_step, keep_step

        shares = [_share(text) for text in amounts.split(",")]
        if keep is not None and len(shares) != 1:
            raise ConfigError(f"--keep saves one net: give one share, --amounts 0.5, not {len(shares)}")
        project = opened(name, jobs, "cpu")
        table = compress_step(project, member, fold, shares, way or [])
        show(table.drop(columns="saves"))
        for words, ways in table[table["saves"] != ""].groupby("saves", sort=False)["way"]:
            typer.echo(f"{', '.join(dict.fromkeys(ways))} saves {words}")
        if keep is not None:
            typer.echo(str(keep_step(project, member, fold, shares[0], keep)))


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="a study: a file of configs/studies, without .yaml, or any file's path")],
    redo: Annotated[bool, typer.Option("--redo", help="move earlier runs aside and train again")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="runs side by side; they share the cores")] = 1,
    device: Device = "auto",
) -> None:
    """Networks on more and on fewer cases: Dice, time, memory, a picture. Example: casefold study aneja"""
    with explained():
        from casefold.config.load import load_study
        from casefold.pipeline.studying import study_step

        paths = Paths.from_environment()
        wanted = load_study(Path(name) if name.endswith(".yaml") else paths.configs / "studies" / f"{name}.yaml")
        table = study_step(paths, wanted, jobs, device, redo)
        by_class = [column for column in table if str(column).startswith(tuple(f"{n} " for n in wanted.unlike.names))]
        show(table.drop(columns=by_class))
        out = paths.study(wanted.dataset, wanted.name)
        typer.echo(f"{out / 'table.csv'} has the changed scans by class too; look at {out / 'figure.png'}")


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError as e:
        raise ConfigError(f"--amounts takes shares parted by commas, 0.2,0.5, not {text!r}") from e


class _Book(TyperGroup):
    """`lb` and `lb NAME` are short for `lb show [NAME]`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        short = not args or args[0] not in (*self.commands, *self.get_help_option_names(ctx))
        return super().parse_args(ctx, ["show", *args] if short else args)


book = typer.Typer(cls=_Book, help="What was handed in, and what it scored. Example: casefold lb lgg")
app.add_typer(book, name="lb")


@book.command("show")
def show_book(
    name: Annotated[str | None, typer.Argument(help="an ensemble or a data set [default: every book]")] = None,
) -> None:
    """List what was handed in and draw CV against LB; `show` may be left out. Example: casefold lb show lgg"""
    with explained():
        from casefold.pipeline.booking import book_step

        for path, frame, plot in book_step(Paths.from_environment(), name):
            typer.echo(path)
            cut = {"date": frame["date"].str[:10], "commit": frame["commit"].str[:8]}
            show(frame.drop(columns="sha256").assign(**cut))
            typer.echo(plot or "nothing to draw: no submission has a cross-fitted score and one of a leaderboard")


@book.command("add")
def add_to_book(
    file: Annotated[Path, typer.Argument(help="the CSV that was handed in, or the folder of its bundle")],
    public: Annotated[float | None, typer.Option(help="its score on the public leaderboard")] = None,
    private: Annotated[float | None, typer.Option(help="its score on the private one; may be added later")] = None,
    note: Annotated[str, typer.Option(help="what else to remember")] = "",
    of: Annotated[str | None, typer.Option("--of", help="its ensemble or data set [default: by its record]")] = None,
) -> None:
    """Write down what a submission scored. Example: casefold lb add submission.csv --public 0.889"""
    with explained():
        from casefold.pipeline.booking import add_step

        entry = add_step(Paths.from_environment(), file, public, private, note, of)
        made = {"recipe": entry.recipe, "commit": entry.commit[:8], "cross-fitted": entry.cross_fitted}
        typer.echo(f"{entry.file}: " + ", ".join(f"{name} {value or 'unknown'}" for name, value in made.items()))


@app.command()
def pseudo(
    name: Name,
    folder: Annotated[Path, typer.Option("--data", "--input", help="scans without labels, in the data set's layout")],
    margin: Annotated[int, typer.Option(help="voxels whose q lies so near to a level are ignored; of 255")] = 26,
    confidence: Annotated[float, typer.Option(help="scans of less are left out; 0 to 1, see the table")] = 0.7,
    full: Annotated[bool, typer.Option("--full", help="for fits on all cases too, by all folds' models")] = False,
    jobs: Jobs = None, device: Device = "auto",
) -> None:  # fmt: skip
    """Label scans, fold by fold, for members to train on. Example: casefold pseudo lgg --data more_scans"""
    with explained():
        from casefold.pipeline.teaching import Rule, pseudo_step

        show(pseudo_step(opened(name, jobs, device), folder, Rule(margin, confidence), full))
        typer.echo(f"members take them by  train: {{pseudo: {{ensemble: {name}}}}}")


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(help="a submission's CSV, or a folder of label maps")],
    second: Annotated[Path, typer.Argument(help="another of the same rows, or of the same files")],
    of: Of = None,
    data: Data = None,
    sample: Sample = None,
    table: Annotated[Path | None, typer.Option("--csv", help="write the slices that differ there")] = None,
) -> None:
    """Compare submissions: Dice by class and scan, slices that one has alone. Example: casefold diff a.csv b.csv"""
    with explained():
        from casefold.files import write_text
        from casefold.pipeline.comparing import Origin, diff_step
        from casefold.voting import agreement, differing, flips

        pixels = diff_step(Paths.from_environment(), first, second, Origin(of, data, sample))
        show(agreement(pixels))
        for (label, owner), ids in flips(pixels).groupby(["class", "only"], sort=False)["id"]:
            names = ", ".join(ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
            typer.echo(f"{label}: {len(ids)} slices only in {first if owner == 'first' else second}: {names}")
        if table is not None:
            write_text(table, differing(pixels).to_csv(index=False))


@app.command()
def vote(
    files: Annotated[list[Path], typer.Argument(help="two CSVs of the same rows or more, the best first")],
    out: Annotated[Path, typer.Option(help="the CSV to write")],
    of: Of = None,
    data: Data = None,
    sample: Sample = None,
) -> None:
    """Pixels that most CSVs have; of a tie those of the first. Example: casefold vote a.csv b.csv c.csv --out v.csv"""
    with explained():
        from casefold.pipeline.comparing import Origin, vote_step

        written = vote_step(Paths.from_environment(), files, out, Origin(of, data, sample))
        typer.echo(f"{out}: {written.rows} rows, voted by {', '.join(map(str, files))}")
