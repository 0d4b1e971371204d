"""A hostile cloud: a small, deterministic EC2, with the STS, Auto Scaling and DynamoDB that matter to a janitor.

It speaks the real wire protocols, so that boto3 serialises, signs, retries and parses as ever; and it is right about
what decides who dies, and about how answers go wrong. It never ships to Lambda. See docs/hostile-cloud.md.
"""

from .ec2.region import AT_ONCE, Pace
from .faults import Fault, Kind
from .journal import Change
from .transport import Cloud
from .world import ACCOUNT, World

__all__ = ["ACCOUNT", "AT_ONCE", "Change", "Cloud", "Fault", "Kind", "Pace", "World"]
