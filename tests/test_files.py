"""A file is whole or is not there, and equal content has equal hashes."""

import os
from pathlib import Path

import pytest

from casefold import files


def test_a_file_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with files.atomic(path) as stream:
        stream.write(b"half")
        assert not path.exists()
        assert [part.name for part in path.parent.iterdir()] == [f".a.txt.{os.getpid()}.part"]
        stream.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError, match="killed"), files.atomic(path) as stream:
        stream.write(b"new")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(RuntimeError, match="killed"), files.atomic(tmp_path / "b.txt") as stream:
        raise RuntimeError("killed")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_json_comes_back_as_it_went(tmp_path: Path) -> None:
    content = {"case": "case2", "mean": 0.1 + 0.2, "none": None, "größe": [1, 2]}
    files.write_json(tmp_path / "a.json", content)
    assert files.read_json(tmp_path / "a.json") == content
    assert (tmp_path / "a.json").read_bytes().endswith(b"\n}\n")
    assert "größe" in (tmp_path / "a.json").read_bytes().decode()


def test_hashes_are_those_of_b2sum(tmp_path: Path) -> None:
    """`b2sum -l 64`; a part is preceded by its length in eight bytes."""
    assert files.hash_value({"a": 1, "b": [2]}) == files.hash_value({"b": [2], "a": 1}) == "6762f9be242be095"
    assert files.hash_value({"a": 1, "b": [3]}) != "6762f9be242be095"
    assert files.hash_bytes(b"ab", b"c") != files.hash_bytes(b"a", b"bc")
    (tmp_path / "a").write_bytes(b"abc")
    assert files.hash_file(tmp_path / "a") == "d8bb14d833d59559"
