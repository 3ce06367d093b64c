"""Worker processes that never outlive the process that started them."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Make this worker end when the process that started it is killed.

    It would wait for work for ever, with all its memory, or write beside the next call.
    """
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
