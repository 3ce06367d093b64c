"""Maps beside the maps: they weigh in the loss by halves, and nobody sees them after training."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from casefold.config.experiments import Seg3d, as_plain
from casefold.folds import FoldTable
from casefold.oof import read_prediction
from casefold.store import Store
from casefold.train.run import Job, train
from toy_members import seg3d, seg25d

DYNUNET = {"arch": "dynunet", "channels": (4, 4, 8), "strides": (2, 2), "deep_supervision": 1}
PLAIN = as_plain(seg3d(data={"patch": (4, 8, 8)}))


@pytest.mark.parametrize(
    ("config", "outputs"),
    [
        (seg25d(model={"deep_supervision": 1, "aux_head": True}), ("maps", "maps@1", "maps@2")),
        (Seg3d.model_validate(PLAIN | {"model": DYNUNET}), ("maps", "maps@1")),
    ],
    ids=["seg25d", "seg3d"],
)
def test_coarser_maps_weigh_by_halves_and_are_no_part_of_a_prediction(
    toy_store: Store, toy_table: FoldTable, tmp_path: Path, config: Any, outputs: tuple[str, ...]
) -> None:
    train(Job(config, toy_table, "0", toy_store.root, tmp_path / "fold0", "cpu"))
    row = pd.read_csv(tmp_path / "fold0" / "log.csv").iloc[0]
    assert [name for name in row.index if name.endswith(".dice")] == [f"{output}.dice" for output in outputs]
    shares = {2: [2 / 3, 1 / 3], 3: [4 / 7, 2 / 7, 1 / 7]}[len(outputs)]
    wanted = sum(share * row[f"{output}.dice"] for share, output in zip(shares, outputs, strict=True))
    assert row["loss"] == pytest.approx(wanted, abs=1e-6)
    for path in (tmp_path / "fold0" / "oof").iterdir():
        prediction = read_prediction(path)
        assert prediction.maps is not None and prediction.maps.shape[0] == len(toy_store.classes)
        assert prediction.presence is None
