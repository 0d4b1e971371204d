"""Some nights: every policy of the file, as its schedule would start it, through the real handler in act mode.

The ledger is a table of the same simulated cloud. In the middle of a sweep an operator may give a tag that protects.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time, timedelta
from functools import cache
from random import Random
from typing import Any

from curfew.app import App
from curfew.config.policy_file import PolicyFile
from curfew.config.settings import Settings
from curfew.core.errors import CurfewError
from curfew.core.lease import LAUNCH_ID_TAG, instant_of
from curfew.core.target import Mode, Target
from curfew.handlers import launch, sweep
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.providers.ec2.provider import Ec2Provider
from curfew.schemas.messages import LaunchRequest, SweepRequest
from curfew.schemas.templates import FleetEntry

from ..checkers.oracle import ALWAYS, is_selected, old_enough, protection_of
from ..cloud.faults import PROFILES
from ..cloud.transport import Cloud
from ..cloud.world import ACCOUNT, World
from ..history.history import History
from ..history.invocation import Invocation
from ..simulation.process import KilledError
from .application import Context, Parameters, RehearsedApp, client, listening
from .night import Night, Swept
from .population import Population

HOME = "eu-central-1"
TABLE = "curfew-ledger"
BEDTIME = time(22)
TIMEOUT = timedelta(seconds=900)  # as the template has it
FIRST_SHARE = 0.7  # of the machines are there on the first night; the others come later
MOST_OF_A_FLEET = 3


def _on_ec2(policies: PolicyFile) -> PolicyFile:
    """The same file without its OpenStack clouds, and what is launched there: the simulated cloud is EC2's."""
    content = policies.content
    fleets = {n: e for n, e in content.fleets.items() if isinstance(e, FleetEntry)}
    targets = content.targets.model_copy(update={"clouds": {}})
    return replace(
        policies, content=content.model_copy(update={"fleets": fleets, "targets": targets})
    )


class Rehearsal:
    """A policy file in a world of its seed."""

    def __init__(
        self, policies: PolicyFile, *, seed: int, faults: str, nights: int, instances: int
    ) -> None:
        policies = _on_ec2(policies)
        self.policies, self.seed, self.faults = policies, seed, faults
        self.nights: list[Night] = []
        self.fleets: list[str] = []
        self.unlaunched: list[str] = []
        self._count, self._instances = nights, instances
        self._rng = Random(f"{seed}/rehearsal")
        self.world = World(seed=seed, throttled=faults != "calm")
        self.world.opted_out.clear()  # whatever regions the file names
        start = instant_of(BEDTIME, policies.timezone, self.world.clock.now())
        self.world.clock.advance(start - self.world.clock.now() - timedelta(hours=10))
        self._cloud = Cloud(self.world)
        self._swept: Swept | None = None
        self._cut_off = start
        self._tag_at = 0  # the step of the current sweep at which an operator gives a tag
        entries = policies.content.policies
        self.names = {name: entry.select.regions or (HOME,) for name, entry in entries.items()}
        self.regions = {
            name: self.world.region(ACCOUNT, name)
            for name in dict.fromkeys((HOME, *(r for some in self.names.values() for r in some)))
        }
        self.world.tables(ACCOUNT, HOME).make(TABLE)
        self.ledger = DynamoLedger(
            client(self._cloud, "dynamodb", HOME, step=self._step), TABLE, sleep=self._sleep
        )
        self._providers = {name: self._provider(name) for name in self.regions}
        self._population = Population(
            policies.content,
            {name: [self.regions[r] for r in some] for name, some in self.names.items()},
            self._rng,
        )

    def run(self, report: Callable[[int], object] = lambda _number: None) -> None:
        """Simulate all nights in sequence; ``report`` receives the number of each."""
        with listening(self._heard):
            self._run_until_settled()
            for number in range(1, self._count + 1):
                report(number)
                self._night(number)
        self.world.faults.profile = PROFILES["calm"]
        self.world.throttle = None

    @property
    def population(self) -> int:
        """How many machines there were at any time."""
        return sum(len(region.all_machines) for region in self.regions.values())

    def target(self, region: str) -> Target:
        """A region in Curfew's words."""
        return Target(provider="ec2", account=ACCOUNT, region=region)

    def history(self) -> History:
        """What happened, for the checkers. Every sweep is judged by the policies that the rehearsal has now."""
        calls = self.world.history.calls
        swept = [one for night in self.nights for one in night.sweeps]
        invocations = [self._invocation(number, one) for number, one in enumerate(swept, 1)]
        return History(
            world=self.world,
            ledger=self.ledger,
            mode=Mode.ACT,
            policies=self.policies,
            regions=tuple(self.regions),
            invocations=invocations,
            made_by={call.number: one for one in invocations for call in one.calls},
            moments={call.number: call.number for call in calls},
            reached={call.number: call.at for call in calls},
        )

    def _invocation(self, number: int, swept: Swept) -> Invocation:
        return Invocation(
            number=number,
            kind="schedule",
            who="schedule",
            about={"policy": swept.policy},
            begun_at=swept.begun_at,
            skew=timedelta(),
            cut_off=swept.cut_off,
            policies=self.policies,
            first=swept.first,
            there=swept.there,
            last=swept.last,
            ended_at=swept.ended_at,
            calls=self.world.history.calls[swept.first - 1 : swept.last],
            reports=swept.summaries,
            error=swept.error,
            killed=swept.killed,
        )

    # The world before the first night.

    def _run_until_settled(self) -> None:
        """Ten hours before the first night: two fleets of each template, of which one runs out until then."""
        for region in self.regions.values():
            region.page_size = self._rng.choice((5, 20, 1_000))
        for name, entry in self.policies.content.fleets.items():
            subnets = entry.subnets if isinstance(entry, FleetEntry) else ()
            for number, subnet in enumerate(subnets):
                zones = self.regions[HOME].zones
                self.regions[HOME].subnets[subnet] = zones[number % len(zones)]
            shortest = min(entry.ttl.max, timedelta(hours=2))
            for word, ttl in (("short", shortest), ("long", entry.ttl.max)):
                self._launch(name, f"{word}-{name}"[:40].rstrip("-"), ttl)
        self.world.faults.profile = PROFILES[self.faults]

    def _launch(self, template: str, fleet: str, ttl: timedelta) -> None:
        event = {
            "template": template, "fleet": fleet, "ttl": f"{int(ttl.total_seconds()) // 60}m", "key": fleet,
            "owner": "kim", "count": min(self.policies.content.fleets[template].count.max, MOST_OF_A_FLEET),
        }  # fmt: skip
        self._cut_off = self.world.clock.now() + TIMEOUT
        try:
            launch.launch(LaunchRequest.parse(event), self._context(), self._app())
        except CurfewError as error:
            self.unlaunched.append(f"{fleet}: {error}")
        else:
            self.fleets.append(fleet)

    # The nights.

    def _night(self, number: int) -> None:
        began = instant_of(BEDTIME, self.policies.timezone, self.world.clock.now())
        self.world.clock.advance(began - self.world.clock.now())
        first = max(1, round(self._instances * FIRST_SHARE)) if self._count > 1 else self._instances
        later = (self._instances - first) / max(self._count - 1, 1)
        due = round(later * (number - 1)) - round(later * (number - 2))
        self._population.add(first if number == 1 else due)
        night = Night(number=number, began=began)
        self.nights.append(night)
        before, calls = Counter(self.world.faults.injected), len(self.world.history.calls)
        for policy in self.names:
            self._tag_at = self._rng.randint(3, 60) if self.faults != "calm" else 0
            night.sweeps.append(self._sweep(policy, began))
            self.world.clock.advance(timedelta(seconds=self._rng.randint(60, 120)))
        night.calls = len(self.world.history.calls) - calls
        injected = Counter(self.world.faults.injected) - before
        night.faults = Counter({str(kind): times for kind, times in injected.items()})

    def _sweep(self, policy: str, at: datetime) -> Swept:
        now = self.world.clock.now()
        self._cut_off = now + TIMEOUT
        swept = Swept(
            policy=policy,
            begun_at=now,
            cut_off=self._cut_off,
            first=len(self.world.history.calls) + 1,
            there={name: frozenset(r.machines) for name, r in self.regions.items()},
        )
        event = {
            "policy": policy,
            "schedule": f"rehearsal/{policy}",
            "scheduled_at": at.isoformat(),
        }
        self._swept = swept
        try:
            sweep.sweep(SweepRequest.parse(event), self._context(), self._app())
        except KilledError as killed:
            swept.problem = swept.killed = str(killed)
        except Exception as error:  # noqa: BLE001  what the platform calls a function that failed
            swept.error = f"{type(error).__name__}: {error}"
            swept.problem = "" if swept.summaries else swept.error
        finally:
            self._swept = None
            swept.last, swept.ended_at = len(self.world.history.calls), self.world.clock.now()
        return swept

    def _heard(self, record: logging.LogRecord) -> None:
        if self._swept is None:
            return
        if (row := getattr(record, "verdict", None)) is not None:
            self._swept.rows.append({**row, "region": getattr(record, "region", "")})
        if (summary := getattr(record, "sweep", None)) is not None:
            self._swept.summaries.append(summary)

    def _step(self, **_: Any) -> None:
        """Before a call: time passes, and perhaps an operator does something."""
        self._sleep(round(0.02 + self._rng.random() * 0.2, 3))
        if self._swept and self._tag_at:
            self._tag_at -= 1
            if not self._tag_at:
                self._protect_one(self._swept.policy)

    def _protect_one(self, policy: str) -> None:
        """Protect one of the instances that the policy is after."""
        region, now = self.regions[self._rng.choice(self.names[policy])], self.world.clock.now()
        file = self.policies.content
        leases = bool(file.policies[policy].select.lease)
        due = [
            machine.id
            for machine in region.alive()
            if (
                LAUNCH_ID_TAG in machine.tags
                if leases
                else is_selected(file, machine, policy)
                and old_enough(file, machine.started_at, policy, now)
            )
            and not (machine.protected or protection_of(file, machine, policy, now))
        ]
        if due:
            id_ = self._rng.choice(sorted(due))
            region.tag(id_, **{ALWAYS.title(): "please"})
            said = f"during {policy} an operator gives {id_} the tag {ALWAYS.title()}"
            self.nights[-1].meanwhile.append(said)

    def _sleep(self, seconds: float) -> None:
        self.world.clock.sleep(seconds)
        if self.world.clock.now() >= self._cut_off:
            raise KilledError("cut off, out of time")

    # The application.

    def _app(self) -> App:
        return RehearsedApp(
            settings=Settings(region=HOME, mode=Mode.ACT, table=TABLE),
            policies=self.policies,
            ledger=self.ledger,
            provider=lambda region, _account="": self._providers[region],
            regions=lambda _account="": frozenset(self.regions),
            now=self.world.clock.now,
            sleep=self._sleep,
        )

    def _context(self) -> Any:
        return Context(
            aws_request_id="rehearsal", left=lambda: self._cut_off - self.world.clock.now()
        )

    def _provider(self, region: str) -> Ec2Provider:
        parameters: Any = Parameters()
        return Ec2Provider(
            target=self.target(region),
            read=client(self._cloud, "ec2", region, step=self._step),
            act=cache(lambda: client(self._cloud, "ec2", region, attempts=1, step=self._step)),
            ssm=lambda: parameters,
        )
