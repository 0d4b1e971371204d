"""Reads the register of fleets from the ledger's table; ``fleets`` describes its items."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from ...core.launch import Attempt, LaunchSpec
from ...core.lease import Fleet, Lease, Member, Phase
from ...core.target import Target
from .. import rules
from ..records import Key, Page
from . import fleet_items as items
from .items import key as place
from .items import text
from .table import Table

NOT_ENDED = "attribute_not_exists(#ended_at)"


class FleetRecords:
    """The read-only part of the register."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def recall(self, key: Key) -> Fleet | None:
        item = self._table.get(f"key#{key.scope}", "key")
        if item is None:
            return None
        with self._table.translate_errors():
            body, name = item["body"]["S"], item["fleet"]["S"]
            launch_id = item["launch_id"]["S"]
        if body != key.body:
            raise rules.reused()
        fleet = self.get(name)
        if fleet is None or fleet.launch_id != launch_id:
            raise rules.passed_on(name)
        return fleet

    def get(self, name: str) -> Fleet | None:
        item = self._table.get(items.FLEETS, name)
        with self._table.translate_errors():
            return None if item is None else items.fleet_of(item)

    def page(self, *, limit: int, after: str = "", ended: bool = False) -> Page[Fleet]:
        """Without ``ended``, the query still reads the ended fleets, which are never deleted."""
        found = self._table.query(
            items.FLEETS, after=after, where="" if ended else NOT_ENDED, page=limit + 1
        )
        with self._table.translate_errors():
            fleets = [items.fleet_of(item) for item in islice(found, limit + 1)]
        return rules.cut(fleets, limit, lambda fleet: fleet.name)

    def unfinished(self) -> Iterator[Fleet]:
        found = self._table.query(
            items.FLEETS, where="#phase = :launching", launching=text(Phase.LAUNCHING)
        )
        with self._table.translate_errors():
            yield from map(items.fleet_of, found)

    def launch_spec(self, launch_id: str) -> LaunchSpec:
        item = self._table.get(items.launch(launch_id), items.LAUNCH_SPEC)
        if item is None:
            raise rules.no_launch_spec(launch_id)
        with self._table.translate_errors():
            return items.launch_spec_of(item)

    def attempts(self, launch_id: str) -> tuple[Attempt, ...]:
        found = self._table.query(items.launch(launch_id), prefix=items.ATTEMPT)
        with self._table.translate_errors():
            return tuple(sorted(map(items.attempt_of, found), key=lambda a: a.number))

    def members(self, launch_id: str) -> tuple[Member, ...]:
        found = self._table.query(items.launch(launch_id), prefix=items.INSTANCE)
        with self._table.translate_errors():
            return tuple(map(items.member_of, found))

    def leases(self, target: Target, ids: Sequence[str]) -> Mapping[str, Lease]:
        """An instance has no lease if its fleet's name now belongs to another launch."""
        homes = self.homes(target, ids)
        places = [place(items.FLEETS, name) for name in dict.fromkeys(n for n, _ in homes.values())]
        with self._table.translate_errors():
            found = map(items.fleet_of, self._table.get_many(places))
            fleets = {fleet.name: fleet for fleet in found}
            return {
                id_: fleets[name].lease
                for id_, (name, launch_id) in homes.items()
                if fleets[name].launch_id == launch_id
            }

    def homes(self, target: Target, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return the fleet's name and the launch id of each instance that has one."""
        places = [items.home(target, id_) for id_ in dict.fromkeys(ids)]
        with self._table.translate_errors():
            return {
                item["sk"]["S"]: (item["fleet"]["S"], item["launch_id"]["S"])
                for item in self._table.get_many(places)
            }
