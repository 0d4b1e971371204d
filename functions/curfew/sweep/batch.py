"""*act*: the actions of one call, before it is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core.plan import Action


@dataclass(slots=True)
class Batch:
    """Actions that wait for their call.

    ``looked_at`` is the time of their re-check, or None if they must be re-checked first. ``tries`` counts failures.
    """

    actions: Sequence[Action]
    looked_at: datetime | None = None
    tries: int = 0

    def split(self) -> "list[Batch]":
        """Return two halves, both to be re-checked."""
        middle = len(self.actions) // 2
        parts = self.actions[:middle], self.actions[middle:]
        return [Batch(part, tries=self.tries) for part in parts]
