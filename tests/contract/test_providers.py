"""What every provider keeps: in memory, EC2 as moto has it, and EC2 as it is, stubbed at the wire."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from curfew.core.errors import ItemError
from curfew.core.model import Attributes, Instance, State
from curfew.core.policy import TagFilter
from curfew.providers import Launch, Provider
from curfew.providers.ec2 import Ec2Provider
from curfew.providers.memory import MemoryProvider
from tests.builders import HERE, NOW, a_selector, an_id
from tests.stub_ec2 import Machine, StubEc2

ZONES = (f"{HERE.region}a", f"{HERE.region}b")
EVERYTHING = a_selector(states=frozenset(State) - {State.UNKNOWN, State.TERMINATED}, tags=())


@dataclass(frozen=True, slots=True)
class Case:
    """A provider and a way to put instances into its cloud: tags and zone in, id out."""

    provider: Provider
    put: Callable[[dict[str, str], str], str]
    protect: Callable[[str], None]
    is_moto: bool = False

    def found(self, **selector: Any) -> set[str]:
        wanted = a_selector(**{"tags": (), **selector})
        return {i.id for i in self.provider.find(wanted, narrow=False)}

    def state(self, id_: str) -> State:
        return self.provider.describe([id_])[id_].state


def memory() -> Iterator[Case]:
    provider = MemoryProvider(target=HERE, clock=lambda: NOW)

    def put(tags: dict[str, str], zone: str) -> str:
        id_ = an_id(len(provider.instances) + 1)
        provider.instances[id_] = Instance(
            id=id_,
            target=HERE,
            zone=zone,
            state=State.RUNNING,
            instance_type="t2.micro",
            launched_at=NOW,
            tags=tags,
        )
        return id_

    def protect(id_: str) -> None:
        provider.attributes[id_] = Attributes(termination_protected=True, stop_protected=False)

    yield Case(provider, put, protect)


def stub() -> Iterator[Case]:
    cloud = StubEc2(page_size=3)

    def put(tags: dict[str, str], zone: str) -> str:
        machine = Machine(id=an_id(len(cloud.machines) + 1), tags=tags, zone=zone)
        cloud.machines[machine.id] = machine
        return machine.id

    def protect(id_: str) -> None:
        cloud.machines[id_].termination_protected = True

    yield Case(cloud.provider(), put, protect)


def moto() -> Iterator[Case]:
    with mock_aws():
        client = boto3.client("ec2", HERE.region)

        def put(tags: dict[str, str], zone: str) -> str:
            kinds = [
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": k, "Value": v} for k, v in tags.items()],
                }
            ]
            more: Any = {"TagSpecifications": kinds} if tags else {}
            answer = client.run_instances(
                ImageId="ami-08111162",
                InstanceType="t2.micro",
                MinCount=1,
                MaxCount=1,
                Placement={"AvailabilityZone": zone},
                **more,
            )
            return answer["Instances"][0]["InstanceId"]

        def protect(id_: str) -> None:
            client.modify_instance_attribute(InstanceId=id_, DisableApiTermination={"Value": True})

        yield Case(Ec2Provider(target=HERE, read=client, act=client), put, protect, is_moto=True)


@pytest.fixture(params=[memory, stub, moto], ids=["memory", "ec2-stub", "ec2-moto"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    make: Callable[[], Iterator[Case]] = request.param
    yield from make()


def test_an_empty_cloud_has_nothing(case: Case) -> None:
    assert list(case.provider.find(EVERYTHING, narrow=False)) == []
    assert case.provider.describe([]) == {}
    assert case.provider.protections([]) == {}


def test_tags_zone_and_state_come_back_as_they_are(case: Case) -> None:
    tags = {"env": "dev", "Name": "=cmd()|*?\\ <b>&amp;</b> ü", "empty": ""}
    id_ = case.put(tags, ZONES[1])

    (instance,) = case.provider.find(EVERYTHING, narrow=False)

    assert (instance.id, instance.zone, instance.state) == (id_, ZONES[1], State.RUNNING)
    assert dict(instance.tags) == tags
    assert instance.target == HERE
    assert instance.launched_at is not None
    assert instance.launched_at.utcoffset() is not None


def test_an_instance_without_tags_has_none(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert dict(case.provider.describe([id_])[id_].tags) == {}


@pytest.mark.parametrize("count", [1, 3, 4, 10])
def test_every_page_is_read(case: Case, count: int) -> None:
    ids = {case.put({"n": str(n)}, ZONES[0]) for n in range(count)}
    assert case.found() == ids


def test_only_the_states_that_are_asked_for_come(case: Case) -> None:
    running, stopped = case.put({}, ZONES[0]), case.put({}, ZONES[0])
    case.provider.stop([stopped])

    assert case.found(states=frozenset({State.RUNNING})) == {running}
    assert case.found(states=frozenset({State.STOPPED})) == {stopped}


def test_narrowing_never_loses_what_the_selector_means(case: Case) -> None:
    literal = case.put({"team": "a*b?c\\d"}, ZONES[0])
    case.put({"team": "aXXbYc\\d"}, ZONES[0])
    exact = a_selector(tags=(TagFilter(key="team", values=("a*b?c\\d",)),))

    found = {i.id for i in case.provider.find(exact, narrow=True) if exact.tags[0].matches(i.tags)}

    if not case.is_moto:  # which takes an escaped wildcard for a backslash and finds nothing
        assert found == {literal}
    assert found <= {literal}


def test_what_is_not_there_is_missing_from_a_description_and_fails_nobody_else(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert set(case.provider.describe([id_, "i-0123456789abcdef0"])) == {id_}


def test_protection_is_read_for_each(case: Case) -> None:
    locked, free = case.put({}, ZONES[0]), case.put({}, ZONES[0])
    case.protect(locked)

    found = case.provider.protections([locked, free, "i-0123456789abcdef0"])

    assert found[locked].termination_protected
    assert not found[free].termination_protected
    assert not found[free].stop_protected
    assert "i-0123456789abcdef0" not in found


def test_terminating_tells_the_state_before_and_is_seen_after(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert case.provider.terminate([id_]) == {id_: State.RUNNING}
    assert case.state(id_) in {State.SHUTTING_DOWN, State.TERMINATED}


def test_stopping_tells_the_state_before_and_is_seen_after(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert case.provider.stop([id_]) == {id_: State.RUNNING}
    assert case.state(id_) in {State.STOPPING, State.STOPPED}


def test_one_bad_id_fails_the_call_and_nothing_happens(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    with pytest.raises(ItemError) as failed:
        case.provider.terminate([id_, "i-0123456789abcdef0"])
    assert failed.value.code == "InvalidInstanceID.NotFound"
    assert case.state(id_) is State.RUNNING


def test_a_protected_instance_is_refused_and_stays(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    case.protect(id_)
    with pytest.raises(ItemError) as failed:
        case.provider.terminate([id_])
    assert failed.value.code == "OperationNotPermitted"
    assert case.state(id_) is State.RUNNING


def test_nothing_has_to_be_released_for_ordinary_instances(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert case.provider.release(list(case.provider.describe([id_]).values())) == {}


def test_a_fleet_is_born_with_its_tags(case: Case) -> None:
    launch = Launch(
        image="ami-08111162", instance_type="t2.micro", count=2, token="t", zone=ZONES[1],
        tags={"env": "sandbox", "curfew:fleet": "pair"},
    )  # fmt: skip

    launched = case.provider.launch(launch)

    assert len({i.id for i in launched}) == 2
    if not case.is_moto:  # which launches anew for the same token
        assert [i.id for i in case.provider.launch(launch)] == [i.id for i in launched]
    seen = case.provider.describe([i.id for i in launched])
    assert all(i.tags["curfew:fleet"] == "pair" and i.zone == ZONES[1] for i in seen.values())
