"""One call as a service receives it, with its caller and its faults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .faults import Fault, FaultKind
from .iam import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One call. The service applies the ``faults`` that shape a response: stale reads, odd pages, missing ids."""

    operation: str
    arguments: dict[str, Any]
    principal: Principal
    faults: Mapping[FaultKind, Fault] = field(default_factory=dict)
