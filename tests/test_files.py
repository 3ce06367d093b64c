"""A file is whole or is not there, and equal content has equal hashes."""

import errno
import os
import pickle
from pathlib import Path

import pytest

from casefold import files
from casefold.core import DataError


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


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "No space left on device. Make room there, "),
        (errno.EROFS, "Read-only file system. Get the rights for that, "),
        (errno.EIO, "Input/output error. Mend that, "),
    ],
)
def test_what_the_system_refuses_names_the_file_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(files.WriteError) as fault:
        files.write_text(path, "new")
    assert isinstance(fault.value, DataError) and isinstance(fault.value.__cause__, OSError)
    assert str(fault.value) == (
        f"{path} can't be written: {advice}or move its root to another disk and set CASEFOLD_STORE, CASEFOLD_RUNS or "
        "CASEFOLD_DATA to where it is. What is done stays, and the same command does only the rest"
    )
    assert str(pickle.loads(pickle.dumps(fault.value))) == str(fault.value)  # as it comes from another process
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where the folder should be")
    with pytest.raises(
        files.WriteError, match=r"a/b\.txt can't be written: File exists\. Move away what stands in its"
    ):
        files.write_text(tmp_path / "a" / "b.txt", "new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(files.WriteError, match=r"folder can't be written: Is a directory\. Move away what stands"):
        files.write_text(tmp_path / "folder", "new")


def test_a_damaged_record_says_to_remove_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in (b"", b'{"half": ', b"\xff\xff\xff\xff"):
        path.write_bytes(text)
        with pytest.raises(DataError, match=r"a\.json is damaged \(.*\); remove it, and the same command makes it"):
            files.read_record(path)


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
