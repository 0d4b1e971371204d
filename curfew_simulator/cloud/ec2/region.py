"""One account's EC2 in one region: its instances, Spot requests and groups, and every version of each instance."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ..clock import Clock
from ..history import Change, CloudHistory
from ..protocols import Xml
from ..rng import Rng
from .machine import Machine, SpotRequest, State, Volume

type Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long each change takes: a random time between two numbers of seconds.

    That terminated instances stay visible for about an hour, and lose their tags on the way, is from
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html; the other times are
    from experience.
    """

    pending: Span = (5, 30)
    stopping: Span = (10, 60)
    shutting_down: Span = (10, 60)
    visible: Span = (3_300, 3_900)
    tags_go: Span = (60, 3_000)
    relaunch: Span = (20, 120)
    replacement: Span = (30, 180)


NONE: Span = (0, 0)
AT_ONCE = Pace(pending=NONE, stopping=NONE, shutting_down=NONE, relaunch=NONE, replacement=NONE)


@dataclass(slots=True, kw_only=True)
class Limits:
    """The account's limits in this region. ``capacity`` is how many instances EC2 has left for a type and a zone."""

    vcpus: int = 1_000_000
    instances: int = 1_000_000
    capacity: dict[tuple[str, str], int] = field(default_factory=dict)


class Region:
    """The state behind the EC2 and Auto Scaling operations. Tests prepare it with ``add`` and ``change``."""

    def __init__(
        self, *, account: str, name: str, clock: Clock, rng: Rng, history: CloudHistory, pace: Pace
    ) -> None:
        self.account, self.name, self.pace = account, name, pace
        self.clock, self.rng, self.history_of_calls = clock, rng, history
        self.zones = tuple(name + letter for letter in "abc")
        self.subnets = {f"subnet-{number:017x}": zone for number, zone in enumerate(self.zones)}
        self.machines: dict[str, Machine] = {}
        self.spot_requests: dict[str, SpotRequest] = {}
        self.groups: dict[str, Any] = {}
        self.side_tags: dict[str, dict[str, str]] = {}  # of volumes and network interfaces
        self.limits = Limits()
        self.launches: dict[tuple[str, str], Any] = {}
        self.cursors: dict[str, tuple[str, ...]] = {}
        self.page_size = 1_000  # the most instances in a page, whatever the call asks for
        self.opted_out: set[str | tuple[str, str]] = set()
        self.tag_lag = timedelta()  # the age of the tags that IAM evaluates
        self.dark_zones: set[str] = set()  # the zones in which EC2 has an outage
        self.doomed: set[str] = set()  # the instance types that terminate while they are pending
        self.written: dict[str, tuple[Machine, Xml]] = {}
        self._history: dict[str, list[tuple[datetime, Machine | None]]] = {}

    def add(self, **fields: Any) -> Machine:
        """Add a machine that has existed for its ``age``, and return it. Omitted fields have ordinary values.

        An ``arriving`` machine becomes visible to readers only now, whatever its age.
        """
        now = self.clock.now()
        launched = now - fields.pop("age", timedelta(hours=9))
        since = now if fields.pop("arriving", False) else launched
        ordinary: dict[str, Any] = {
            "id": fields.get("id") or self.rng.id("i"),
            "zone": self.zones[0],
            "started_at": launched,
            "since": launched,
            "reservation": self.rng.id("r"),
            "volumes": (Volume(id=self.rng.id("vol")),),
        }
        machine = Machine(**(ordinary | fields))
        machine = replace(machine, state=State(machine.state))
        self.put(machine, since=since)
        return machine

    def change(self, id_: str, **fields: Any) -> Machine:
        """Change a machine now, as another principal would, and return its new version."""
        machine = replace(self.machines[id_], **fields)
        self.put(machine)
        return machine

    def tag(self, id_: str, **tags: str) -> Machine:
        """Add tags to a machine, as another principal would, and return its new version."""
        return self.change(id_, tags={**self.machines[id_].tags, **tags})

    def put(self, machine: Machine, *, since: datetime | None = None) -> None:
        """Store a new version of a machine."""
        self.machines[machine.id] = machine
        self._history.setdefault(machine.id, []).append((since or self.clock.now(), machine))

    def forget(self, id_: str) -> None:
        """Remove a machine from the listings."""
        del self.machines[id_]
        self._history[id_].append((self.clock.now(), None))

    def seen(self, lag: timedelta, *, share: float = 1.0) -> dict[str, Machine]:
        """Return what a stale reader sees: a random ``share`` of the instances in their version of ``lag`` ago."""
        then, draw = self.clock.now() - lag, self.rng.of("stale").random
        seen: dict[str, Machine] = {}
        for id_ in self._history:
            late = share >= 1 or draw() < share
            if machine := self.version(id_, then) if late else self.machines.get(id_):
                seen[id_] = machine
        return seen

    def version(self, id_: str, at: datetime) -> Machine | None:
        """Return the version of a machine at a time, or None if it did not exist then."""
        found = None
        for since, machine in self._history.get(id_, ()):
            if since > at:
                break
            found = machine
        return found

    @property
    def all_machines(self) -> tuple[str, ...]:
        """Return the id of every machine that has ever existed here."""
        return tuple(self._history)

    def history(self, id_: str) -> Sequence[tuple[datetime, Machine | None]]:
        """Return every version of a machine with the time it began. None means that EC2 no longer lists the machine."""
        return self._history.get(id_, ())

    def last(self, id_: str) -> Machine:
        """Return the latest version of a machine, even if EC2 no longer lists it."""
        return next(m for _, m in reversed(self._history[id_]) if m is not None)

    def ids(self, *states: str) -> set[str]:
        """Return the ids of the machines in the given states."""
        return {machine.id for machine in self.machines.values() if machine.state in states}

    def alive(self) -> Iterator[Machine]:
        """Yield the machines that are neither terminating nor terminated."""
        return (machine for machine in self.machines.values() if not machine.state.ended)

    def record(self, change: Change, id_: str, before: Any = None) -> None:
        """Record an effect in the history."""
        self.history_of_calls.record(
            change, id_, account=self.account, region=self.name, at=self.clock.now(), before=before
        )

    def later(self, use: str, span: Span, do: Callable[[], object]) -> None:
        """Call ``do`` after a random time within ``span``. Its effects belong to no call."""

        def happen() -> None:
            with self.history_of_calls.aside():
                do()

        self.clock.after(self.rng.between(use, *span), happen)

    def arn(self, kind: str, id_: str) -> str:
        """Return the ARN of a resource in this region."""
        owner = "" if kind == "image" else self.account
        return f"arn:aws:ec2:{self.name}:{owner}:{kind}/{id_}"
