"""A scenario of a safeguard, and how a test disables the safeguard."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from curfew_simulator.ablation.safeguards import SAFEGUARDS
from curfew_simulator.patching import Disable, patching


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that fails if a safeguard is disabled: one of the catalogue, by default that of the same name."""

    name: str
    holds: Callable[[], None]
    safeguard: str | Disable = ""

    @property
    def disable(self) -> Disable:
        """What disables the safeguard."""
        named = self.safeguard or self.name
        return SAFEGUARDS[named] if isinstance(named, str) else named


def detected(scenario: Scenario) -> None:
    """Disable the safeguard, and see that its scenario fails."""
    with patching() as put:
        scenario.disable(put)
        with pytest.raises(AssertionError):
            scenario.holds()
