"""The random numbers of a world, all from its one seed."""

from datetime import timedelta
from random import Random


class Rng:
    """One random stream for each use, so that one more draw for one use changes no other."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, Random] = {}

    def of(self, use: str) -> Random:
        """Return the random stream of a use."""
        if use not in self._streams:
            self._streams[use] = Random(f"{self.seed}/{use}")
        return self._streams[use]

    def between(self, use: str, least: int, most: int) -> timedelta:
        """Return a random duration of ``least`` to ``most`` seconds."""
        return timedelta(seconds=self.of(use).randint(least, most))

    def id(self, prefix: str, digits: int = 17) -> str:
        """Return a random id in AWS's format, such as ``i-0a1b2c3d4e5f67890``."""
        return f"{prefix}-{self.of('ids').getrandbits(4 * digits):0{digits}x}"
