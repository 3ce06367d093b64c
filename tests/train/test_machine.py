import subprocess
import sys

from casefold.train.machine import cpu_seconds, surroundings

BUSY = """
import subprocess, sys, time
grandchild = "import time\\nwhile time.process_time() < 0.5: pass"
subprocess.run([sys.executable, "-c", grandchild])
print("busy no longer", flush=True)
sys.stdin.read()
"""


def test_cpu_seconds_count_a_child_still_alive_and_what_it_started() -> None:
    before = cpu_seconds()
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "busy no longer\n"
        while_alive = cpu_seconds()
    assert while_alive - before >= 0.5  # the grandchild ended after half a second of CPU time
    assert cpu_seconds() >= while_alive


def test_surroundings_name_versions_and_hardware() -> None:
    told = surroundings()
    assert told["versions"]["torch"] is not None
    assert set(told["machine"]) == {"processor", "cores", "memory_gb", "gpus"}
    assert told["machine"]["memory_gb"] > 0
