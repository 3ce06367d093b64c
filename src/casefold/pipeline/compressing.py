"""compress: what a trained member's smaller forms save on disk, in time and in memory, and what they cost in Dice."""

import logging
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from casefold.config.experiments import Cls, Experiment
from casefold.config.load import dump, parse_experiment, read_yaml
from casefold.core import ConfigError, DataError
from casefold.files import hash_file, hash_value, write_json, writing
from casefold.models.engines import open_onnx
from casefold.models.weights import read_info
from casefold.oof import refuse_seen
from casefold.pipeline.alone import alone
from casefold.pipeline.evaluation import is_current, write_current
from casefold.pipeline.project import Project, pick
from casefold.pipeline.smaller import ONNX, WAYS, WEIGHTS, Form, Trained, forms, refuse_way, write_form
from casefold.pipeline.training import train_step
from casefold.pipeline.trial import CPU, try_out
from casefold.predict import load_member, predict
from casefold.store import Store
from casefold.train.run import Job, train

logger = logging.getLogger(__name__)
AMOUNTS = (0.2, 0.4, 0.6, 0.8, 0.9)
Row = dict[Any, Any]


def compress_step(
    project: Project, member: str, fold: int, amounts: Sequence[float] = AMOUNTS, ways: Sequence[str] = ()
) -> pd.DataFrame:
    """A row a form of a member's fold, trained first where it is not; kept as CSV, to which new forms are added.

    ways: of WAYS; none: every one that can be, with the reason in the log for one that can't. Dice is that of the
    fold's held-out cases, at level 128. Times are CPU milliseconds of one thread; memory is the peak of a process that
    does nothing else, with Python and the libraries in it. Raises ConfigError for a member without maps, an amount not
    between 0 and 1, and a way that can't be.
    """
    odd = [amount for amount in amounts if not 0 < amount < 1]
    if odd:
        raise ConfigError(f"amounts are shares between 0 and 1, not {odd[0]:g}")
    config, run, held = _trained_run(project, member, fold)
    trained, store = Trained.read(config, run), project.store()
    asked = forms(trained, amounts, _possible(trained, ways))
    path = project.out / f"compress_{member}_fold{fold}.csv"
    inputs = hash_value([hash_file(run / WEIGHTS), dump(config), held, store.data_hash])
    rows: dict[Form, Row] = {}
    if is_current(path, inputs):
        known = pd.read_csv(path).fillna({"saves": ""}).to_dict("records")
        rows = {Form(row["way"], row["amount"], row["level"]): row for row in known}
    with _folder_beside(run) as made:
        for form in asked:
            if form in rows:
                continue
            size = write_form(trained, form, made)
            cost = _measured_alone(made, store.root, held)
            (made / ONNX).unlink(missing_ok=True)
            rows[form] = {**asdict(form), **size, **cost, "saves": WAYS.get(form.way, "")}
            write_current(pd.DataFrame(list(rows.values())), path, inputs)
            logger.info("%s %s %g %s: Dice %.4f", member, form.way, form.amount, form.level, cost["dice_case"])
    return pd.DataFrame([rows[form] for form in asked])


def measure(run: Path, root: Path, scans: Sequence[str]) -> Row:
    """What it costs to predict scans of a store with a run, on one core, and how well it does; for a process alone."""
    store, member = Store(root), load_member([run], CPU)
    if (run / ONNX).is_file():
        member = replace(member, nets=(open_onnx(run / ONNX, member.nets[0].multiple),))
    predict(member, store.scan(scans[0]), CPU)  # the first one imports and warms up
    found = try_out(member, map(store.scan, scans))
    return {
        "ms_a_scan": found.ms_a_scan,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "dice_case": found.mean,
        **{f"dice {name}": value for name, value in zip(store.classes, found.by_class, strict=True)},
    }


def keep_step(project: Project, member: str, fold: int, amount: float, name: str) -> Path:
    """Save a fold of a member, narrowed by `amount`, as a run of a member called `name`, with OOF; gives its folder.

    What it has seen is what the member had. An ensemble that has its config as a member takes it as trained, and
    another training can begin with it (`train.init_from`). Raises ConfigError where that run is there already.
    """
    config, run, held = _trained_run(project, member, fold)
    kept = project.run(name, str(fold))
    if kept.exists():
        raise ConfigError(f"{kept} is there already; take another name, or move it away")
    store = project.store()
    with _folder_beside(run) as made:
        write_form(Trained.read(config, run), Form("structured", amount), made, name)
        cost = _measured_alone(made, store.root, held)
        narrow = parse_experiment(read_yaml(made / "config.yaml"), made / "config.yaml")
        table = project.table(store, member)
        job = Job(narrow, table, str(fold), project.store_root, kept, project.device, project.paths.data)
        manifest = {
            "state": "done",
            "inputs": job.inputs(store),
            "narrowed": {"member": member, "amount": amount, "weights_hash": hash_file(run / WEIGHTS)},
            "seen_cases": list(read_info(made / WEIGHTS).seen_cases),
            "cpu_s": 0.0,
            "s_a_scan": round(cost["ms_a_scan"] / 1000, 3),
            "score": {"dice_case": cost["dice_case"]},
            "weights_hash": hash_file(made / WEIGHTS),
        }
        write_json(made / "manifest.json", manifest)
        with writing(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            made.rename(kept)
    train(job)  # done as it is, it has only its OOF to write
    return kept


def _trained_run(project: Project, member: str, fold: int) -> tuple[Experiment, Path, list[str]]:
    """A member's config, its run, trained where it is not, and the scans that are held out of it."""
    pick(project, [member])
    config = project.trained.get(member)
    if config is None or isinstance(config, Cls):
        known = [name for name, other in project.trained.items() if not isinstance(other, Cls)]
        raise ConfigError(f"{member} is no network of ours with maps, whose Dice could be watched; take one of {known}")
    train_step(project, [str(fold)], [member])
    store, run = project.store(), project.run(member, str(fold))
    table = project.table(store, member)
    held = table.split(store, fold)[1]
    if not held:
        raise DataError(f"fold {fold} holds no scan out, so nothing can be scored")
    for name in held:
        refuse_seen(read_info(run / WEIGHTS), store, name, table.kind)
    return config, run, held


def _possible(trained: Trained, ways: Sequence[str]) -> list[str]:
    """The ways that were asked for, or where none was all that this member and this machine have."""
    found = []
    for way in ways or WAYS:
        try:
            refuse_way(trained, way)
        except ConfigError as e:
            if ways:
                raise
            logger.info("%s is left out: %s", way, e)
        else:
            found.append(way)
    return found


@contextmanager
def _folder_beside(run: Path) -> Iterator[Path]:
    """A folder for a form of a run, which finds its detector as the run itself does; gone afterwards."""
    with TemporaryDirectory(prefix=".compress_", dir=run.parents[1]) as folder:
        yield Path(folder) / run.name


def _measured_alone(run: Path, root: Path, scans: Sequence[str]) -> Row:
    """`measure` in a process of its own, so that the peak of memory is the call's."""
    return alone(1, measure, run, root, scans)
