"""Guesses and their reasons, and the YAML that holds both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import yaml

Value = TypeVar("Value")
WIDTH = 110


class Finding(NamedTuple, Generic[Value]):
    """A value, why it was guessed so, and what a person should check (empty: nothing)."""

    value: Value
    why: str = ""
    check: str = ""


@dataclass
class Guess:
    """A data set's config in the making. base: the folder below the one given that is the root, `.` or a path."""

    fields: dict[str, Finding[Any]] = field(default_factory=dict)
    base: str = "."

    def add(self, name: str, value: Any, why: str = "", check: str = "") -> None:
        """Set a field."""
        self.fields[name] = Finding(value, why, check)

    def content(self) -> dict[str, Any]:
        """The config as YAML would give it."""
        return {name: entry.value for name, entry in self.fields.items()}

    def checks(self) -> list[str]:
        """A line for each field that wants a person's eye."""
        return [f"{name}: {entry.check}" for name, entry in self.fields.items() if entry.check]


def write_yaml(heading: Sequence[str], fields: dict[str, Finding[Any]]) -> str:
    """YAML with the reasons as comments above each field."""
    pieces = [_comment(line) for line in heading]
    for name, entry in fields.items():
        if entry.why:
            pieces.append(_comment(entry.why))
        if entry.check:
            pieces.append(_comment(f"CHECK: {entry.check}"))
        flow = yaml.safe_dump([entry.value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=WIDTH)
        pieces.append(f"{name}: {flow.strip()[1:-1]}\n")
    return "".join(pieces)


def some(items: Sequence[object], most: int = 5) -> str:
    """The first few of many things, and how many more there are."""
    listed = ", ".join(map(str, items[:most]))
    return listed + (f" and {len(items) - most} more" if len(items) > most else "")


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in text.splitlines())
