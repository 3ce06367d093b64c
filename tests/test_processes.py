"""Worker processes end with the process that started them, however that ends."""

import subprocess
import sys
from pathlib import Path

import pytest

OF_A_POOL = """
import time
from casefold.pipeline.training import pool

if __name__ == "__main__":
    with pool(2) as workers:
        list(workers.map(abs, range(8)))
        print("started", flush=True)
        time.sleep(600)
"""
OF_ITS_OWN = """
import multiprocessing, time
from casefold.processes import end_with_parent

def work(started):
    end_with_parent()
    started.set()
    time.sleep(600)

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    started = spawn.Event()
    spawn.Process(target=work, args=(started,)).start()
    started.wait()
    print("started", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("script", [OF_A_POOL, OF_ITS_OWN], ids=["pool", "process"])
def test_the_workers_of_a_killed_process_end(script: str, tmp_path: Path) -> None:
    """They hold the other end of its pipe too, so that it closes once they are gone."""
    (tmp_path / "starts.py").write_text(script)
    with subprocess.Popen([sys.executable, tmp_path / "starts.py"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline().strip() == "started"
        process.kill()
        process.communicate(timeout=60)
