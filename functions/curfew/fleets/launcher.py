"""*act*, for launches: executes a frozen launch until it is finished. No other module launches instances.

``core.launch`` decides the next call. This module records it, makes it and records its result. If the effect of a call
is unknown, Curfew looks for the call's token and then repeats the same call, before it tries anything else. The next
worker resumes an interrupted launch at the point where it was interrupted.
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

# Much longer than a call and the search for its token, and much shorter than the minimum age that protects a new
# instance: a launch is resumed, and its instances have their lease, before a sweep could take them for unleased ones.
LOCK = timedelta(minutes=3)
# A call is made only with this much time left; most take two seconds.
ROOM = timedelta(seconds=10)
# "From a couple of seconds up to a few minutes" is what EC2's guide on eventual consistency advises.
# Source: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
LOOKS = (0, 2, 4, 8)
PATIENCE = 4
DELIVERY_LOOKS = (0, 1, 2)


def continue_launch(
    fleet: Fleet, *, worker: str, provider: Provider, ledger: Ledger, clock: Clock
) -> Fleet:
    """Launch the instances that are still missing, while there is time, and return the fleet as it is afterwards.

    The launch stays unfinished if time is up, if the effect of a call is unknown, or if another worker holds the lock;
    it is then resumed later, with the same call. A refused call becomes the fleet's phase and problem. Raises
    LedgerError.
    """
    launch = _Launch(fleet, worker, provider, ledger, clock)
    if launch.hold():
        launch.work()
    return ledger.fleets.get(fleet.name) or fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unknown:
    """The effect of the attempt is not known yet."""

    problem: str


@dataclass(frozen=True, slots=True)
class _Launch:
    """The execution of one launch by one worker."""

    fleet: Fleet
    worker: str
    provider: Provider
    ledger: Ledger
    clock: Clock

    def hold(self) -> bool:
        """Take or extend the lock. False if another worker holds it or the launch is finished. Raises LedgerError."""
        now = self.clock.now()
        return self.ledger.fleets.lock(self.fleet, self.worker, now=now, until=now + LOCK)

    def work(self) -> None:
        """Make attempts until the launch is finished or time is up. Raises LedgerError."""
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
        register.advance(
            self.fleet, self.worker, Phase.LAUNCHING, "out of time: the launch is resumed later"
        )

    def _break_off(self, spec: LaunchSpec, attempts: Sequence[Attempt]) -> None:
        """Finish a launch that may make no further attempt, since a sweep terminates its fleet. Raises LedgerError.

        If another worker has taken over the launch, do nothing.
        """
        fleet = self.ledger.fleets.get(self.fleet.name)
        if fleet and fleet.launch_id == self.fleet.launch_id and fleet.claimed(self.clock.now()):
            had = sum(attempt.launched for attempt in attempts)
            problem = f"{had} of {spec.count} launched when the fleet was terminated"
            phase = Phase.PARTIAL if had else Phase.FAILED
            self.ledger.fleets.advance(self.fleet, self.worker, phase, problem)

    def _attempt(self, spec: LaunchSpec, attempt: Attempt, *, repeated: bool) -> Attempt | _Unknown:
        """Repeat the call until its effect is known, and record the launched instances. Raises LedgerError."""
        doubtful = repeated  # whether an earlier call with this token may have had its effect
        problem = ""
        for tries in range(1, PATIENCE + 1):
            # The instances found may not be all: only the response to the call, with the same token, names every one.
            if doubtful and len(launched := self._find_by_token(spec, attempt)) == attempt.count:
                return self._finish_attempt(attempt, AttemptResult.LAUNCHED, launched)
            if not self.clock.has(ROOM) or not self.hold():
                return _Unknown(problem=problem or "out of time: the launch is resumed later")
            if doubtful and tries > 1 and not self.provider.capabilities.idempotent_launch:
                # The call may still take effect. The worker that resumes the launch minutes later sees the result.
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
        """Return the instances launched with the token, as far as a few looks show them; a failed look shows none.

        Instances become visible one by one, so that one look may show some of them and the next others.
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
        """Record the instances and return the attempt with its result. Raises LedgerError.

        The instances come first: from then on each has its lease, even if Curfew is interrupted here.
        """
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
        """Describe the new instances, and return the final phase. Raises LedgerError.

        An instance that terminates or stops at once counts as not delivered.
        """
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
        # A broken instance still exists, uses up quota, and is terminated with the fleet's lease.
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
