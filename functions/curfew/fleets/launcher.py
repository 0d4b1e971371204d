"""*act*, for launches: works at a frozen launch until it is finished, and is the only module that orders a birth.

``core.launch`` says which call comes next; here it is written down, made, and settled. An answer that does not tell
is resolved by looking for the token, and then by the very same call; nothing else is tried before. A launch that
breaks off anywhere is taken up by whoever comes next, where it stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from ..clock import Clock
from ..core import audit
from ..core.errors import (
    AmbiguousError,
    CapacityError,
    MismatchError,
    ProviderError,
    ThrottledError,
)
from ..core.instance import Instance, State
from ..core.launch import Attempt, AttemptResult, Finished, LaunchSpec, next_step, token
from ..core.lease import Fleet, Phase
from ..ledger.protocols import Ledger
from ..providers.base import LaunchCall, Provider

# Much longer than any call and the looks after it, and much shorter than what is just born is spared for its youth: a
# launch that broke off is taken up, and its instances have their lease, before any sweep could take them for nobody's.
LOCK = timedelta(minutes=3)
# A call begins only with this much time left; most take two seconds.
ROOM = timedelta(seconds=10)
# "From a couple of seconds up to a few minutes" is what EC2's guide on eventual consistency advises.
# Source: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
LOOKS = (0, 2, 4, 8)
PATIENCE = 4
DELIVERY_LOOKS = (0, 1, 2)


def continue_launch(
    fleet: Fleet, *, worker: str, provider: Provider, ledger: Ledger, clock: Clock
) -> Fleet:
    """Launch what is still to be launched, while there is time, and return the fleet as it is then.

    It is unfinished if time was up, if nobody knows yet what came of a call, or if another worker is at it: then the
    same call goes on later. Raises LedgerError; what the cloud refuses becomes the fleet's phase and problem.
    """
    launch = _Launch(fleet, worker, provider, ledger, clock)
    if launch.hold():
        launch.work()
    return ledger.fleets.get(fleet.name) or fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unknown:
    """Nobody knows yet what came of the attempt."""

    problem: str


@dataclass(frozen=True, slots=True)
class _Launch:
    """One worker at one launch."""

    fleet: Fleet
    worker: str
    provider: Provider
    ledger: Ledger
    clock: Clock

    def hold(self) -> bool:
        """Take or keep the lock. Raises LedgerError."""
        now = self.clock.now()
        return self.ledger.fleets.lock(self.fleet, self.worker, now=now, until=now + LOCK)

    def work(self) -> None:
        """Attempt after attempt, until there is none to make or no time for it."""
        register = self.ledger.fleets
        spec = register.launch_spec(self.fleet.launch_id)
        while self.clock.has(ROOM) and self.hold():
            attempts = register.attempts(self.fleet.launch_id)
            step = next_step(spec, attempts)
            if isinstance(step, Finished):
                finished = self._check_delivery(step, spec)
                register.advance(self.fleet, self.worker, finished.phase, finished.problem)
                return
            repeated = step in attempts
            if not repeated and not register.begin_attempt(
                self.fleet, self.worker, step, now=self.clock.now()
            ):
                self._break_off(spec, attempts)
                return
            result = self._attempt(spec, step, repeated=repeated)
            if isinstance(result, _Unknown):
                register.advance(self.fleet, self.worker, Phase.LAUNCHING, result.problem)
                return
            register.finish_attempt(self.fleet, result)
        register.advance(self.fleet, self.worker, Phase.LAUNCHING, "out of time: it is carried on")

    def _break_off(self, spec: LaunchSpec, attempts: Sequence[Attempt]) -> None:
        """No further attempt is allowed: the fleet is being ended, or another worker has taken the launch up."""
        fleet = self.ledger.fleets.get(self.fleet.name)
        if fleet and fleet.launch_id == self.fleet.launch_id and fleet.claimed(self.clock.now()):
            had = sum(attempt.launched for attempt in attempts)
            problem = f"{had} of {spec.count} launched when the fleet was given up"
            phase = Phase.PARTIAL if had else Phase.FAILED
            self.ledger.fleets.advance(self.fleet, self.worker, phase, problem)

    def _attempt(self, spec: LaunchSpec, attempt: Attempt, *, repeated: bool) -> Attempt | _Unknown:
        """Make the call until its answer tells, and write down whoever was born. Raises LedgerError."""
        doubtful = repeated  # whether an earlier call with this token may have had its effect
        problem = ""
        for tries in range(1, PATIENCE + 1):
            # Whoever is found may not be all: only the call's own answer, to the same token, names every one.
            if doubtful and len(launched := self._find_by_token(spec, attempt)) == attempt.count:
                return self._finish_attempt(attempt, AttemptResult.LAUNCHED, launched)
            if not self.clock.has(ROOM) or not self.hold():
                return _Unknown(problem=problem or "out of time: it is carried on")
            if doubtful and tries > 1 and not self.provider.capabilities.idempotent_launch:
                # The call may still be on its way. Whoever carries on, minutes later, sees what it brought.
                return _Unknown(problem=problem)
            try:
                launched = self.provider.launch(_call(spec, attempt), by=spec.launch_id)
            except (AmbiguousError, ThrottledError) as error:
                doubtful = doubtful or isinstance(error, AmbiguousError)
                problem = str(error)
                if not self._waited(2**tries):
                    break
            except MismatchError as error:
                launched = self._find_by_token(spec, attempt)
                return self._finish_attempt(attempt, AttemptResult.MISMATCH, launched, str(error))
            except ProviderError as error:
                answer = (
                    AttemptResult.EMPTY
                    if isinstance(error, CapacityError)
                    else AttemptResult.REFUSED
                )
                launched = self._find_by_token(spec, attempt) if doubtful else ()
                return self._finish_attempt(
                    attempt, AttemptResult.LAUNCHED if launched else answer, launched, str(error)
                )
            else:
                return self._finish_attempt(attempt, AttemptResult.LAUNCHED, launched)
        return _Unknown(problem=problem)

    def _find_by_token(self, spec: LaunchSpec, attempt: Attempt) -> tuple[Instance, ...]:
        """What the token has launched, as far as it can be seen within a few looks; a failed look sees nothing.

        News gets about instance by instance, so one look may show some and another others.
        """
        seen: dict[str, Instance] = {}
        for wait in LOOKS:
            if wait and not self.clock.has(ROOM + timedelta(seconds=wait)):
                break
            self.clock.sleep(wait)
            try:
                seen |= {i.id: i for i in self.provider.launched(token(spec, attempt))}
            except ProviderError:
                continue
            if len(seen) >= attempt.count:
                break
        return tuple(seen.values())

    def _finish_attempt(
        self,
        attempt: Attempt,
        answer: AttemptResult,
        launched: Sequence[Instance],
        problem: str = "",
    ) -> Attempt:
        """Record the instances first: from then on each has its lease, whatever comes after. Raises LedgerError."""
        ids = sorted(instance.id for instance in launched)
        now = self.clock.now()
        if ids:
            self.ledger.fleets.record(self.fleet, ids, now=now)
            events = [
                audit.event(
                    "instance-launched", id_, launch_id=self.fleet.launch_id, by=self.fleet.owner, at=now,
                    fleet=self.fleet.name, attempt=attempt.number,
                )
                for id_ in ids
            ]  # fmt: skip
            self.ledger.append(self.fleet.target, events)
        return replace(attempt, result=answer, launched=len(ids), problem=problem)

    def _check_delivery(self, finished: Finished, spec: LaunchSpec) -> Finished:
        """The ending with a look at the births: an instance that dies at once was not delivered. Raises LedgerError."""
        members = self.ledger.fleets.members(self.fleet.launch_id)
        ids = [member.instance_id for member in members]
        dead: dict[str, Instance] = {}
        broken: dict[str, Instance] = {}
        for wait in DELIVERY_LOOKS if ids else ():
            if not self.clock.has(timedelta(seconds=wait)):
                break
            self.clock.sleep(wait)
            try:
                seen = self.provider.describe(ids)
            except ProviderError:
                continue
            dead = {id_: i for id_, i in seen.items() if i.state is State.TERMINATED}
            broken = {id_: i for id_, i in seen.items() if i.state is State.STOPPED}
            if len(seen) == len(ids) and all(i.state is not State.PENDING for i in seen.values()):
                break
        if not dead and not broken:
            return finished
        # Who is broken is still there, takes up a quota, and is ended with the fleet's lease.
        self.ledger.fleets.end(self.fleet.target, sorted(dead), now=self.clock.now())
        problems = "; ".join(
            f"{len(some)} of {len(ids)} launched {what}: {_reason(some)}"
            for some, what in ((dead, "ended at once"), (broken, "never ran"))
            if some
        )
        phase = Phase.FAILED if len(dead) + len(broken) == len(ids) else Phase.PARTIAL
        if finished.phase is Phase.ATTENTION:
            phase = Phase.ATTENTION
        return Finished(phase=phase, problem="; ".join(filter(None, (problems, finished.problem))))

    def _waited(self, seconds: float) -> bool:
        if not self.clock.has(ROOM + timedelta(seconds=seconds)):
            return False
        self.clock.sleep(seconds)
        return True


def _reason(some: Mapping[str, Instance]) -> str:
    return next((i.state_reason for i in some.values() if i.state_reason), "no reason given")


def _call(spec: LaunchSpec, attempt: Attempt) -> LaunchCall:
    pool = spec.pools[attempt.pool]
    return LaunchCall(
        image=spec.image,
        instance_type=pool.instance_type,
        subnet=pool.subnet,
        count=attempt.count,
        tags=spec.tags,
        token=token(spec, attempt),
        security_groups=spec.security_groups,
        key=spec.key,
        profile=spec.profile,
        user_data=spec.user_data,
        spot=spec.spot,
        networks=spec.networks,
        hints=spec.hints,
    )
