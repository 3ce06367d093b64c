"""Before training: what each member would take (`--dry-run`), and as many epochs as fit into a time (`--time 8h`)."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from casefold.core import ConfigError
from casefold.files import read_json, write_json
from casefold.pipeline.project import Project
from casefold.train.preflight import Preflight, preflight
from casefold.train.run import Job

logger = logging.getLogger(__name__)
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RESERVE = 0.9  # of the time is planned for; the rest is for start-up and what a short measurement misses


def parse_time(text: str, option: str = "--time") -> float:
    """Seconds of a text such as `8h`, `90m` or `1h30m`; raises ConfigError on any other."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigError(f"{option} takes hours and minutes as 8h, 90m or 1h30m, not {text!r}")
    return sum(float(number) * UNITS_S[unit] for number, unit in parts)


def measure(jobs: Sequence[Job]) -> dict[str, Preflight]:
    """One preflight a member, on the first of its runs."""
    first = {job.config.name: job for job in reversed(jobs)}
    return {name: preflight(job) for name, job in sorted(first.items())}


def preflight_table(jobs: Sequence[Job], measured: dict[str, Preflight], processes: int) -> pd.DataFrame:
    """A row a member and one for all: shapes, loss on one batch, memory, and projected hours of all its runs."""
    rows: list[dict[str, Any]] = []
    for name, found in measured.items():
        runs = sum(job.config.name == name for job in jobs)
        rows.append(
            {
                "member": name,
                "image": "x".join(map(str, found.shapes["image"])),
                "maps": "x".join(map(str, found.shapes["maps"])),
                "parameters": found.parameters,
                "loss": f"{found.first_loss:.3f} -> {found.last_loss:.3f}",
                "peak_mb": round(found.peak_mb),
                "s_a_step": round(found.step_s + found.load_s, 3),
                "epochs": found.epochs,
                "runs": runs,
                "hours": round(runs * found.total_s / 3600, 2),
            }
        )
    hours = sum(row["hours"] for row in rows)
    total = {"member": "all", "runs": len(jobs), "hours": hours}
    return pd.DataFrame([*rows, total, {"member": f"{processes} at a time", "hours": round(hours / processes, 2)}])


def fit_epochs(project: Project, jobs: Sequence[Job], text: str) -> Project:
    """The project with as many epochs as `text` of time allows, schedules included; each member keeps its share.

    What was fitted is kept beside the recipe, so that the same command, and every later verb, uses the same epochs.
    """
    path = project.out / "epochs.json"
    if not path.is_file() or read_json(path)["time"] != text:
        measured = measure(jobs)
        runs = {name: sum(job.config.name == name for job in jobs) for name in measured}
        needed = sum(found.total_s * runs[name] for name, found in measured.items())
        share = RESERVE * parse_time(text) * min(project.jobs, len(jobs)) / needed
        epochs = {name: found.epochs_within(found.total_s * share) for name, found in measured.items()}
        write_json(path, {"time": text, "epochs": epochs})
    return with_fitted_epochs(project)


def with_fitted_epochs(project: Project) -> Project:
    """The project with the epochs that an earlier `--time` fitted; as it is where there was none."""
    path = project.out / "epochs.json"
    if not path.is_file():
        return project
    fitted = read_json(path)
    members = dict(project.members)
    for name, config in project.trained.items():
        if name in fitted["epochs"]:
            train = config.train.model_copy(update={"epochs": fitted["epochs"][name], "steps": None})
            members[name] = config.model_copy(update={"train": train})
    logger.info("epochs as `--time %s` fitted them: %s (in %s)", fitted["time"], fitted["epochs"], path)
    return replace(project, members=members)
