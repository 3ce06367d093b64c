"""study: networks side by side on one data set, on more and on fewer training cases; a table, and a picture."""

import logging
import resource
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from casefold.config.experiments import Experiment, Seg3d, as_plain
from casefold.config.paths import Paths
from casefold.config.studies import Study, Unlike
from casefold.core import CasefoldError
from casefold.files import hash_value, read_record, write_json, write_text
from casefold.metrics import bootstrap_interval
from casefold.oof import refuse_seen
from casefold.pipeline.alone import alone
from casefold.pipeline.study_plan import Run, fitted, plan_study
from casefold.pipeline.trial import CPU, try_out
from casefold.pipeline.unlike import changes
from casefold.predict import load_member, predict
from casefold.report.study_figure import draw_study
from casefold.store import Store
from casefold.train.run import is_done, move_aside, train

logger = logging.getLogger(__name__)
Row = dict[str, Any]


def study_step(paths: Paths, study: Study, jobs: int = 1, device: str = "auto", redo: bool = False) -> pd.DataFrame:
    """Train and test every member on every share; a row a run, kept in the study's folder as table.csv and figure.png.

    jobs: runs side by side, which share the cores. What is done is not done again; redo: all is, with the old runs
    moved aside. A run that fails does not stop the others; they are named together at the end, after the table of the
    rest.
    Training and testing have a process each, whose peak of memory is given, with Python and the libraries in it.
    Columns: cpu_s and train_peak_mb (on a GPU its own) of training, with its validation; ms_a_scan and peak_mb of
    prediction on one core of the CPU; dice, at level 128, its mean over cases with a 95 % interval and by class, then
    by test on changed scans the same without interval.
    """
    runs = plan_study(paths, study, device)
    if redo:
        for run in runs:
            move_aside(run.job.run)
    threads = max(1, torch.get_num_threads() // jobs)
    rows: dict[int, Row] = {}
    failed: dict[str, BaseException] = {}
    with ThreadPoolExecutor(jobs) as side_by_side:
        waiting = {side_by_side.submit(_row, run, study, threads): number for number, run in enumerate(runs)}
        try:
            for done in as_completed(waiting):
                run = runs[waiting[done]]
                title = f"{run.job.config.name} on {run.cases} cases"
                try:
                    rows[waiting[done]] = row = done.result()
                    logger.info("%s: Dice %.4f, %.0f ms a scan", title, row["dice"], row["ms_a_scan"])
                except (CasefoldError, OSError) as e:
                    failed[title] = e
        except BaseException:
            side_by_side.shutdown(cancel_futures=True)
            raise
    table = pd.DataFrame([rows[number] for number in sorted(rows)])
    if rows:
        out = paths.study(study.dataset, study.name)
        write_text(out / "table.csv", table.to_csv(index=False))
        draw_study(table, study.unlike.names, f"{study.name} on {study.dataset}", out / "figure.png")
    if failed:
        lines = "\n".join(f"  {title}: {type(error).__name__}: {error}" for title, error in failed.items())
        raise CasefoldError(
            f"{len(failed)} of {len(runs)} runs failed; the rest is kept; the same command does only these:\n{lines}"
        ) from next(iter(failed.values()))
    return table


def _row(run: Run, study: Study, threads: int) -> Row:
    """What the table says of a run, which is trained and measured first where it is not."""
    job, store = fitted(run.job, study.budget, threads), Store(run.job.store)
    path = job.run / "study.json"
    manifest = read_record(job.run / "manifest.json") if is_done(job, store) else alone(threads, train, job)
    inputs = hash_value([manifest["weights_hash"], as_plain(study.unlike), run.held, store.data_hash])
    if not path.is_file() or read_record(path)["inputs"] != inputs:
        found = alone(1, measured, job.run, job.store, run.held, study.unlike)
        write_json(path, {"inputs": inputs, "measured": found})
    return {
        "member": job.config.name,
        **_kind(job.config),
        "share": run.share,
        "cases": run.cases,
        "parameters": manifest["parameters"],
        "epochs": job.config.train.epochs,
        "steps": job.config.train.steps,
        "cpu_s": manifest["cpu_s"],
        "train_peak_mb": manifest["peak_mb"],
        **read_record(path)["measured"],
    }


def measured(run: Path, root: Path, scans: Sequence[str], unlike: Unlike) -> Row:
    """What it costs to predict held-out scans of a store with a run, and how well it does, there and on changed ones.

    For a process alone. Raises LeakError for a scan whose case the run has seen.
    """
    store, member = Store(root), load_member([run], CPU)
    for name in scans:
        refuse_seen(member.infos[0], store, name, "case")
    predict(member, store.scan(scans[0]), CPU)  # the first one imports and warms up
    as_is = try_out(member, map(store.scan, scans))
    low, high = bootstrap_interval(as_is.by_case)
    row = {
        "ms_a_scan": as_is.ms_a_scan,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "dice": as_is.mean,
        "low": low,
        "high": high,
        **{f"dice {name}": value for name, value in zip(store.classes, as_is.by_class, strict=True)},
    }
    for test, change in changes(unlike):
        found = try_out(member, (change(store.scan(name)) for name in scans))
        row[test] = found.mean
        row |= {f"{test} {name}": value for name, value in zip(store.classes, found.by_class, strict=True)}
    return row


def _kind(config: Experiment) -> dict[str, str]:
    """Which network, and what it reads: single slices, several, or patches."""
    content = as_plain(config)
    net = content["model"]["arch"] + (" with deep supervision" if content["model"].get("deep_supervision") else "")
    if isinstance(config, Seg3d):
        return {"net": net, "input": "3D"}
    return {"net": net, "input": "2D" if len(content["data"]["window"]) == 1 else "2.5D"}
