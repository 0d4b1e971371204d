"""The tables of one account in one region, with every version of an item that a stale read may return."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..clock import Clock
from ..history import Change, CloudHistory
from ..protocols import ApiError
from ..rng import Rng
from . import values
from .values import Item, Value, invalid

type Key = tuple[Any, Any]


@dataclass(slots=True, kw_only=True)
class Table:
    """One table. ``partitions`` has the items by hash key and range key, both as comparable Python values.

    ``order`` has the sorted range keys of each hash key.
    """

    name: str
    arn: str
    hash_key: str
    range_key: str | None
    types: Mapping[str, str]
    created_at: datetime
    clock: Clock
    partitions: dict[Any, dict[Any, Item]] = field(default_factory=dict)
    order: dict[Any, list[Any]] = field(default_factory=dict)
    history: dict[Key, list[tuple[datetime, Item | None]]] = field(default_factory=dict)

    @property
    def keys(self) -> frozenset[str]:
        """Return the names of the key attributes."""
        return frozenset(filter(None, (self.hash_key, self.range_key)))

    def place(self, item: Mapping[str, Value]) -> Key:
        """Return an item's hash key and range key as Python values. Raise ApiError if they do not fit this table."""
        return self._part(item, self.hash_key), self._part(item, self.range_key)

    def _part(self, item: Mapping[str, Value], name: str | None) -> Any:
        if name is None:
            return b""  # without a range key, a partition has one item
        value = item.get(name)
        if value is None:
            said = f"Missing the key {name} in the item"
            raise invalid(f"One or more parameter values were invalid: {said}")
        type_ = values.kind(value)
        if type_ != self.types[name]:
            said = f"Type mismatch for key {name} expected: {self.types[name]} actual: {type_}"
            raise invalid(f"One or more parameter values were invalid: {said}")
        if value[type_] == "":
            said = f"The AttributeValue for a key attribute cannot contain an empty string value. Key: {name}"
            raise invalid(f"One or more parameter values are not valid. {said}")
        return values.plain(value)

    def key_place(self, key: Mapping[str, Value]) -> Key:
        """Return a key as Python values. Raise ApiError unless it has exactly the key attributes."""
        if key.keys() != self.keys:
            raise invalid("The provided key element does not match the schema")
        try:
            return self.place(key)
        except ApiError as error:
            if "Type mismatch" in error.message:
                raise invalid("The provided key element does not match the schema") from None
            raise

    def key_of(self, item: Item) -> Item:
        """Return only the key attributes of an item."""
        return {name: item[name] for name in (self.hash_key, self.range_key) if name}

    def get(self, place: Key, lag: timedelta = timedelta()) -> Item | None:
        """Return an item or None, as it is now or as it was ``lag`` ago."""
        if not lag:
            return self.partitions.get(place[0], {}).get(place[1])
        then, found = self.clock.now() - lag, None
        for since, item in self.history.get(place, ()):
            if since > then:
                break
            found = item
        return found

    def partition(
        self, hash_: Any, lag: timedelta = timedelta()
    ) -> tuple[Sequence[Any], Mapping[Any, Item]]:
        """Return the sorted range keys of one hash key, and the item of each."""
        if not lag:
            return self.order.get(hash_, ()), self.partitions.get(hash_, {})
        places = (place for place in self.history if place[0] == hash_)
        late = ((place[1], self.get(place, lag)) for place in places)
        there = {range_: item for range_, item in late if item is not None}
        return sorted(there), there

    def write(self, place: Key, item: Item | None) -> None:
        """Store an item, or delete it if ``item`` is None."""
        hash_, range_ = place
        partition, order = self.partitions.setdefault(hash_, {}), self.order.setdefault(hash_, [])
        if item is None:
            if partition.pop(range_, None) is not None:
                del order[bisect_left(order, range_)]
        else:
            if range_ not in partition:
                insort(order, range_)
            partition[range_] = item
        self.history.setdefault(place, []).append((self.clock.now(), item))

    def __iter__(self) -> Iterator[Item]:
        for hash_, order in list(self.order.items()):
            yield from [self.partitions[hash_][range_] for range_ in order]


class Tables:
    """All tables of one account in one region."""

    def __init__(
        self, *, account: str, region: str, clock: Clock, rng: Rng, history: CloudHistory
    ) -> None:
        self.account, self.region = account, region
        self.clock, self.chance, self.journal = clock, rng, history
        self.tokens: dict[str, tuple[datetime, str]] = {}
        self._tables: dict[str, Table] = {}

    def make(
        self, name: str, *, hash_key: str = "pk", range_key: str | None = "sk", **types: str
    ) -> Table:
        """Create an active table, and return it. Key attributes are strings unless ``types`` names another type."""
        if name in self._tables:
            raise ApiError("ResourceInUseException", f"Table already exists: {name}")
        table = Table(
            name=name,
            arn=self.arn(name),
            hash_key=hash_key,
            range_key=range_key,
            types={key: types.get(key, "S") for key in (hash_key, range_key) if key},
            created_at=self.clock.now(),
            clock=self.clock,
        )
        self._tables[name] = table
        return table

    def get(self, name: str) -> Table:
        """Return a table by its name or its ARN. Raise ApiError if there is none."""
        table = self._tables.get(name.rpartition("/")[2])
        if table is None:
            raise ApiError("ResourceNotFoundException", "Requested resource not found")
        return table

    def drop(self, name: str) -> Table:
        """Delete a table with all its items, and return it. Raise ApiError if there is none."""
        return self._tables.pop(self.get(name).name)

    def arn(self, name: str) -> str:
        """Return a table's ARN."""
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{name}"

    def write(self, table: Table, place: Key, item: Item | None) -> None:
        """Store or delete an item, and record the effect in the history."""
        before = table.get(place)
        if item is None and before is None:
            return
        table.write(place, item)
        shown = table.key_of(item or before or {})
        names = "/".join(str(next(iter(value.values()))) for value in shown.values())
        self.journal.record(
            Change.DELETED if item is None else Change.WRITTEN,
            f"{table.name}/{names}",
            account=self.account,
            region=self.region,
            at=self.clock.now(),
            before=before,
        )
