"""A cloud in memory, for tests and rehearsals. It follows EC2's rules where they decide which instances end.

An id that does not exist fails the whole call; a protected instance fails all of its zone, and no other zone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, islice

from ..core.errors import (
    CapacityError,
    ItemError,
    MismatchError,
    ProtectedError,
    ProviderError,
    RefusedError,
    RequestError,
)
from ..core.instance import ActionKind, Attributes, Instance, State
from ..core.launch import Pool
from ..core.policy import Selector, mismatch
from ..core.target import Target
from . import own_tags
from .base import Capabilities, LaunchCall, Listing

OPEN = Attributes(termination_protected=False, stop_protected=False)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HERE = Target(provider="memory", account="000000000000", region="nowhere-1")


class MemoryProvider:
    """One account and region of a cloud that exists until the process ends.

    ``calls`` has every call that changes something, in order. ``capacity`` is what each pool has left, unlimited
    without an entry; ``zones`` has the zone of each subnet, ``parameters`` the values of SSM parameters.
    """

    capabilities = Capabilities(
        ids_per_call=1_000,
        idempotent_launch=True,
        shelves=True,
        scoped_credentials=False,
        ends_for_sure=True,
        attributes=True,
    )

    def __init__(
        self,
        instances: Iterable[Instance] = (),
        *,
        target: Target = HERE,
        attributes: Mapping[str, Attributes] | None = None,
        clock: Callable[[], datetime] = lambda: EPOCH,
        capacity: Mapping[Pool, int] | None = None,
        zones: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.target = target
        self.instances = {instance.id: instance for instance in instances}
        self.attributes = dict(attributes or {})
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.capacity = dict(capacity or {})
        self.zones = dict(zones or {})
        self.parameters = dict(parameters or {})
        self._clock = clock
        self._launched: dict[str, tuple[LaunchCall, tuple[str, ...]]] = {}

    def find(self, selector: Selector, *, narrow: bool) -> Iterator[Instance]:
        """Yield the instances in the selector's states; ``narrow`` has no effect."""
        yield from [i for i in self.instances.values() if i.state in selector.states]

    def page(self, selector: Selector, *, limit: int, after: str = "") -> Listing:
        """Return exactly ``limit`` instances, or the last ones; ``after`` is the number of instances before."""
        start = int(after) if after.isdecimal() else 0
        selected = [i for i in self.instances.values() if mismatch(i, selector) is None]
        if after and not 0 < start < len(selected):
            raise RequestError("the page token is not valid: begin at the first page")
        end = start + max(limit, 1)
        return Listing(
            instances=tuple(selected[start:end]), after=str(end) if end < len(selected) else ""
        )

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        """Return the current descriptions."""
        return {id_: self.instances[id_] for id_ in ids if id_ in self.instances}

    def protections(self, ids: Sequence[str]) -> Mapping[str, Attributes]:
        """Return the attributes that the test set, by default none that protects."""
        return {id_: self.attributes.get(id_, OPEN) for id_ in ids if id_ in self.instances}

    def release(
        self, instances: Sequence[Instance], *, by: str
    ) -> Mapping[str, ProviderError | None]:
        """Cancel nothing: this cloud never relaunches."""
        return {}

    def terminate(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Terminate the instances immediately, except in a zone with a protected one."""
        return self._end(ActionKind.TERMINATE, ids, State.TERMINATED)

    def stop(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Stop the instances immediately, except in a zone with a protected one."""
        return self._end(ActionKind.STOP, ids, State.STOPPED)

    def shelve(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Shelve the instances immediately, except in a zone with a protected one."""
        return self._end(ActionKind.SHELVE, ids, State.STOPPED)

    def usable(self) -> bool:
        """Return True: this cloud has one region, which is always enabled."""
        return True

    def image(self, name: str) -> str:
        """Return an id unchanged; after ``resolve:ssm:``, the parameter's value."""
        parameter = name.removeprefix("resolve:ssm:")
        if parameter == name:
            return name
        if parameter not in self.parameters:
            raise RefusedError(
                f"the parameter {parameter}: it does not exist", code="ParameterNotFound"
            )
        value = self.parameters[parameter]
        if not value.startswith("ami-"):
            raise RefusedError(f"the parameter {parameter}: its value is not the id of an image")
        return value

    def launch(self, launch: LaunchCall, *, by: str) -> tuple[Instance, ...]:
        """Launch what the pool has, once per token; the instances run immediately."""
        self.calls.append(("launch", (launch.token,)))
        if launch.token not in self._launched:
            self._launched[launch.token] = (launch, self._launch(launch))
        first, ids = self._launched[launch.token]
        if first != launch:
            code = "IdempotentParameterMismatch"
            raise MismatchError("the token belongs to another call", code=code)
        if all(self.instances[id_].state is State.TERMINATED for id_ in ids):
            code = "IdempotentInstanceTerminated"
            raise MismatchError("what the token launched is terminated", code=code)
        return tuple(self.instances[id_] for id_ in ids)

    def launched(self, token: str) -> tuple[Instance, ...]:
        """Return the instances launched with the token."""
        _, ids = self._launched.get(token, (None, ()))
        return tuple(self.instances[id_] for id_ in ids if id_ in self.instances)

    def label(self, ids: Sequence[str], tags: Mapping[str, str], *, by: str) -> None:
        """Write the tags to all instances, or to none if one does not exist."""
        own_tags.check(tags)
        self._recorded("label", ids)
        for id_ in ids:
            tagged = {**self.instances[id_].tags, **tags}
            self.instances[id_] = replace(self.instances[id_], tags=tagged)

    def _launch(self, launch: LaunchCall) -> tuple[str, ...]:
        pool = Pool(instance_type=launch.instance_type, subnet=launch.subnet)
        available = min(self.capacity.get(pool, launch.count), launch.count)
        if available < 1:
            code = "InsufficientInstanceCapacity"
            raise CapacityError(f"there is no capacity for {pool}", code=code)
        if pool in self.capacity:
            self.capacity[pool] -= available
        numbers = count(len(self.instances))
        free = (i for i in map("i-{:017x}".format, numbers) if i not in self.instances)
        ids = tuple(islice(free, available))
        for id_ in ids:
            self.instances[id_] = Instance(
                id=id_,
                target=self.target,
                zone=self.zones.get(launch.subnet, f"{self.target.region}a"),
                state=State.RUNNING,
                instance_type=launch.instance_type,
                image=launch.image,
                started_at=self._clock(),
                tags=dict(launch.tags),
                lifecycle="spot" if launch.spot else "on-demand",
            )
        return ids

    def _end(self, kind: ActionKind, ids: Sequence[str], end: State) -> Mapping[str, State]:
        self._recorded(str(kind), ids)
        locked = {self.instances[id_].zone for id_ in ids if self._protected(id_)}
        before = {}
        for id_ in ids:
            if self.instances[id_].zone not in locked:
                before[id_] = self.instances[id_].state
                self.instances[id_] = replace(self.instances[id_], state=end)
        if locked:
            raise ProtectedError("an instance is protected", code="OperationNotPermitted")
        return before

    def _recorded(self, name: str, ids: Sequence[str]) -> None:
        self.calls.append((name, tuple(ids)))
        if missing := [id_ for id_ in ids if id_ not in self.instances]:
            raise ItemError(f"no such instance: {missing[0]}", code="InvalidInstanceID.NotFound")

    def _protected(self, id_: str) -> bool:
        attributes = self.attributes.get(id_, OPEN)
        return attributes.termination_protected or attributes.stop_protected
