"""One night of a rehearsal, and the sweeps in it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(slots=True, kw_only=True)
class Swept:
    """One policy in one night. ``first`` and ``last`` are the numbers of its calls.

    ``there`` has the instances of each region when it began. ``summaries`` has one for each region, ``rows`` every
    verdict
    that is worth a line, ``problem`` is that of a sweep which never came to a report.
    """

    policy: str
    begun_at: datetime
    cut_off: datetime
    first: int
    there: Mapping[str, frozenset[str]]
    last: int = 0
    ended_at: datetime | None = None
    summaries: list[Mapping[str, Any]] = field(default_factory=list)
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    problem: str = ""
    error: str = ""
    killed: str = ""


@dataclass(slots=True, kw_only=True)
class Night:
    """One night, with what the cloud did in it, and others."""

    number: int
    began: datetime
    sweeps: list[Swept] = field(default_factory=list)
    calls: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    meanwhile: list[str] = field(default_factory=list)
