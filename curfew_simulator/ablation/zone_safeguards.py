"""How the safeguards between zone workers that run at the same time are disabled."""

from copy import copy
from typing import Any

from curfew.providers.ec2 import scoped_credentials
from curfew.sweep import run_state, zone_worker

from ..patching import Put


def abort_only_one_worker(put: Put) -> None:
    """What aborts one zone worker aborts no other."""
    begin = zone_worker.Lane.__init__

    def alone(self: zone_worker.Lane, shared: run_state.Run) -> None:
        own: Any = copy(shared)

        def halt(reason: str, **more: Any) -> None:
            run_state.Run.halt(own, reason, **more)
            shared.halt(reason, **more)

        own.halt = halt
        begin(self, own)

    put(zone_worker.Lane, "__init__", alone)


def share_credentials(put: Put) -> None:
    """The scoped credentials of one zone worker sign the calls of any other."""

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
