"""Compute how long calls take within a share of EC2's rate, from Curfew's own table of EC2's limits.

Tokens that are already in the bucket cost no time. The computation ignores EC2's limits on instances, so that the
result is a lower bound.
"""

from collections import Counter
from collections.abc import Mapping

from curfew.aws.rate_limit import CALL_CLASSES, CHANGES, LOOKS

ELSEWHERE = ("DynamoDB", "AssumeRole", "GetCallerIdentity")


def seconds(calls: Mapping[str, int], *, percent: float) -> float:
    """Return the least seconds for these calls in one account and region, which its busiest bucket determines."""
    share = percent / 100
    counts: Counter[str] = Counter()
    for action, count in calls.items():
        if not action.startswith(ELSEWHERE):
            looks = action.startswith("Describe")  # all use one bucket
            counts["Describe" if looks else action] += count
    least = 0.0
    for action, count in counts.items():
        limits = CALL_CLASSES.get(action, LOOKS if action == "Describe" else CHANGES).calls
        least = max(least, (count - limits.size * share) / (limits.refill * share))
    return least
