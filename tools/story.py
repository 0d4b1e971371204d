"""What a program that watches real servers says as it goes, and how it waits: whatever is not so ends it."""

import time
from collections.abc import Callable

STARTED = time.monotonic()


def say(words: str) -> None:
    """One line with the seconds since the beginning."""
    print(f"[{time.monotonic() - STARTED:5.1f} s] {words}", flush=True)  # noqa: T201  it is what it is for


def check(what: str, is_so: bool, seen: object = None) -> None:  # noqa: FBT001
    """Something has to be so now; ``seen`` is shown where it is not."""
    if not is_so:
        raise SystemExit(f"not so: {what}" + ("" if seen is None else f"; seen: {seen}"))
    say(what)


def until(what: str, is_so: Callable[[], bool], *, patience: float) -> None:
    """Wait until something is so, for as many seconds as the patience lasts."""
    end = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"not so after {patience} s: {what}")
        time.sleep(1)
    say(what)
