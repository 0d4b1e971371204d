"""The fleet that all programs sweep. It depends only on its size, account, region and the time.

The work: terminate the instances that run, have the tag ``janitor=ephemeral`` and are older than seven days. That is
one in ten. The age of every instance differs from seven days by at least half a day, so the selection does not change
during a benchmark. Instances that have the tag and do not run are young, so a peer that selects by tag and age alone
selects the same ones.
No instance is protected or managed by a service: Curfew's rules would keep such instances and those of the peers
would not, so that the selections would differ.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

REGIONS = (
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ca-central-1",
    "sa-east-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-central-1",
    "eu-north-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
)
ACCOUNT = "123456789012"
DAYS = 7
TAG, VALUE = "janitor", "ephemeral"
TYPES = ("t3.medium", "t3.large", "m6i.large", "m7g.xlarge", "c6i.2xlarge", "r6i.xlarge")
STAGES = ("dev", "test", "staging", "demo")


@dataclass(slots=True)
class Machine:
    """One instance with the attributes that programs select by. The rest of its description derives from ``digest``."""

    id: str
    account: str
    region: str
    digest: str
    state: str
    launched: datetime
    tags: dict[str, str]
    type: str
    zone: str

    def due(self, now: datetime) -> bool:
        """Return whether a sweep has to terminate it."""
        old = now - self.launched > timedelta(days=DAYS)
        return self.state == "running" and self.tags.get(TAG) == VALUE and old


def fleet(size: int, *, account: str, region: str, now: datetime) -> list[Machine]:
    """Return ``size`` instances, in the order of the listing."""
    return [_machine(number, account, region, now) for number in range(size)]


def _machine(number: int, account: str, region: str, now: datetime) -> Machine:
    digest = hashlib.sha256(f"{account}/{region}/{number}".encode()).hexdigest()
    state, tagged, old, type_, zone, age, team = (
        int(digest[at : at + 6], 16) for at in range(0, 42, 6)
    )
    runs = state % 100 < 80
    ephemeral = tagged % 4 == 0
    aged = old % 2 == 0 and (runs or not ephemeral)
    hours = 180 + age % 156 if aged else 1 + age % 155  # 7.5 to 14 days, or 1 hour to 6.5 days
    tags = {
        "Name": f"team-{team % 40:02}-worker-{number:06}",
        "Environment": STAGES[team % 4],
        "Owner": f"owner-{tagged % 500}@example.com",
        "CostCenter": f"CC-{zone % 900 + 100}",
        "Project": f"project-{type_ % 120}",
        "ManagedBy": "terraform",
        "aws:ec2launchtemplate:id": f"lt-0{digest[:16]}",
        "aws:ec2launchtemplate:version": str(team % 30),
    }
    if ephemeral:
        tags[TAG] = VALUE
    elif age % 3 == 0:
        tags["aws:autoscaling:groupName"] = f"team-{team % 40:02}-workers"
    return Machine(
        id=f"i-0{digest[-16:]}",
        account=account,
        region=region,
        digest=digest,
        state="running" if runs else ("stopped", "stopped", "stopping", "pending")[old % 4],
        launched=now - timedelta(hours=hours, seconds=age % 3_600),
        tags=tags,
        type=TYPES[type_ % len(TYPES)],
        zone=region + "abc"[zone % 3],
    )
