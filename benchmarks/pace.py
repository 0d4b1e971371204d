"""How long calls take that keep under a share of EC2's rate: token buckets, on a clock of their own.

EC2 gives each account a bucket for each action in each region. Those not named here share the numbers of their class.
Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

from collections.abc import Mapping

# The most tokens, and tokens a second.
LOOKS = (100.0, 20.0)
BUCKETS = {"TerminateInstances": (100.0, 5.0)}
ELSEWHERE = ("DynamoDB", "AssumeRole", "GetCallerIdentity")


def seconds(calls: Mapping[str, int], *, percent: float) -> float:
    """The least that a sweep with these calls takes in one account and region: that of its busiest action."""
    share = percent / 100
    least = 0.0
    for action, count in calls.items():
        if not action.startswith(ELSEWHERE):
            most, rate = BUCKETS.get(action, LOOKS)
            least = max(least, (count - most * share) / (rate * share))
    return least
