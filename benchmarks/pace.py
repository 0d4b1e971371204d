"""How long calls take that keep to a share of EC2's rate, by Curfew's own table of it, without waiting for them.

What is in the bucket already is not waited for. That EC2 counts instances as well is left out, so it takes as long at
least.
"""

from collections import Counter
from collections.abc import Mapping

from curfew.aws.rate_limit import CALL_CLASSES, CHANGES, LOOKS

ELSEWHERE = ("DynamoDB", "AssumeRole", "GetCallerIdentity")


def seconds(calls: Mapping[str, int], *, percent: float) -> float:
    """The least that a sweep with these calls takes in one account and region: that of its busiest bucket."""
    share = percent / 100
    counts: Counter[str] = Counter()
    for action, count in calls.items():
        if not action.startswith(ELSEWHERE):
            looks = action.startswith("Describe")  # all from one bucket
            counts["Describe" if looks else action] += count
    least = 0.0
    for action, count in counts.items():
        limits = CALL_CLASSES.get(action, LOOKS if action == "Describe" else CHANGES).calls
        least = max(least, (count - limits.size * share) / (limits.refill * share))
    return least
