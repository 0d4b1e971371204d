"""The register of fleets in the ledger's table.

    pk                  sk              what
    fleet               <name>          the fleet of this name: lease, phase, lock and claim
    fleet#<launch_id>   launch-spec     the frozen spec of a launch
    fleet#<launch_id>   attempt#<nnn>   one attempt of the launch, with the worker that made it
    fleet#<launch_id>   instance#<id>   one instance of the launch, and when it ended
    lease#<target>      <instance id>   the fleet and the launch of an instance
    key#<scope>         key             an idempotency key: its launch, and the digest of the request

Only the keys have ``expires``. Only the fleet's item has the lease, so that a renewal is one conditional update, and a
claim is another that excludes it. Lock and claim expire by themselves: nothing is ever deleted.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import batched
from typing import Any
from uuid import uuid4

from ...core.launch import Attempt, AttemptResult, LaunchSpec
from ...core.lease import CLAIM, Fleet, Phase
from ...core.target import Target
from .. import rules
from ..records import Key
from . import fleet_items as items
from .fleet_reader import NOT_ENDED, FleetRecords
from .items import Item, key, text
from .table import NEW, check, put, update

MEMBERS_PER_WRITE = 50  # TransactWriteItems takes 100 items; each instance needs two
SAME = "#launch_id = :launch_id"
UNCLAIMED = "(attribute_not_exists(#claimed_at_epoch) OR #claimed_at_epoch < :claims_run_from)"
LOCK = ("locked_by", "locked_at", "locked_until", "locked_until_epoch")
HELD = "#locked_by = :worker AND #locked_until_epoch > :now"


class DynamoFleets(FleetRecords):
    """Implements ``Fleets``. Each worker must have a name of its own, which identifies its attempts."""

    def open(self, fleet: Fleet, spec: LaunchSpec, key: Key) -> Fleet:
        """Write fleet, launch spec and key in one transaction; a second caller finds the key of the first."""
        refused = self._table.transact(
            [
                put(items.of_fleet(fleet), when=f"{NEW} OR attribute_exists(#ended_at)"),
                put(items.of_launch_spec(spec), when=NEW),
                put(items.of_key(key.scope, key.body, fleet), when=NEW),
            ]
        )
        if refused is None:
            return fleet
        if existing := self.recall(key):
            return existing
        by_name, *_ = refused
        raise (
            rules.written_already(fleet.launch_id) if by_name is None else rules.taken(fleet.name)
        )

    def lock(self, fleet: Fleet, worker: str, *, now: datetime, until: datetime) -> bool:
        """A retried write finds the lock that its first try took."""
        free = "attribute_not_exists(#locked_by) OR #locked_by = :worker"
        return self._change(
            fleet.name,
            fleet.launch_id,
            {
                "locked_by": text(worker),
                "locked_at": text(now),
                **items.moment("locked_until", until),
            },
            when=f"#phase = :launching AND ({free} OR #locked_until_epoch <= :now)",
            launching=text(Phase.LAUNCHING),
            worker=text(worker),
            now=items.seconds(now),
        )

    def begin_attempt(self, fleet: Fleet, worker: str, attempt: Attempt, *, now: datetime) -> bool:
        """Check the fleet and write the attempt in one transaction."""
        refused = self._table.transact(
            [
                check(
                    key(items.FLEETS, fleet.name),
                    when=f"{SAME} AND {HELD} AND {UNCLAIMED}",
                    launch_id=text(fleet.launch_id),
                    worker=text(worker),
                    now=items.seconds(now),
                    claims_run_from=items.seconds(now - CLAIM),
                ),
                put(items.of_attempt(fleet.launch_id, attempt, worker), when=NEW),
            ]
        )
        if refused is None:
            return True
        by_fleet, there = refused
        return by_fleet is None and there == items.of_attempt(fleet.launch_id, attempt, worker)

    def record(self, fleet: Fleet, instance_ids: Sequence[str], *, now: datetime) -> None:
        """Write each instance and its reference to the fleet, both or neither."""
        for batch in batched(dict.fromkeys(instance_ids), MEMBERS_PER_WRITE, strict=False):
            writes = [
                write
                for id_ in batch
                for write in (
                    update(
                        key(items.launch(fleet.launch_id), f"{items.INSTANCE}{id_}"),
                        {},
                        once={"launched_at": text(now)},
                    ),
                    update(
                        items.home(fleet.target, id_),
                        {"fleet": text(fleet.name), "launch_id": text(fleet.launch_id)},
                        when=f"{NEW} OR {SAME}",
                        launch_id=text(fleet.launch_id),
                    ),
                )
            ]
            if self._table.transact(writes) is not None:
                raise rules.launched_elsewhere(fleet.launch_id)

    def finish_attempt(self, fleet: Fleet, attempt: Attempt) -> None:
        refused = self._table.write(
            update(
                key(items.launch(fleet.launch_id), items.attempt_place(attempt.number)),
                items.of_result(attempt),
                when="#result = :open",
                open=text(AttemptResult.OPEN),
            )
        )
        if refused == {}:
            raise rules.no_attempt(fleet.launch_id, attempt.number)

    def advance(self, fleet: Fleet, worker: str, phase: Phase, problem: str = "") -> bool:
        """Write the phase together with the fleet's end: its last instance's, or without any the time of the lock."""
        change = {"phase": text(phase), "problem": text(problem), "advanced_by": text(worker)}
        done = self._change(
            fleet.name,
            fleet.launch_id,
            {**change, **self._end_of(fleet, phase)},
            without=LOCK,
            when="#locked_by = :worker",
            mine=lambda there: "locked_by" not in there and change.items() <= there.items(),
            worker=text(worker),
        )
        if done and phase.finished:
            self._close(fleet.name, fleet.launch_id)
        return done

    def renew(self, fleet: Fleet, expires_at: datetime, *, now: datetime) -> bool:
        """A renewal before the claim counts even if its answer was lost: a mark identifies it."""
        mark = {"renewal": text(uuid4().hex)}
        return self._change(
            fleet.name,
            fleet.launch_id,
            {**items.moment("expires_at", expires_at), **mark},
            when=f"{NOT_ENDED} AND {UNCLAIMED}",
            mine=lambda there: mark.items() <= there.items(),
            claims_run_from=items.seconds(now - CLAIM),
        )

    def claim(self, fleet: str, launch_id: str, by: str, *, now: datetime, expired: bool) -> bool:
        """A retried write finds the claim that its first try took.

        A fleet that is recorded as ended can be claimed with ``expired`` only: a sweep may see an instance of it run.
        """
        return self._change(
            fleet,
            launch_id,
            {"claimed_by": text(by), **items.moment("claimed_at", now)},
            when=f"({UNCLAIMED} OR #claimed_by = :by) AND "
            + ("#expires_at_epoch <= :now" if expired else NOT_ENDED),
            by=text(by),
            now=items.seconds(now),
            claims_run_from=items.seconds(now - CLAIM),
        )

    def hand_over(self, fleet: str, launch_id: str, by: str, to: str, *, now: datetime) -> bool:
        """A retried write finds the claim with ``to``, which is used once."""
        return self._change(
            fleet,
            launch_id,
            {"claimed_by": text(to), **items.moment("claimed_at", now)},
            when="#claimed_by = :by AND #claimed_at_epoch >= :claims_run_from",
            mine=lambda there: there.get("claimed_by") == text(to),
            by=text(by),
            claims_run_from=items.seconds(now - CLAIM),
        )

    def unclaim(self, fleet: str, launch_id: str, by: str) -> None:
        self._change(
            fleet,
            launch_id,
            {},
            without=("claimed_by", "claimed_at", "claimed_at_epoch"),
            when="#claimed_by = :by",
            by=text(by),
        )

    def end(self, target: Target, ids: Sequence[str], *, now: datetime) -> None:
        homes = self.homes(target, ids)
        for name, launch_id in dict.fromkeys(homes.values()):
            for member in self.members(launch_id):
                if member.instance_id in homes and member.ended_at is None:
                    place = f"{items.INSTANCE}{member.instance_id}"
                    ended = {"ended_at": text(now)}
                    self._table.write(update(key(items.launch(launch_id), place), {}, once=ended))
            self._close(name, launch_id)

    def close(self, fleet: Fleet, *, now: datetime) -> bool:
        """A retried write finds the fleet ended."""
        there = self.get(fleet.name)
        if there is None or not there.phase.finished or self.members(fleet.launch_id):
            return False
        return self._change(
            fleet.name,
            fleet.launch_id,
            {"ended_at": text(now)},
            when=NOT_ENDED,
            mine=lambda there: "ended_at" in there,
        )

    def _end_of(self, fleet: Fleet, phase: Phase) -> dict[str, Any]:
        if not phase.finished:
            return {}
        item = self._table.get(items.FLEETS, fleet.name) or {}
        members = self.members(fleet.launch_id)
        with self._table.translate_errors():
            at = rules.over(phase, members, empty=items.locked_at(item))
        return {"ended_at": text(at)} if at else {}

    def _close(self, name: str, launch_id: str) -> None:
        """End the fleet. Both the end of the launch and that of the last instance call this; the later one ends it."""
        fleet = self.get(name)
        if fleet and fleet.launch_id == launch_id and not fleet.ended_at:
            at = rules.over(fleet.phase, self.members(launch_id), empty=None)
            if at:
                self._change(name, launch_id, {"ended_at": text(at)}, when=NOT_ENDED)

    def _change(
        self,
        name: str,
        launch_id: str,
        to: Mapping[str, Any],
        *,
        when: str,
        without: Sequence[str] = (),
        mine: Callable[[Item], bool] = lambda _there: False,
        **values: Item,
    ) -> bool:
        """Change a fleet on a condition. ``mine`` recognizes the caller's own change, for a retried write."""
        refused = self._table.write(
            update(
                key(items.FLEETS, name),
                to,
                without=without,
                when=f"{SAME} AND {when}",
                launch_id=text(launch_id),
                **values,
            )
        )
        if refused is None:
            return True
        return refused.get("launch_id") == text(launch_id) and mine(refused)
