"""Where a sweep runs, and whether it acts."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """``REPORT`` shows the plan, ``ACT`` executes it."""

    REPORT = "report"
    ACT = "act"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one sweep covers: a region of an account at a provider."""

    provider: str
    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.account}:{self.region}"
