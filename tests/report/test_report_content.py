"""The page's records refuse what can't be shown."""

import pandas as pd
import pytest

from casefold.core import DataError
from casefold.report.content import Curves, Ledger, Scores


def entries(*parts: float) -> pd.DataFrame:
    return pd.DataFrame({"repair": [f"r{n}" for n in range(len(parts))], "part": parts, "alone": parts})


def test_a_ledger_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(DataError, match=r"parts sum to 0\.200000000, but Dice falls 0\.250000000 short of perfect"):
        Ledger("Dice", 0.75, 1.0, entries(0.1, 0.1))


def test_a_ledger_with_a_negative_part_adds_up() -> None:
    assert Ledger("Dice", 0.75, 1.0, entries(0.3, -0.05)).reached == 0.75


def test_a_frame_without_its_columns_is_refused_by_name() -> None:
    with pytest.raises(
        DataError, match=r"scores\.by_class should have the columns \['class', 'score'\]; \['score'\] are missing"
    ):
        Scores(by_class=pd.DataFrame({"class": ["a"]}))


def test_an_empty_frame_wants_no_columns() -> None:
    assert Scores(by_class=pd.DataFrame()).by_class.empty


def test_a_confusion_that_is_not_square_is_refused() -> None:
    with pytest.raises(DataError, match=r"curves\.confusion should have the same rows as columns"):
        Curves(confusion=pd.DataFrame([[1, 2]], index=["a"], columns=["a", "b"]))
