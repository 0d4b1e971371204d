"""A cloud in memory: for tests, rehearsals and reading. It keeps EC2's rules where they decide who dies.

Ids that do not exist fail a whole call; one protected instance fails all of its zone, and only its zone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ..core.errors import ItemError, ProviderError
from ..core.model import ActionKind, Attributes, Instance, State, Target
from ..core.policy import Selector
from . import Launch

OPEN = Attributes(termination_protected=False, stop_protected=False)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HERE = Target(provider="memory", account="000000000000", region="nowhere-1")


class MemoryProvider:
    """One account and region of a cloud that forgets everything when the process ends.

    ``calls`` records every order that was given, in order, for whoever wants to check.
    """

    def __init__(
        self,
        instances: Iterable[Instance] = (),
        *,
        target: Target = HERE,
        attributes: Mapping[str, Attributes] | None = None,
        clock: Callable[[], datetime] = lambda: EPOCH,
    ) -> None:
        self.target = target
        self.instances = {instance.id: instance for instance in instances}
        self.attributes = dict(attributes or {})
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self._clock = clock
        self._launched: dict[str, tuple[str, ...]] = {}

    def find(self, selector: Selector, *, narrow: bool) -> Iterator[Instance]:
        """Stream what is in the states of the selector; ``narrow`` changes nothing here."""
        yield from [i for i in self.instances.values() if i.state in selector.states]

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        """Look again."""
        return {id_: self.instances[id_] for id_ in ids if id_ in self.instances}

    def protections(self, ids: Sequence[str]) -> Mapping[str, Attributes]:
        """The attributes that were given at the start, open otherwise."""
        return {id_: self.attributes.get(id_, OPEN) for id_ in ids if id_ in self.instances}

    def release(self, instances: Sequence[Instance]) -> Mapping[str, ProviderError | None]:
        """Nothing here launches anything anew."""
        return {}

    def terminate(self, ids: Sequence[str]) -> Mapping[str, State]:
        """Terminate at once what its zone allows."""
        return self._order(ActionKind.TERMINATE, ids, State.TERMINATED)

    def stop(self, ids: Sequence[str]) -> Mapping[str, State]:
        """Stop at once what its zone allows."""
        return self._order(ActionKind.STOP, ids, State.STOPPED)

    def launch(self, launch: Launch) -> tuple[Instance, ...]:
        """Launch, once per token."""
        if launch.token not in self._launched:
            self.calls.append(("launch", (launch.token,)))
            ids = tuple(f"i-{len(self.instances) + n:017x}" for n in range(launch.count))
            self._launched[launch.token] = ids
            for id_ in ids:
                self.instances[id_] = Instance(
                    id=id_,
                    target=self.target,
                    zone=launch.zone or f"{self.target.region}a",
                    state=State.RUNNING,
                    instance_type=launch.instance_type,
                    image=launch.image,
                    launched_at=self._clock(),
                    tags=dict(launch.tags),
                )
        return tuple(self.instances[id_] for id_ in self._launched[launch.token])

    def _order(self, kind: ActionKind, ids: Sequence[str], end: State) -> Mapping[str, State]:
        self.calls.append((str(kind), tuple(ids)))
        if missing := [id_ for id_ in ids if id_ not in self.instances]:
            raise ItemError(f"no such instance: {missing[0]}", code="InvalidInstanceID.NotFound")
        locked = {self.instances[id_].zone for id_ in ids if self._protected(id_)}
        before = {}
        for id_ in ids:
            if self.instances[id_].zone not in locked:
                before[id_] = self.instances[id_].state
                self.instances[id_] = replace(self.instances[id_], state=end)
        if locked:
            raise ItemError("an instance is protected", code="OperationNotPermitted")
        return before

    def _protected(self, id_: str) -> bool:
        attributes = self.attributes.get(id_, OPEN)
        return attributes.termination_protected or attributes.stop_protected
