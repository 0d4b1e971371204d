"""Run `curfew` without waits for its rate limit. It still counts its calls to EC2.

Only the benchmark uses this, on its own endpoint: with waits, it would measure only a quarter of EC2's rate limit.
"""

from typing import Any

from curfew import bootstrap
from curfew.aws.rate_limit import RateLimiter
from curfew.cli import commands

PERCENT = 1_000_000_000


class Unlimited(RateLimiter):
    """A rate limiter whose buckets are never empty."""

    def __init__(self, _percent: int, **more: Any) -> None:
        super().__init__(PERCENT, **more)


if __name__ == "__main__":
    setattr(bootstrap, "RateLimiter", Unlimited)  # noqa: B010  bootstrap does not export it
    commands.main()
