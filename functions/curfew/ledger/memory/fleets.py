"""The register of fleets in memory, with the same behaviour as the one in DynamoDB."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import RLock

from ...core.launch import Attempt, AttemptResult, LaunchSpec
from ...core.lease import Fleet, Lease, Member, Phase
from ...core.target import Target
from .. import rules
from ..records import Key, Page
from .synchronized import synchronized


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lock:
    worker: str
    taken_at: datetime
    until: datetime


class MemoryFleets:
    """Keeps every fleet until the process ends."""

    def __init__(self) -> None:
        self.mutex = RLock()
        self._fleets: dict[str, Fleet] = {}
        self._launch_specs: dict[str, LaunchSpec] = {}
        self._keys: dict[str, tuple[str, Fleet]] = {}
        self._locks: dict[str, _Lock] = {}
        self._advanced: dict[str, tuple[str, Phase, str]] = {}
        self._attempts: dict[str, dict[int, tuple[str, Attempt]]] = defaultdict(dict)
        self._members: dict[str, dict[str, Member]] = defaultdict(dict)
        self._homes: dict[tuple[Target, str], tuple[str, str]] = {}

    @synchronized
    def open(self, fleet: Fleet, spec: LaunchSpec, key: Key) -> Fleet:
        if existing := self.recall(key):
            return existing
        holder = self._fleets.get(fleet.name)
        if holder and holder.ended_at is None:
            raise rules.taken(fleet.name)
        if spec.launch_id in self._launch_specs:
            raise rules.written_already(fleet.launch_id)
        self._fleets[fleet.name] = fleet
        self._launch_specs[spec.launch_id] = spec
        self._keys[key.scope] = (key.body, fleet)
        return fleet

    def recall(self, key: Key) -> Fleet | None:
        if key.scope not in self._keys:
            return None
        body, opened = self._keys[key.scope]
        if body != key.body:
            raise rules.reused()
        fleet = self._present(opened.name, opened.launch_id)
        if fleet is None:
            raise rules.passed_on(opened.name)
        return fleet

    def get(self, name: str) -> Fleet | None:
        return self._fleets.get(name)

    def page(self, *, limit: int, after: str = "", ended: bool = False) -> Page[Fleet]:
        wanted = [
            fleet
            for name, fleet in sorted(self._fleets.items())
            if name > after and (ended or fleet.ended_at is None)
        ]
        return rules.cut(wanted[: limit + 1], limit, lambda fleet: fleet.name)

    def unfinished(self) -> Iterator[Fleet]:
        yield from [fleet for _, fleet in sorted(self._fleets.items()) if not fleet.phase.finished]

    def launch_spec(self, launch_id: str) -> LaunchSpec:
        if launch_id not in self._launch_specs:
            raise rules.no_launch_spec(launch_id)
        return self._launch_specs[launch_id]

    def attempts(self, launch_id: str) -> tuple[Attempt, ...]:
        attempts = self._attempts[launch_id]
        return tuple(attempts[number][1] for number in sorted(attempts))

    def members(self, launch_id: str) -> tuple[Member, ...]:
        members = self._members[launch_id]
        return tuple(members[id_] for id_ in sorted(members))

    @synchronized
    def lock(self, fleet: Fleet, worker: str, *, now: datetime, until: datetime) -> bool:
        there = self._present(fleet.name, fleet.launch_id)
        lock = self._locks.get(fleet.launch_id)
        if there is None or there.phase.finished:
            return False
        if lock and lock.worker != worker and now < lock.until:
            return False
        self._locks[fleet.launch_id] = _Lock(worker=worker, taken_at=now, until=until)
        return True

    @synchronized
    def begin_attempt(self, fleet: Fleet, worker: str, attempt: Attempt, *, now: datetime) -> bool:
        there = self._present(fleet.name, fleet.launch_id)
        lock = self._locks.get(fleet.launch_id)
        held = lock is not None and lock.worker == worker and now < lock.until
        if there is None or not held or there.claimed(now):
            return False
        attempts = self._attempts[fleet.launch_id]
        return attempts.setdefault(attempt.number, (worker, attempt)) == (worker, attempt)

    @synchronized
    def record(self, fleet: Fleet, instance_ids: Sequence[str], *, now: datetime) -> None:
        home = (fleet.name, fleet.launch_id)
        for id_ in instance_ids:
            if self._homes.get((fleet.target, id_), home) != home:
                raise rules.launched_elsewhere(fleet.launch_id)
            self._homes[fleet.target, id_] = home
            self._members[fleet.launch_id].setdefault(id_, Member(instance_id=id_, launched_at=now))

    @synchronized
    def finish_attempt(self, fleet: Fleet, attempt: Attempt) -> None:
        attempts = self._attempts[fleet.launch_id]
        if attempt.number not in attempts:
            raise rules.no_attempt(fleet.launch_id, attempt.number)
        worker, there = attempts[attempt.number]
        if there.result is AttemptResult.OPEN:
            finished = replace(attempt, pool=there.pool, count=there.count)
            attempts[attempt.number] = (worker, finished)

    @synchronized
    def advance(self, fleet: Fleet, worker: str, phase: Phase, problem: str = "") -> bool:
        there = self._present(fleet.name, fleet.launch_id)
        lock = self._locks.get(fleet.launch_id)
        change = (worker, phase, problem)
        if there is None or lock is None or lock.worker != worker:
            return lock is None and self._advanced.get(fleet.launch_id) == change
        at = rules.over(phase, self.members(fleet.launch_id), empty=lock.taken_at)
        self._fleets[fleet.name] = replace(there, phase=phase, problem=problem, ended_at=at)
        del self._locks[fleet.launch_id]
        self._advanced[fleet.launch_id] = change
        return True

    @synchronized
    def renew(self, fleet: Fleet, expires_at: datetime, *, now: datetime) -> bool:
        there = self._present(fleet.name, fleet.launch_id)
        if there is None or there.ended_at or there.claimed(now):
            return False
        self._fleets[fleet.name] = replace(there, expires_at=expires_at)
        return True

    @synchronized
    def claim(self, fleet: str, launch_id: str, by: str, *, now: datetime, expired: bool) -> bool:
        there = self._present(fleet, launch_id)
        if there is None or (there.claimed(now) and there.claimed_by != by):
            return False
        if there.lease.is_active(now) if expired else there.ended_at:
            return False
        self._fleets[fleet] = replace(there, claimed_by=by, claimed_at=now)
        return True

    @synchronized
    def hand_over(self, fleet: str, launch_id: str, by: str, to: str, *, now: datetime) -> bool:
        there = self._present(fleet, launch_id)
        if there is None or there.claimed_by != by or not there.claimed(now):
            return False
        self._fleets[fleet] = replace(there, claimed_by=to, claimed_at=now)
        return True

    @synchronized
    def unclaim(self, fleet: str, launch_id: str, by: str) -> None:
        there = self._present(fleet, launch_id)
        if there and there.claimed_by == by:
            self._fleets[fleet] = replace(there, claimed_by="", claimed_at=None)

    def leases(self, target: Target, ids: Sequence[str]) -> Mapping[str, Lease]:
        fleets = {id_: self._present(*home) for id_, home in self._of(target, ids).items()}
        return {id_: fleet.lease for id_, fleet in fleets.items() if fleet}

    @synchronized
    def end(self, target: Target, ids: Sequence[str], *, now: datetime) -> None:
        for id_, (name, launch_id) in self._of(target, ids).items():
            members = self._members[launch_id]
            members[id_] = replace(members[id_], ended_at=members[id_].ended_at or now)
            fleet = self._present(name, launch_id)
            if fleet and fleet.ended_at is None:
                at = rules.over(fleet.phase, self.members(launch_id), empty=None)
                self._fleets[name] = replace(fleet, ended_at=at)

    @synchronized
    def close(self, fleet: Fleet, *, now: datetime) -> bool:
        there = self._present(fleet.name, fleet.launch_id)
        if there is None or not there.phase.finished or self._members[fleet.launch_id]:
            return False
        self._fleets[fleet.name] = replace(there, ended_at=there.ended_at or now)
        return True

    def _present(self, name: str, launch_id: str) -> Fleet | None:
        fleet = self._fleets.get(name)
        return fleet if fleet and fleet.launch_id == launch_id else None

    def _of(self, target: Target, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        return {id_: self._homes[target, id_] for id_ in ids if (target, id_) in self._homes}
