"""How the safeguards between zone workers that run at the same time are disabled."""

from copy import copy
from typing import Any

from curfew.providers.ec2 import scoped_credentials
from curfew.sweep import run_state, zone_worker

from ..patching import Patch


def abort_only_one_worker(patch: Patch) -> None:
    """An abort of one zone worker stops no other."""
    begin = zone_worker.ZoneWorker.__init__

    def alone(self: zone_worker.ZoneWorker, shared: run_state.RunState) -> None:
        own: Any = copy(shared)

        def halt(reason: str, **more: Any) -> None:
            run_state.RunState.abort(own, reason, **more)
            shared.abort(reason, **more)

        own.abort = halt
        begin(self, own)

    patch(zone_worker.ZoneWorker, "__init__", alone)


def share_credentials(patch: Patch) -> None:
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

    patch(scoped_credentials, "_ACTIVE", Pocket())
