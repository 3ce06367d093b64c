"""check: every fault of a data set's raw files, as a table and as CSV."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from casefold.check import check_dataset
from casefold.config.paths import Paths
from casefold.files import write_text
from casefold.pipeline.project import open_dataset


def check_step(paths: Paths, name: str, table: Path | None = None, jobs: int | None = None) -> pd.DataFrame:
    """The findings of a data set (or an ensemble's), worst first; an empty frame where there is none."""

    def bar(names: Iterator[str], total: int) -> Iterator[str]:
        yield from tqdm(names, "check", total=total, disable=None)

    _, dataset = open_dataset(paths, name)
    findings = check_dataset(dataset, paths.raw(dataset.root), jobs or os.cpu_count() or 1, bar)
    if table is not None:
        write_text(table, findings.to_csv(index=False))
    return findings
