"""Runs independent tasks of one invocation, in sequence or in threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock

# How many zones are processed at a time; a region has three to six.
ZONES_AT_ONCE = 4

type Task = Callable[[], None]
type TaskRunner = Callable[[Sequence[Task]], None]


def run_sequentially(tasks: Sequence[Task]) -> None:
    """Run the tasks one after the other, in order."""
    for task in tasks:
        task()


def run_in_threads(most: int) -> TaskRunner:
    """Return a function that runs at most ``most`` tasks at a time and starts them in order.

    It returns when all tasks have ended. After a failure it starts no further task and raises the first error. The
    calling thread takes part; if the system refuses further threads, fewer tasks run at a time.
    """

    def run(tasks: Sequence[Task]) -> None:
        waiting, lock = iter(tasks), Lock()
        faults: list[BaseException] = []

        def work() -> None:
            while True:
                with lock:
                    task = None if faults else next(waiting, None)
                if task is None:
                    return
                try:
                    task()
                except BaseException as fault:  # noqa: BLE001  the calling thread raises it
                    faults.append(fault)

        with ThreadPoolExecutor(most) as pool:
            with suppress(RuntimeError):  # the system refuses further threads
                for _ in range(min(most, len(tasks)) - 1):
                    pool.submit(work)
            work()
        if faults:
            raise faults[0]

    return run
