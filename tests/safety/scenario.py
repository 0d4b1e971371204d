"""Scenarios that fail without a certain safeguard, and a check that disables the safeguard."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from curfew_simulator.ablation.safeguards import SAFEGUARDS
from curfew_simulator.patching import Disable, patching


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that fails without a safeguard of the catalogue, by default the one with the scenario's name."""

    name: str
    holds: Callable[[], None]
    safeguard: str | Disable = ""

    @property
    def disable(self) -> Disable:
        """Return the function that disables the safeguard."""
        named = self.safeguard or self.name
        return SAFEGUARDS[named] if isinstance(named, str) else named


def detected(scenario: Scenario) -> None:
    """Assert that the scenario fails when its safeguard is disabled."""
    with patching() as put:
        scenario.disable(put)
        with pytest.raises(AssertionError):
            scenario.holds()
