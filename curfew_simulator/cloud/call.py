"""What a service is handed: a call with its caller and its faults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .faults import Fault, FaultKind
from .iam import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One call. ``faults`` are those that bend its answer from inside: stale reads, pages, what is left out."""

    operation: str
    arguments: dict[str, Any]
    principal: Principal
    faults: Mapping[FaultKind, Fault] = field(default_factory=dict)
