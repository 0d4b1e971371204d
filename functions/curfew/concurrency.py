"""Side by side: how independent pieces of one invocation are run, as everybody is handed it."""

from collections.abc import Callable, Sequence
from threading import Lock, Thread

# So many zones at a time; a region has three to six.
LANES = 4

type Piece = Callable[[], None]
type Abreast = Callable[[Sequence[Piece]], None]


def in_turn(pieces: Sequence[Piece]) -> None:
    """One after the other, in their order."""
    for piece in pieces:
        piece()


def threads(most: int) -> Abreast:
    """So many at a time, begun in their order. Returns when all have ended; raises what the first one to fail raised,
    after which none is begun.

    The caller's own thread is one of them. Where the system gives no further one, fewer go at a time.
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
                except BaseException as fault:  # noqa: BLE001  it is raised where it can be seen
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
