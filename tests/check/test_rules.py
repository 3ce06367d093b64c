"""The one table: whole, and with a reason for everything."""

from typing import get_args

import pytest

from casefold.check.table import ACROSS, FILES, LABELS, PIXELS, RULES, SEVERITIES, Rule
from casefold.readers import FaultKind


def test_every_word_of_the_readers_has_a_rule() -> None:
    assert set(FILES) == set(get_args(FaultKind))


def test_no_kind_stands_twice() -> None:
    assert len(RULES) == len(FILES) + len(PIXELS) + len(LABELS) + len(ACROSS)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_has_a_severity_a_reason_and_an_advice(rule: Rule) -> None:
    assert rule.severity in SEVERITIES and rule.reason and rule.advice and not rule.advice.endswith(".")
