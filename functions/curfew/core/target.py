"""Where a sweep looks, and whether it acts."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """``REPORT`` shows the plan, ``ACT`` executes it."""

    REPORT = "report"
    ACT = "act"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to look, as a configuration names it; without an account it is the deployment's own.

    With a ``problem``, it stands for an account of which nobody can say now in which regions to look.
    """

    region: str
    account: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where one sweep looks: a provider, an account, a region."""

    provider: str
    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.account}:{self.region}"
