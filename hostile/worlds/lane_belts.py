"""The belts between lanes that go side by side, and how to take them out."""

from copy import copy
from typing import Any

from curfew import lane, run
from curfew.providers import ec2_rights

from .removal import Put


def each_lane_for_itself(put: Put) -> None:
    """What stops one lane stops no other."""
    begin = lane.Lane.__init__

    def alone(self: lane.Lane, shared: run.Run) -> None:
        own: Any = copy(shared)

        def halt(reason: str, **more: Any) -> None:
            run.Run.halt(own, reason, **more)
            shared.halt(reason, **more)

        own.halt = halt
        begin(self, own)

    put(lane.Lane, "__init__", alone)


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

    put(ec2_rights, "_LOAN", Pocket())
