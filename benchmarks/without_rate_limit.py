"""`curfew`, which keeps count of its calls to EC2 as ever, and never waits for its rate.

Only the benchmark's endpoint is called like this: at a quarter of EC2's rate, a clock would measure EC2's limits alone.
"""

from typing import Any

from curfew import bootstrap
from curfew.aws.rate_limit import RateLimiter
from curfew.cli import commands

PERCENT = 1_000_000_000


class Unlimited(RateLimiter):
    """Buckets that are never empty."""

    def __init__(self, _percent: int, **more: Any) -> None:
        super().__init__(PERCENT, **more)


if __name__ == "__main__":
    setattr(bootstrap, "RateLimiter", Unlimited)  # noqa: B010  it is no export of bootstrap's
    commands.main()
