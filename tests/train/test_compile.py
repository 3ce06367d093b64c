"""torch.compile: the same training, from kernels of its own."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from casefold.folds import FoldTable
from casefold.store import Store
from casefold.train.run import Job, train
from toy_members import seg3d


@pytest.mark.long
def test_a_compiled_net_has_the_loss_gradient_and_names_of_a_plain_one(
    toy_store: Store, toy_table: FoldTable, tmp_path: Path
) -> None:
    rows: dict[bool, dict[str, Any]] = {}
    names = {}
    for compiled in (False, True):
        counters.clear()
        config = seg3d(
            data={"patch": (2, 8, 8), "overlap": 0.0},
            sampler={"per_scan": 1},
            train={"compile": compiled, "average": {"name": "none"}},
        )
        run = tmp_path / str(compiled) / "fold0"
        train(Job(config, toy_table, "0", toy_store.root, run, "cpu"))
        assert (counters["stats"]["unique_graphs"] > 0) == compiled
        rows[compiled] = pd.read_csv(run / "log.csv").iloc[0].to_dict()
        names[compiled] = list(load_file(run / "weights.safetensors"))
    assert rows[False]["step"] == rows[True]["step"] == 1
    for number in ("loss", "gradient_norm"):
        assert rows[True][number] == pytest.approx(rows[False][number], abs=1e-4)
    assert names[True] == names[False]
