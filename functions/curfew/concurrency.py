"""Runs independent tasks of one invocation, in sequence or in threads."""

from collections.abc import Callable, Sequence
from threading import Lock, Thread

# How many zones are processed at a time; a region has three to six.
LANES = 4

type Piece = Callable[[], None]
type Abreast = Callable[[Sequence[Piece]], None]


def in_turn(pieces: Sequence[Piece]) -> None:
    """Run the tasks one after the other, in order."""
    for piece in pieces:
        piece()


def threads(most: int) -> Abreast:
    """Return a function that runs at most ``most`` tasks at a time and starts them in order.

    It returns when all tasks have ended. After a failure it starts no further task and raises the first error. The
    calling thread takes part; if the system refuses further threads, fewer tasks run at a time.
    """

    def abreast(pieces: Sequence[Piece]) -> None:
        waiting, lock = iter(pieces), Lock()
        faults: list[BaseException] = []

        def work() -> None:
            while True:
                with lock:
                    piece = None if faults else next(waiting, None)
                if piece is None:
                    return
                try:
                    piece()
                except BaseException as fault:  # noqa: BLE001  the calling thread raises it
                    faults.append(fault)

        helpers: list[Thread] = []
        for _ in range(min(most, len(pieces)) - 1):
            helper = Thread(target=work)
            try:
                helper.start()
            except RuntimeError:
                break
            helpers.append(helper)
        work()
        for helper in helpers:
            helper.join()
        if faults:
            raise faults[0]

    return abreast
