"""The instances of a rehearsal, drawn from the policy file so that each of its words decides about some.

For every policy there are instances that it means, instances that miss it by one condition, and instances that it
means and that are protected, each in another way. Beside them are bystanders. Fleets are launched from the
file's templates.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count, cycle
from random import Random
from typing import Any, get_args

from curfew.schemas.fields import Selectable
from curfew.schemas.policy_file import File, PolicyEntry

from ..checkers.oracle import ALWAYS, fits, read
from ..cloud import population
from ..cloud.autoscaling import create_group
from ..cloud.ec2.machine import SpotRequest, SpotState, State
from ..cloud.ec2.region import Region

TYPES = ("t2.micro", "t3.small", "t3.large", "m7i.xlarge", "c7g.4xlarge", "p5.48xlarge")
SERVICE_TAGS = (
    "aws:cloudformation:stack-id", "aws:elasticmapreduce:job-flow-id", "aws:ec2:fleet-id", "aws:future:thing",
    "kubernetes.io/cluster/blue", "karpenter.sh/nodepool", "elasticbeanstalk:environment-name",
)  # fmt: skip
WORDS = ("42", "kim", "x", "a-b")

type Fields = dict[str, Any]
type Recipe = Callable[["Population", str, Region], None]


class Population:
    """Puts machines into regions; ``regions`` gives those of a policy by its name."""

    def __init__(self, file: File, regions: dict[str, list[Region]], rng: Random) -> None:
        self.file, self.regions, self.rng = file, regions, rng
        self.named = "name" not in {
            key.strip().lower()
            for keys in (file.protect.tags, *map(read, file.policies.values()))
            for key in keys
        }
        self._numbers = count(1)
        self._places = self._placements()

    def add(self, count_: int) -> None:
        """So many more machines, or one or two beyond. Every turn goes to another policy and another kind."""
        everywhere = {region.name: region for some in self.regions.values() for region in some}
        home = self.regions[next(iter(self.regions))][0]
        before = sum(len(region.machines) for region in everywhere.values())
        while (
            there := sum(len(region.machines) for region in everywhere.values()) - before
        ) < count_:
            if there % 5 == 4:
                population.populate(home, 1)
            else:
                kind, policy, region = next(self._places)
                kind(self, policy, region)

    def selected(self, policy: str, region: Region) -> None:
        """An instance that the policy is after."""
        self._add(region, self.fields(policy, region), "forgotten")

    def spot(self, policy: str, region: Region) -> None:
        """The same, launched by a persistent Spot request, which would bring it back."""
        fields = self.fields(policy, region) | {"lifecycle": "spot"}
        id_ = f"sir-{self.rng.getrandbits(32):08x}"
        machine = self._add(region, fields | {"spot_request": id_}, "persistent-spot")
        stopped = machine.state is State.STOPPED
        region.spot_requests[id_] = SpotRequest(
            id=id_, blueprint=machine, created_at=machine.started_at, instance=machine.id, persistent=True,
            state=SpotState.DISABLED if stopped else SpotState.ACTIVE,
        )  # fmt: skip

    def near(self, policy: str, region: Region) -> None:
        """An instance that misses the policy by one condition."""
        misses = list(self._misses(policy, region))
        fields, why = self.rng.choice(misses)
        self._add(region, fields, why)

    def by_tag(self, policy: str, region: Region) -> None:
        """An instance with a protecting tag, in some spelling and with any value, "no" included."""
        key = self.rng.choice([ALWAYS, *self.file.protect.tags])
        key = self.rng.choice((key, key.upper(), key.title()))
        value = self.rng.choice(("", "yes", "no", "false", "2020-01-01"))
        self._protected(policy, region, "kept-by-tag", tags={key: value})

    def by_attribute(self, policy: str, region: Region) -> None:
        """An instance with termination or stop protection."""
        which = self.rng.choice(("termination_protected", "stop_protected"))
        self._protected(policy, region, which.replace("_", "-"), **{which: True})

    def in_group(self, policy: str, region: Region) -> None:
        """A member of an Auto Scaling group, which would replace it."""
        name = f"group-{next(self._numbers)}"
        tags = self.fields(policy, region)["tags"]
        create_group(region, name, 1, **tags | ({"Name": "in-a-group"} if self.named else {}))

    def managed(self, policy: str, region: Region) -> None:
        """An instance that a service runs, by what EC2 says or by a tag."""
        if self.rng.random() < 0.5:
            self._protected(policy, region, "managed", managed_by="eks.amazonaws.com")
        else:
            self._protected(
                policy, region, "of-a-service", tags={self.rng.choice(SERVICE_TAGS): "x"}
            )

    def young(self, policy: str, region: Region) -> None:
        """An instance that has only just started."""
        seconds = int(self.file.protect.min_age.total_seconds())
        age = timedelta(seconds=self.rng.randint(0, max(seconds // 3, 1)))
        self._protected(policy, region, "just-started", age=age)

    def special(self, policy: str, region: Region) -> None:
        """An instance with a tag in two spellings, capacity paid for in advance, or what cannot be stopped."""
        keys = [key for key in read(self.file.policies[policy]) if key.swapcase() != key]
        wanted = [key for key in keys if key not in self.file.policies[policy].select.without_tags]
        if self.file.policies[policy].action == "stop" and self.rng.random() < 0.5:
            self._protected(policy, region, "instance-store", root_device="instance-store")
        elif wanted and self.rng.random() < 0.6:
            tags = {self.rng.choice(wanted).swapcase(): "prod"}
            self._protected(policy, region, "two-spellings", tags=tags)
        else:
            self._protected(policy, region, "paid-ahead", lifecycle="capacity-block")

    def forged(self, policy: str, region: Region) -> None:
        """An instance that carries the tags of a fleet, and was never launched for it."""
        tags = {"curfew:fleet": "forged", "curfew:lease": "2020-01-01T00:00:00Z"}
        self._protected(policy, region, "forged-lease", tags=tags)

    def fields(self, policy: str, region: Region) -> Fields:
        """An instance that the policy is after, as ``Region.add`` wants it."""
        entry, rng = self.file.policies[policy], self.rng
        select = entry.select
        least = max(entry.older_than or timedelta(), self.file.protect.min_age * 2)
        tags = {} if {"owner"} & {key.strip().lower() for key in read(entry)} else {"owner": "kim"}
        for key, match in select.tags.items():
            values = filter(possible, [*match.values, *map(self._like, match.like)])
            tags[key] = rng.choice(list(values) or ["x"])
        tags |= {key: rng.choice(WORDS) for key in select.with_tags}
        return {
            "zone": rng.choice(region.zones),
            "type": self._type(select.instance_types),
            "state": State(rng.choice(select.states or ("running", "stopped"))),
            "age": least + timedelta(minutes=rng.randint(5, 60 * 24 * 20)),
            "tags": tags,
        }

    def _placements(self) -> Iterator[tuple[Recipe, str, Region]]:
        turns = {name: self._kinds(name) for name in self.file.policies}
        for number in count():
            for name, kinds in turns.items():
                regions = self.regions[name]
                yield next(kinds), name, regions[number % len(regions)]

    def _kinds(self, policy: str) -> Iterator[Recipe]:
        entry = self.file.policies[policy]
        cls = Population
        shields: list[Recipe] = [
            cls.by_tag, cls.by_attribute, cls.in_group, cls.managed, cls.young, cls.special, cls.forged,
        ]  # fmt: skip
        if entry.action == "terminate":
            shields.append(cls.spot)
        if entry.select.lease:  # only a launch gives a lease
            yield from cycle((cls.near, cls.forged))
        while True:
            self.rng.shuffle(shields)
            for shield in shields:
                yield from (cls.selected, cls.near, shield)

    def _misses(self, policy: str, region: Region) -> Iterator[tuple[Fields, str]]:
        """Instances that match but for one thing, each with a word about it."""
        entry, fields = self.file.policies[policy], self.fields(policy, region)
        select, tags = entry.select, fields["tags"]
        for state in get_args(Selectable):
            if select.states and state not in select.states and state in {"running", "stopped"}:
                yield fields | {"state": State(state)}, f"is-{state}"
        for key in select.tags:
            less = {k: v for k, v in tags.items() if k != key}
            changed = [
                (less, "tag-missing"),
                (less | {key: f"{tags[key]}x"}, "other-value"),
                (tags | {key: tags[key].swapcase()}, "other-case"),
                (less | {key.swapcase(): tags[key]}, "other-key"),
            ]
            yield from ((fields | {"tags": new}, why) for new, why in changed if new != tags)
        for key in select.with_tags:
            yield fields | {"tags": {k: v for k, v in tags.items() if k != key}}, "tag-missing"
        for key in select.without_tags:
            yield fields | {"tags": tags | {key: "kim"}}, "has-the-tag"
            yield fields | {"tags": tags | {key.title(): "kim"}}, "has-the-tag"
        if select.instance_types:
            yield fields | {"type": self._other_type(entry)}, "other-type"
        if entry.older_than:
            share = self.rng.uniform(0.3, 0.95)
            yield fields | {"age": entry.older_than * share}, "too-young"
        if select.lease:
            yield fields, "no-lease"

    def _protected(self, policy: str, region: Region, why: str, **more: Any) -> None:
        fields = self.fields(policy, region)
        tags = fields["tags"] | more.pop("tags", {})
        self._add(region, fields | more | {"tags": tags}, why)

    def _add(self, region: Region, fields: Fields, why: str) -> Any:
        tags = fields["tags"] | ({"Name": why} if self.named else {})
        return region.add(**fields | {"tags": tags})

    def _like(self, pattern: str) -> str:
        made = pattern.replace("?", self.rng.choice("abc7"))
        return "".join(self.rng.choice(WORDS) if sign == "*" else sign for sign in made)

    def _type(self, patterns: tuple[str, ...]) -> str:
        known = [name for name in TYPES if not patterns or fits(name, patterns)]
        if known:
            return self.rng.choice(known)
        return self.rng.choice(patterns).replace("*", "large").replace("?", "4")

    def _other_type(self, entry: PolicyEntry) -> str:
        others = [name for name in TYPES if not fits(name, entry.select.instance_types)]
        return self.rng.choice(others or ["zz9.plural"])


def possible(value: str) -> bool:
    """Whether a tag may have the value: EC2 answers in XML, which has no control characters."""
    return all(sign.isprintable() or sign in "\t\n" for sign in value)
