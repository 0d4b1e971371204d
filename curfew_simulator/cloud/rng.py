"""Everything random in a world, from its one seed."""

from datetime import timedelta
from random import Random


class Rng:
    """One stream of chance for each use, so that one use more in one place changes nothing in another."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, Random] = {}

    def of(self, use: str) -> Random:
        """The stream of a use."""
        if use not in self._streams:
            self._streams[use] = Random(f"{self.seed}/{use}")
        return self._streams[use]

    def between(self, use: str, least: int, most: int) -> timedelta:
        """A time of some seconds."""
        return timedelta(seconds=self.of(use).randint(least, most))

    def id(self, prefix: str, digits: int = 17) -> str:
        """An id as AWS makes them, such as ``i-0a1b2c3d4e5f67890``."""
        return f"{prefix}-{self.of('ids').getrandbits(4 * digits):0{digits}x}"
