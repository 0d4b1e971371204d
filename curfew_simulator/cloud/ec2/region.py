"""One account's EC2 in one region: what there is, and every version of it that there was."""

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
    """How long things take: between so and so many seconds, as chance has it.

    That terminated instances stay visible for about an hour, and lose their tags on the way, is from
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html; the rest is experience.
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
    """What the account may have here. ``capacity`` is what EC2 has left in a pool of a type and a zone."""

    vcpus: int = 1_000_000
    instances: int = 1_000_000
    capacity: dict[tuple[str, str], int] = field(default_factory=dict)


class Region:
    """The state behind the EC2 and Auto Scaling operations. Tests build scenery with ``add`` and ``change``."""

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
        self.page_size = 1_000  # the most that a page has, however many are asked for
        self.opted_out: set[str | tuple[str, str]] = set()
        self.tag_lag = timedelta()  # how old the tags are that IAM looks at
        self.dark_zones: set[str] = set()  # where EC2 has an outage
        self.doomed: set[str] = set()  # the instance types that die while they are pending
        self.written: dict[str, tuple[Machine, Xml]] = {}
        self._history: dict[str, list[tuple[datetime, Machine | None]]] = {}

    def add(self, **fields: Any) -> Machine:
        """Put a machine there, as if it had long been; what is not said is ordinary. ``age`` is since its launch.

        One that is ``arriving`` was visible to no reader before now, however old it is.
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
        """Change a machine, now, as another principal would."""
        machine = replace(self.machines[id_], **fields)
        self.put(machine)
        return machine

    def tag(self, id_: str, **tags: str) -> Machine:
        """Give a machine more tags, as another principal would."""
        return self.change(id_, tags={**self.machines[id_].tags, **tags})

    def put(self, machine: Machine, *, since: datetime | None = None) -> None:
        """Keep a version of a machine."""
        self.machines[machine.id] = machine
        self._history.setdefault(machine.id, []).append((since or self.clock.now(), machine))

    def forget(self, id_: str) -> None:
        """Show a machine no more."""
        del self.machines[id_]
        self._history[id_].append((self.clock.now(), None))

    def seen(self, lag: timedelta, *, share: float = 1.0) -> dict[str, Machine]:
        """What a stale reader sees: some instances are as they were a while ago."""
        then, draw = self.clock.now() - lag, self.rng.of("stale").random
        seen: dict[str, Machine] = {}
        for id_ in self._history:
            late = share >= 1 or draw() < share
            if machine := self.version(id_, then) if late else self.machines.get(id_):
                seen[id_] = machine
        return seen

    def version(self, id_: str, at: datetime) -> Machine | None:
        """A machine as it was at some time, if it was there."""
        found = None
        for since, machine in self._history.get(id_, ()):
            if since > at:
                break
            found = machine
        return found

    @property
    def all_machines(self) -> tuple[str, ...]:
        """The id of every machine that ever was there."""
        return tuple(self._history)

    def history(self, id_: str) -> Sequence[tuple[datetime, Machine | None]]:
        """Every version of a machine and since when it was so; none is when it was shown no more."""
        return self._history.get(id_, ())

    def last(self, id_: str) -> Machine:
        """The last version of a machine that there was, gone or not."""
        return next(m for _, m in reversed(self._history[id_]) if m is not None)

    def ids(self, *states: str) -> set[str]:
        """The machines in some states."""
        return {machine.id for machine in self.machines.values() if machine.state in states}

    def alive(self) -> Iterator[Machine]:
        """The machines that have not ended."""
        return (machine for machine in self.machines.values() if not machine.state.ended)

    def record(self, change: Change, id_: str, before: Any = None) -> None:
        """Write an effect into the journal."""
        self.history_of_calls.record(
            change, id_, account=self.account, region=self.name, at=self.clock.now(), before=before
        )

    def later(self, use: str, span: Span, do: Callable[[], object]) -> None:
        """Let something happen on its own, after a while; it belongs to no call."""

        def happen() -> None:
            with self.history_of_calls.aside():
                do()

        self.clock.after(self.rng.between(use, *span), happen)

    def arn(self, kind: str, id_: str) -> str:
        """The ARN of a thing here."""
        owner = "" if kind == "image" else self.account
        return f"arn:aws:ec2:{self.name}:{owner}:{kind}/{id_}"
