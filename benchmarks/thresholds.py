"""One mask level for all classes against one a class: cross-fitted 3D Dice of one member on each data set, by case.

CASEFOLD_DATA=... CASEFOLD_STORE=... CASEFOLD_RUNS=... python benchmarks/thresholds.py ENSEMBLE/MEMBER[:FOLD,...] ...
Reads OOF predictions, trains nothing. The levels are chosen on four fifths of the cases and scored on the last fifth.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from tqdm import tqdm

from casefold.config.ensembles import Tune
from casefold.config.paths import Paths
from casefold.pipeline.project import open_project
from casefold.pipeline.tuning import Source, sources_of
from casefold.store import Store
from casefold.tune.honest import Fitted, Way, difference, fit
from casefold.tune.memory import Memory
from casefold.tune.search import Search, Task
from casefold.tune.voxels import gather

LEVELS = tuple(range(13, 250, 6))
FIXED, ONE, EACH = "128", "one, tuned", "one a class, tuned"


def gathered(sources: list[Source], member: str, work: Path) -> tuple[Path, ...]:
    """What the search reads of each scan, for one member."""
    files = []
    for source in tqdm(sources, member, disable=None):
        scan, predictions = source.read()
        files.append(work / f"{source.scan}.safetensors")
        gather(scan, {member: predictions[member]}, (member,), None, min(LEVELS), files[-1])
    return tuple(files)


def search(store: Store, sources: list[Source], files: tuple[Path, ...], member: str, work: Path, tune: Tune) -> Search:
    """A search over levels alone."""
    cases = tuple(store.case_of[source.scan] for source in sources)
    task = Task(files, cases, store.classes, (member,), (0,), tune, ((),) * len(store.classes))
    return Search(task, Memory(work, store.data_hash, ((member, member),)))


def rows(paths: Paths, wanted: str) -> list[dict[str, object]]:
    """The three rows of one member; the gain of each over the row before it."""
    ensemble, _, rest = wanted.partition("/")
    member, _, folds = rest.partition(":")
    project = open_project(paths, ensemble)
    project = replace(project, members={member: project.members[member]})
    store = project.store()
    table = project.table(store)
    held = [int(fold) for fold in folds.split(",")] if folds else list(range(table.count))
    sources = sources_of(project, store, held)
    with TemporaryDirectory() as folder:
        files = gathered(sources, member, Path(folder))
        tuned = search(store, sources, files, member, Path(folder) / "tuned", Tune(levels=LEVELS))
        fixed = search(store, sources, files, member, Path(folder) / "fixed", Tune(levels=(128,)))
        ways = fit(fixed, {FIXED: Way((member,), ())})
        ways |= fit(tuned, {ONE: Way((member,), ()), EACH: Way((member,), ("levels",))})
        found, before = list[dict[str, object]](), None
        for name, fitted in ways.items():
            gain = (np.nan,) * 3 if before is None else difference(tuned, fitted, before)
            found.append(
                {
                    "data": project.ensemble.dataset,
                    "member": member,
                    "classes": len(store.classes),
                    "cases": len(set(tuned.task.cases)),
                    "level": name,
                    "chosen": chosen(fitted),
                    "dice_case": fitted.cross_fitted,
                    **dict(zip(("gain", "low", "high"), gain, strict=True)),
                }
            )
            before = fitted
    return found


def chosen(fitted: Fitted) -> str:
    """The levels chosen on all cases."""
    return " ".join(str(point.level) for point in fitted.points)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("members", nargs="+")
    logging.basicConfig(level=logging.WARNING)
    paths = Paths.from_environment()
    frame = pd.DataFrame([row for wanted in parser.parse_args().members for row in rows(paths, wanted)])
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.4f}", na_rep=""))


if __name__ == "__main__":
    main()
