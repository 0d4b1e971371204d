"""*act*: some actions of a batch that wait for one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core.plan import Action


@dataclass(slots=True)
class Batch:
    """When they were looked at, unless another call came since, and how often the call was tried."""

    actions: Sequence[Action]
    looked_at: datetime | None = None
    tries: int = 0

    def split(self) -> "list[Batch]":
        """Two groups, both to be looked at anew."""
        middle = len(self.actions) // 2
        parts = self.actions[:middle], self.actions[middle:]
        return [Batch(part, tries=self.tries) for part in parts]
