"""The fleet that everybody sweeps: the same in every run, made from nothing but its size.

The work: terminate what is running, has the tag ``janitor=ephemeral`` and is older than seven days. That is one in
ten. No instance is within half a day of the seven, so the answer does not change while a benchmark lasts. Instances
that have the tag and do not run are young, so a peer that reads every instance and judges by tag and age alone
selects the same ones.
Nothing is protected or managed by a service, so that all peers have the same answer as Curfew, whose rules would
spare such instances and theirs would not.
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
    """One instance, as far as a peer asks; ``digest`` is where the rest of its description comes from."""

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
        """Whether the sweep has to end it."""
        old = now - self.launched > timedelta(days=DAYS)
        return self.state == "running" and self.tags.get(TAG) == VALUE and old


def fleet(size: int, *, account: str, region: str, now: datetime) -> list[Machine]:
    """That many instances, in the order in which they are listed."""
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
