"""The benchmark's fleet: each peer, however it works, has to select the same instances."""

from datetime import UTC, datetime, timedelta

from benchmarks import rendering
from benchmarks.cases import POLICIES
from benchmarks.fleet import ACCOUNT, Machine, fleet
from curfew.config.policy_file import load
from curfew.core.instance import Instance
from curfew.core.plan import Action, judge
from curfew.core.target import Target
from tests.benchmarks.reading import instances_of

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
SIZE = 2_000
HERE = Target(provider="ec2", account=ACCOUNT, region="us-east-1")


def machines(size: int = SIZE) -> list[Machine]:
    return fleet(size, account=ACCOUNT, region="us-east-1", now=NOW)


def test_one_in_ten_is_due() -> None:
    assert 0.085 < sum(m.due(NOW) for m in machines()) / SIZE < 0.115


def test_no_instance_becomes_due_during_a_benchmark() -> None:
    due = {m.id for m in machines() if m.due(NOW)}

    assert {m.id for m in machines() if m.due(NOW + timedelta(hours=11))} == due


def test_a_larger_fleet_begins_with_the_smaller_one() -> None:
    assert machines(60)[:50] == machines(50)


def test_every_id_is_there_once() -> None:
    assert len({m.id for m in machines()}) == SIZE


def ended(name: str, seen: list[Instance]) -> set[str]:
    """Return the instances that a policy of the benchmark would terminate."""
    policy = load(POLICIES).policy(name)
    verdicts = [judge(instance, policy, NOW) for instance in seen]
    return {verdict.instance.id for verdict in verdicts if isinstance(verdict, Action)}


def test_every_acting_policy_selects_the_due_instances() -> None:
    due = {m.id for m in machines() if m.due(NOW)}
    seen = instances_of(machines(), HERE)

    assert {name: ended(name, seen) for name in ("filtered", "read-all", "limited")} == {
        "filtered": due,
        "read-all": due,
        "limited": due,
    }


def test_no_instance_is_due_on_a_quiet_night() -> None:
    assert ended("quiet", instances_of(machines(), HERE)) == set()


def test_only_where_everything_may_go_is_the_listing_narrowed() -> None:
    shares = [load(POLICIES).policy(name).limits.percent for name in ("filtered", "read-all")]

    assert shares == [100, 99]


def test_an_instance_weighs_what_a_real_one_weighs() -> None:
    sizes = [len(rendering.instance(m, m.state)) for m in machines(500)]

    assert 4_800 < sum(sizes) / len(sizes) < 5_600
