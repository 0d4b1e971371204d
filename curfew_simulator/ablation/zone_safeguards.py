"""The belts between lanes that go side by side, and how to take them out."""

from copy import copy
from typing import Any

from curfew.providers.ec2 import scoped_credentials
from curfew.sweep import run_state, zone_worker

from .patching import Put


def each_lane_for_itself(put: Put) -> None:
    """What stops one lane stops no other."""
    begin = zone_worker.Lane.__init__

    def alone(self: zone_worker.Lane, shared: run_state.Run) -> None:
        own: Any = copy(shared)

        def halt(reason: str, **more: Any) -> None:
            run_state.Run.halt(own, reason, **more)
            shared.halt(reason, **more)

        own.halt = halt
        begin(self, own)

    put(zone_worker.Lane, "__init__", alone)


def one_pocket(put: Put) -> None:
    """What one lane has borrowed, any other signs with."""

    class Pocket:
        held: Any = None

        def get(self) -> Any:
            return self.held

        def set(self, held: Any) -> Any:
            before, self.held = self.held, held
            return before

        def reset(self, before: Any) -> None:
            self.held = before

    put(scoped_credentials, "_LOAN", Pocket())
