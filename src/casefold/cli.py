"""A verb a step, the same words as run.sh."""

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import pandas as pd
import typer

from casefold import cli_report, cli_submission
from casefold.cli_open import Name, explained, opened, show
from casefold.cli_training import Device, Jobs, Training, with_training_options
from casefold.config.paths import Paths
from casefold.core import ConfigError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Fold by case, classify then segment, ensemble, submit. Each verb takes an ensemble of configs/ensembles, "
    "first does the earlier steps that are missing, and called again goes on where it stopped.",
)
Dataset = Annotated[str, typer.Argument(help="an ensemble, or a data set of configs/datasets, without .yaml")]
Folds = Annotated[list[int] | None, typer.Option("--fold", help="only this fold; repeatable [default: every fold]")]
Input = Annotated[Path | None, typer.Option("--input", "--data", help="a folder of scans in the data set's layout")]


PLACE = 56  # characters of a place in what `check` prints; its CSV has all of them


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="raw data of any of the known layouts")],
    name: Annotated[str | None, typer.Option(help="what to call the data set [default: the folder's name]")] = None,
) -> None:
    """Write a config and a starter ensemble for an unknown folder. Example: casefold init downloads/lgg --name lgg"""
    with explained():
        from casefold.starter.start import start

        started = start(folder, Paths.from_environment(), name)
        typer.echo("\n".join(started.lines))


@app.command()
def look(
    name: Dataset,
    scan: Annotated[str | None, typer.Argument(help="[default: the first with something labelled]")] = None,
    out: Annotated[Path | None, typer.Option(help="the PNG [default: runs/DATASET/look/SCAN.png]")] = None,
) -> None:
    """Draw slices of a scan with its masks, spacing and statistics. Example: casefold look lgg case7_day0"""
    with explained():
        from casefold.pipeline.looking import look_step
        from casefold.pipeline.project import open_dataset

        paths = Paths.from_environment()
        called, dataset = open_dataset(paths, name)
        typer.echo(str(look_step(paths, dataset, called, scan, out)))


@app.command()
def check(
    name: Dataset,
    table: Annotated[Path | None, typer.Option("--csv", help="also write the findings there")] = None,
    jobs: Jobs = None,
) -> None:
    """Find every fault of the raw data; ends with 2 for errors, 1 for warnings. Example: casefold check lgg"""
    with explained(code=2):
        from casefold.check import exit_code
        from casefold.pipeline.checking import check_step

        findings = check_step(Paths.from_environment(), name, table, jobs)
        for severity, kind, where, what in findings[["severity", "kind", "where", "what"]].astype(str).to_numpy():
            place = where if len(where) <= PLACE else f"{where[: PLACE - 3]}..."
            typer.echo(f"{severity:8} {kind:24} {place:{PLACE}} {what}")
        counts = findings["severity"].value_counts()
        typer.echo(", ".join(f"{counts.get(word, 0)} {word}s" for word in ("error", "warning", "note")))
    raise typer.Exit(exit_code(findings))


@app.command()
def prepare(
    name: Name,
    jobs: Jobs = None,
    limit: Annotated[int | None, typer.Option(help="only the first so many scans, for a quick look")] = None,
    cases: Annotated[str, typer.Option(help="only these cases, parted by commas")] = "",
) -> None:
    """Raw scans to the store. Example: casefold prepare lgg --limit 5"""
    with explained():
        from casefold.pipeline.steps import prepare_step

        prepare_step(opened(name, jobs), limit, [case.strip() for case in cases.split(",") if case.strip()])


@app.command()
def folds(
    name: Name,
    given: Annotated[Path | None, typer.Option("--from", help="take this table (case,fold) as it is")] = None,
) -> None:
    """Make the fold table, or verify the one that is there. Example: casefold folds lgg --from my_split.csv"""
    with explained():
        from casefold.pipeline.steps import folds_step, prepare_step

        project = opened(name)
        store = prepare_step(project)
        table = folds_step(project, store, given)
        slices = store.slices[store.slices["labelled"]].assign(
            fold=lambda rows: [table.fold(store, s) for s in rows["scan"]]
        )
        holds = slices.assign(**{c: slices[c] > 0 for c in store.classes})
        counts = {"cases": ("case", "nunique"), "scans": ("scan", "nunique"), "slices": ("slice", "size")}
        show(holds.groupby("fold").agg(**counts, **{f"with {c}": (c, "sum") for c in store.classes}).reset_index())


@app.command()
@with_training_options
def fold(
    number: Annotated[int, typer.Argument(help="0, 1, ... as the fold table has them")], name: Name, how: Training
) -> None:
    """Train every member of an ensemble on one fold. Example: casefold fold 0 lgg --member lgg_lite0"""
    _train(name, [str(number)], how)


@app.command()
@with_training_options
def train(name: Name, how: Training) -> None:
    """Train every member on every fold. Example: casefold train lgg --jobs 2"""
    _train(name, None, how)


@app.command()
@with_training_options
def full(name: Name, how: Training) -> None:
    """Train every member on every case: twins without OOF or score, for submission alone. Example: casefold full lgg"""
    _train(name, ["full"], how)


@app.command()
def runs() -> None:
    """List every run with its state and score. Example: casefold runs"""
    with explained():
        from casefold.pipeline.listing import runs_table

        show(runs_table(Paths.from_environment().runs))


@app.command()
def augment(
    name: Name,
    pipeline: Annotated[str, typer.Argument(help="light, medium, heavy, anatomical, ...")],
    kind: Annotated[str, typer.Option(help="seg25d for slices, seg3d for patches")] = "seg25d",
    out: Annotated[Path | None, typer.Option(help="the PNG [default: beside the ensemble's results]")] = None,
) -> None:
    """Draw what a named augmentation does to real slices and masks. Example: casefold augment lgg heavy"""
    with explained():
        from casefold.pipeline.augmenting import augment_sheet_step

        if kind not in ("seg25d", "seg3d"):
            raise ConfigError(f"--kind takes seg25d or seg3d, not {kind!r}")
        typer.echo(str(augment_sheet_step(opened(name), pipeline, "seg3d" if kind == "seg3d" else "seg25d", out)))


@app.command()
def oof(name: Name, only: Folds = None, jobs: Jobs = None, device: Device = "auto") -> None:
    """Verify and complete the out-of-fold predictions and print Dice by member and fold. Example: casefold oof lgg"""
    with explained():
        from casefold.pipeline.evaluation import oof_step

        show(oof_step(opened(name, jobs, device), only))


@app.command()
def tune(name: Name, only: Folds = None, jobs: Jobs = None, device: Device = "auto") -> None:
    """Search weights, gate and levels on OOF; prints tuned and cross-fitted scores. Example: casefold tune lgg"""
    with explained():
        from casefold.pipeline.tuning import recipe_path, tune_step

        project = opened(name, jobs, device)
        recipe, scores = tune_step(project, only)
        show(scores)
        for number, rung in enumerate(recipe.rungs):
            typer.echo(f"rung {number}: {rung.words()}")
        typer.echo(str(recipe_path(project)))


@app.command()
def submit(
    name: Name,
    folder: Input = None,
    out: Annotated[Path | None, typer.Option(help="CSV, or folder of label maps [default: submission.csv]")] = None,
    sample: Annotated[Path | None, typer.Option(help="sample_submission.csv, whose rows and order are kept")] = None,
    deadline: Annotated[
        str | None, typer.Option(help="9h, 90m: folds, then members are shed to end in time; said what was")
    ] = None,
    fast: Annotated[bool, typer.Option(help="larger batches; maps may differ by 1 of 255")] = False,
    engine: Annotated[str, typer.Option(help="torch; or, on a CPU, openvino or onnx, tried first")] = "torch",
    jobs: Jobs = None, device: Device = "auto",
) -> None:  # fmt: skip
    """Predict unlabelled scans. Example: casefold submit lgg --data new_scans --out submission.csv --deadline 9h"""
    with explained():
        from casefold.pipeline.planning import parse_time
        from casefold.pipeline.submitting import submit_step

        deadline_s = None if deadline is None else parse_time(deadline, "--deadline")
        typer.echo(str(submit_step(opened(name, jobs, device), folder, out, sample, deadline_s, fast, engine)))


@app.command()
def score(
    name: Name,
    submission: Annotated[Path | None, typer.Argument(help="a submission CSV, or a folder of label maps")] = None,
    truth: Annotated[
        Path | None, typer.Argument(help="the truth: a CSV (id,class,segmentation), or a folder of label maps")
    ] = None,
    folder: Input = None,
    part: Annotated[
        str | None, typer.Option(help="test: predict and score the cases that the fold table keeps for the test")
    ] = None,
    jobs: Jobs = None, device: Device = "auto",
) -> None:  # fmt: skip
    """Score a submission against a truth, or the test part. Example: casefold score demo submission.csv solution.csv"""
    with explained():
        from casefold.pipeline.held_out import score_test_step
        from casefold.pipeline.submitting import score_step

        if part is None:
            if submission is None or truth is None:
                raise ConfigError("score takes a submission and its truth, or --part test")
            show(score_step(opened(name), submission, truth, folder))
            return
        if part != "test":
            raise ConfigError(f"--part takes test, not {part!r}")
        if (submission, truth, folder) != (None, None, None):
            raise ConfigError("--part test predicts by itself: it takes neither a submission, a truth nor --input")
        show(score_test_step(opened(name, jobs, device)))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="where the submission and the picture go")] = Path("runs/demo/demo"),
) -> None:
    """Every stage on the embedded phantom, to a scored submission and a picture. Example: casefold demo"""
    with explained():
        from casefold.pipeline.demonstration import demo_step

        for title, frame in demo_step(opened("demo"), out):
            typer.echo(f"\n{title}")
            show(frame)
        typer.echo(f"\n{out / 'submission.csv'} is valid; look at {out / 'predictions.png'}")


@app.command()
def twins(
    rows: Annotated[list[str] | None, typer.Argument(help="rows of the field, as uw_1st [default: every one]")] = None,
    keep: Annotated[Path | None, typer.Option(help="a folder for all they leave [default: a temporary one]")] = None,
) -> None:
    """The systems of the field, each small, on the phantom, to a table of what ran. Example: casefold twins uw_3rd"""
    with explained():
        from casefold.pipeline.twins import table, twins_step

        with TemporaryDirectory() if keep is None else nullcontext(keep) as work:
            lines = list(twins_step(Paths.from_environment().configs, Path(work), rows or ()))
        show(table(lines))
    if any(line["ran"] == "no" for line in lines):
        raise typer.Exit(1)


app.add_typer(cli_report.app)
app.add_typer(cli_submission.app)


def _train(name: str, folds: list[str] | None, how: Training) -> None:
    with explained():
        from casefold.pipeline.planning import fit_epochs, measure, preflight_table
        from casefold.pipeline.training import Fleet, loading_processes, plan, train_step
        from casefold.train.loop import Habits

        project = opened(name, how.jobs, how.device, list(how.overrides))
        workers = loading_processes(project) if how.workers is None else how.workers
        habits = Habits(workers, tuple(how.boards), how.save_minutes, how.save_steps)
        if how.time is not None:
            project = fit_epochs(project, plan(project, folds, how.members, habits), how.time)
        if how.dry_run:
            jobs = plan(project, folds, how.members, habits)
            show(preflight_table(jobs, measure(jobs), project.jobs))
            return
        fleet = Fleet(how.cluster, dict(map(_assigned, how.cluster_settings)))
        manifests = train_step(project, folds, how.members, how.redo, habits, fleet)
        rows = [{"run": title, "cpu_s": m["cpu_s"], **m["score"]} for title, m in manifests.items()]
        show(pd.DataFrame(rows))
        typer.echo(f"{sum(row['cpu_s'] for row in rows) / 60:.1f} CPU-minutes in all")


def _assigned(text: str) -> tuple[str, int | str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ConfigError(f"--cluster-set takes name=value, for instance slurm_partition=gpu, not {text!r}")
    return name, int(value) if value.isdigit() else value


if __name__ == "__main__":
    app(prog_name="casefold")
