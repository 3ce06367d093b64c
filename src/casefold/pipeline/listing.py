"""runs: every run of every data set, with its state and score."""

from pathlib import Path

import pandas as pd

from casefold.files import read_json

COLUMNS = ["dataset", "member", "fold", "state", "epochs", "cpu_min", "score"]


def runs_table(runs: Path) -> pd.DataFrame:
    """A row a run, in the order of their folders; an empty frame where nothing was trained."""
    rows = []
    for path in sorted(runs.glob("*/members/*/*/manifest.json")):
        run = path.parent
        manifest = read_json(path)
        log, timing = (_read(run / name) for name in ("log.csv", "timing.csv"))
        scores = [f"{name} {log[name].dropna().iloc[-1]:.4f}" for name in map(str, log) if name.startswith("valid")]
        rows.append(
            {
                "dataset": run.parents[2].name,
                "member": run.parent.name,
                "fold": run.name.removeprefix("fold"),
                "state": manifest["state"],
                "epochs": f"{len(log)}/{manifest['inputs']['config']['train']['epochs']}",
                "cpu_min": round(float(timing["cpu_s"].sum()) / 60, 1) if "cpu_s" in timing else 0.0,
                "score": ", ".join(scores),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _read(path: Path) -> pd.DataFrame:
    """A log, or an empty frame where no epoch has ended yet."""
    return pd.read_csv(path) if path.is_file() and path.stat().st_size else pd.DataFrame()
