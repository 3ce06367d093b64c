"""A member that a detector crops beside the same member on whole slices, on LGG: CPU-time a scan and 3D Dice, held out.

CASEFOLD_DATA=... CASEFOLD_STORE=... CASEFOLD_RUNS=... python benchmarks/detector_crop.py [--folds 0 1]
Both were trained alike, as `small_3rd_seg3` and `small_3rd_whole` say; trains nothing. One thread, prediction alone.
"""

import argparse

import numpy as np
import pandas as pd
import torch

from casefold.config.paths import Paths
from casefold.files import read_json
from casefold.metrics import bootstrap_interval
from casefold.oof import refuse_seen
from casefold.pipeline.project import open_project
from casefold.pipeline.trial import CPU, try_out
from casefold.predict import load_member, predict
from casefold.views import stored_box

CROPPED, WHOLE, DETECTOR = "small_3rd_seg3", "small_3rd_whole", "small_3rd_box"
FOUND = ("valid_map50", "valid_box_recall", "valid_kept_area", "valid_cut_off")


def main() -> None:
    """Print a row a fold, then all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    folds = parser.parse_args().folds
    torch.set_num_threads(1)
    project = open_project(Paths.from_environment(), "small_3rd")
    store = project.store()
    table = project.table(store)
    rows, differences = [], []
    for fold in folds:
        held = table.split(store, fold)[1]
        runs = {name: project.run(name, str(fold)) for name in (CROPPED, WHOLE, DETECTOR)}
        members = {
            "whole": load_member([runs[WHOLE]], CPU),
            "cropped": load_member([runs[CROPPED]], CPU),
            "boxes known": load_member([runs[CROPPED]], CPU, detect=stored_box),
        }
        for member in members.values():
            for name in held:
                refuse_seen(member.infos[0], store, name, table.kind)
            predict(member, store.scan(held[0]), CPU)  # the first one imports and warms up
        tried = {name: try_out(member, map(store.scan, held)) for name, member in members.items()}
        differences.append(tried["cropped"].by_case - tried["whole"].by_case)
        score = read_json(runs[DETECTOR] / "manifest.json")["score"]
        rows.append(
            {
                "fold": str(fold),
                "scans": len(held),
                **{f"ms {name}": found.ms_a_scan for name, found in tried.items()},
                "dice whole": tried["whole"].mean,
                "dice cropped": tried["cropped"].mean,
                **{name.removeprefix("valid_"): score[name] for name in FOUND},
            }
        )
    frame = pd.DataFrame(rows)
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    gain = np.concatenate(differences)
    low, high = bootstrap_interval(gain)
    mean = frame.set_index("fold").mean()
    print(f"\ncropped minus whole, {len(gain)} cases: {gain.mean():+.4f} ({low:+.4f} to {high:+.4f})")
    print(f"time a scan, whole over cropped: {mean['ms whole'] / mean['ms cropped']:.2f}; "
          f"with boxes known {mean['ms whole'] / mean['ms boxes known']:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
