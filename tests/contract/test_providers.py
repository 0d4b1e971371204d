"""The contract of every provider: in memory, EC2 on moto and on the simulator, and recorded OpenStack.

A provider declares by its capabilities what its cloud cannot do, and the tests follow them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from curfew.core.errors import (
    CapacityError,
    ItemError,
    MismatchError,
    ProtectedError,
    ProviderError,
    RefusedError,
    RequestError,
)
from curfew.core.instance import Attributes, Instance, State
from curfew.core.launch import Pool
from curfew.core.policy import TagFilter
from curfew.providers.base import Capabilities, LaunchCall, Provider
from curfew.providers.ec2.provider import Ec2Provider
from curfew.providers.memory import MemoryProvider
from tests.builders import HERE, NOW, a_selector, an_id
from tests.cloud import SimulatedEc2, a_machine
from tests.contract.openstack import recorded

ZONES = (f"{HERE.region}a", f"{HERE.region}b")
EVERYTHING = a_selector(states=frozenset(State) - {State.UNKNOWN, State.TERMINATED}, tags=())


@dataclass(frozen=True, slots=True)
class Case:
    """A provider, and a function that creates an instance in its cloud with tags and a zone and returns the id.

    ``subnets`` has one in each zone; ``limit`` sets how many more instances of a type a subnet has room for; ``name``
    sets a parameter's value; ``settle`` waits until the cloud has completed its operations. ``missing`` is an id that
    does not exist, ``codes`` are the cloud's codes for a missing and for a protected instance. ``own_tags`` are the
    keys of tags that a cloud sets itself.
    """

    provider: Provider
    put: Callable[[dict[str, str], str], str]
    protect: Callable[[str], None]
    subnets: tuple[str, ...]
    limit: Callable[[str, str, int], None]
    name: Callable[[str, str], None]
    is_moto: bool = False
    zones: tuple[str, str] = ZONES
    image: str = "ami-08111162"
    instance_type: str = "t2.micro"
    missing: str = "i-0123456789abcdef0"
    codes: tuple[str, str] = ("InvalidInstanceID.NotFound", "OperationNotPermitted")
    settle: Callable[[], None] = lambda: None
    own_tags: frozenset[str] = frozenset()

    @property
    def can(self) -> Capabilities:
        return self.provider.capabilities

    def tags(self, instance: Instance, given: Mapping[str, str]) -> dict[str, str]:
        """Return the given tags without those that the cloud added."""
        return {k: v for k, v in instance.tags.items() if k in given or k not in self.own_tags}

    def launch(self, **more: Any) -> LaunchCall:
        ordinary: dict[str, Any] = {
            "image": self.image,
            "instance_type": self.instance_type,
            "count": 3,
            "tags": {"env": "sandbox", "curfew:fleet": "three"},
            "token": "token-1",
            "subnet": self.subnets[0] if self.subnets else "",
        }
        return LaunchCall(**(ordinary | more))

    def found(self, **selector: Any) -> set[str]:
        wanted = a_selector(**{"tags": (), **selector})
        return {i.id for i in self.provider.find(wanted, narrow=False)}

    def state(self, id_: str) -> State:
        return self.provider.describe([id_])[id_].state


def memory() -> Iterator[Case]:
    subnets = ("subnet-a", "subnet-b")
    zones = dict(zip(subnets, ZONES, strict=True))
    provider = MemoryProvider(target=HERE, clock=lambda: NOW, zones=zones)

    def put(tags: dict[str, str], zone: str) -> str:
        id_ = an_id(len(provider.instances) + 1)
        provider.instances[id_] = Instance(
            id=id_,
            target=HERE,
            zone=zone,
            state=State.RUNNING,
            instance_type="t2.micro",
            started_at=NOW,
            tags=tags,
        )
        return id_

    def protect(id_: str) -> None:
        provider.attributes[id_] = Attributes(termination_protected=True, stop_protected=False)

    def limit(type_: str, subnet: str, count: int) -> None:
        provider.capacity[Pool(instance_type=type_, subnet=subnet)] = count

    yield Case(provider, put, protect, subnets, limit, provider.parameters.__setitem__)


def simulated() -> Iterator[Case]:
    cloud = SimulatedEc2(page_size=3)

    def put(tags: dict[str, str], zone: str) -> str:
        id_ = an_id(len(cloud.machines) + 1)
        cloud.add(a_machine(id=id_, tags=tags, zone=zone))
        return id_

    def protect(id_: str) -> None:
        cloud.change(id_, termination_protected=True)

    def limit(type_: str, subnet: str, count: int) -> None:
        cloud.capacity[type_, cloud.region.subnets[subnet]] = count

    subnets = ("subnet-a", "subnet-b")
    name = cloud.parameters.__setitem__
    yield Case(cloud.provider(), put, protect, subnets, limit, name)


def moto() -> Iterator[Case]:
    with mock_aws():
        client, ssm = boto3.client("ec2", HERE.region), boto3.client("ssm", HERE.region)

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

        def limit(type_: str, subnet: str, count: int) -> None:
            pytest.skip("moto has room for everything")

        def name(parameter: str, value: str) -> None:
            ssm.put_parameter(Name=parameter, Value=value, Type="String")

        there = client.describe_subnets()["Subnets"]
        by_zone = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in there}
        subnets = tuple(by_zone[zone] for zone in ZONES)
        provider = Ec2Provider(target=HERE, read=client, act=lambda: client, ssm=lambda: ssm)
        yield Case(provider, put, protect, subnets, limit, name, is_moto=True)


def openstack(request: pytest.FixtureRequest) -> Iterator[Case]:
    with recorded(request) as cloud:
        yield Case(
            cloud.provider,
            lambda tags, _zone: cloud.put(tags),
            cloud.lock,
            (),
            lambda *_: pytest.skip("Nova tells no pool's room"),
            lambda *_: pytest.skip("OpenStack has no parameters"),
            zones=("nova", "nova"),
            image=cloud.image,
            instance_type="t1.tiny",
            missing="00000000-0000-4000-8000-000000000000",
            codes=("404", "locked"),
            settle=cloud.settle,
            own_tags=frozenset({"Name", "curfew:token"}),
        )


@pytest.fixture(
    params=[memory, simulated, pytest.param(moto, marks=pytest.mark.slow), openstack],
    ids=["memory", "ec2-simulated", "ec2-moto", "openstack"],
)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    make: Callable[..., Iterator[Case]] = request.param
    yield from make(request) if make is openstack else make()


def test_an_empty_cloud_has_nothing(case: Case) -> None:
    assert list(case.provider.find(EVERYTHING, narrow=False)) == []
    assert case.provider.describe([]) == {}
    assert case.provider.protections([]) == {}


def test_tags_zone_and_state_come_back_as_they_are(case: Case) -> None:
    tags = {"env": "dev", "Name": "=cmd()|*?\\ <b>&amp;</b> ü", "empty": ""}
    id_ = case.put(tags, ZONES[1])

    (instance,) = case.provider.find(EVERYTHING, narrow=False)

    assert (instance.id, instance.zone, instance.state) == (id_, case.zones[1], State.RUNNING)
    assert dict(instance.tags) == tags
    assert instance.target == case.provider.target
    assert instance.started_at is not None
    assert instance.started_at.utcoffset() is not None


def test_an_instance_without_tags_has_none(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert case.tags(case.provider.describe([id_])[id_], {}) == {}


@pytest.mark.parametrize("count", [1, 3, 4, 10])
def test_every_page_is_read(case: Case, count: int) -> None:
    ids = {case.put({"n": str(n)}, ZONES[0]) for n in range(count)}
    assert case.found() == ids


def test_only_the_states_that_are_asked_for_come(case: Case) -> None:
    running, stopped = case.put({}, ZONES[0]), case.put({}, ZONES[0])
    case.provider.stop([stopped], by="test")
    case.settle()

    assert case.found(states=frozenset({State.RUNNING})) == {running}
    assert case.found(states=frozenset({State.STOPPED})) == {stopped}


def test_narrowing_never_loses_what_the_selector_means(case: Case) -> None:
    literal = case.put({"team": "a*b?c\\d"}, ZONES[0])
    case.put({"team": "aXXbYc\\d"}, ZONES[0])
    exact = a_selector(tags=(TagFilter(key="team", values=("a*b?c\\d",)),))

    found = {i.id for i in case.provider.find(exact, narrow=True) if exact.tags[0].matches(i.tags)}

    if not case.is_moto:  # moto reads an escaped wildcard as a backslash and finds nothing
        assert found == {literal}
    assert found <= {literal}


def test_missing_instance_is_omitted_from_a_description_of_others(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert set(case.provider.describe([id_, case.missing])) == {id_}


def test_protection_is_read_for_each(case: Case) -> None:
    locked, free = case.put({}, ZONES[0]), case.put({}, ZONES[0])
    case.protect(locked)

    if not case.can.attributes:
        seen = case.provider.describe([locked, free, case.missing])
        assert {id_: one.locked for id_, one in seen.items()} == {locked: True, free: False}
        return
    found = case.provider.protections([locked, free, case.missing])

    assert found[locked].termination_protected
    assert not found[free].termination_protected
    assert not found[free].stop_protected
    assert case.missing not in found


def test_terminate_returns_the_state_before_and_is_seen_after(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert case.provider.terminate([id_], by="test") == {id_: State.RUNNING}
    assert case.state(id_) in {State.SHUTTING_DOWN, State.TERMINATED}


def test_stop_returns_the_state_before_and_is_seen_after(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert case.provider.stop([id_], by="test") == {id_: State.RUNNING}
    assert case.state(id_) in {State.STOPPING, State.STOPPED}


def test_one_bad_id_fails_the_call_and_nothing_happens(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    with pytest.raises(ItemError) as failed:
        case.provider.terminate([id_, case.missing][-case.can.ids_per_call :], by="test")
    assert failed.value.code == case.codes[0]
    assert case.state(id_) is State.RUNNING


def test_a_protected_instance_is_refused_and_stays(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    case.protect(id_)
    with pytest.raises(ItemError) as failed:
        case.provider.terminate([id_], by="test")
    assert isinstance(failed.value, ProtectedError)
    assert failed.value.code == case.codes[1]
    assert case.state(id_) is State.RUNNING


def test_ordinary_instance_needs_no_release(case: Case) -> None:
    id_ = case.put({}, ZONES[0])
    assert case.provider.release(list(case.provider.describe([id_]).values()), by="test") == {}


class TestPages:
    @pytest.mark.parametrize("count", [0, 1, 5, 6, 23])
    def test_each_instance_comes_once(self, case: Case, count: int) -> None:
        ids = {case.put({"env": "dev"}, ZONES[0]) for _ in range(count)}

        seen: list[str] = []
        after, pages = "", 0
        while pages == 0 or after:
            page = case.provider.page(a_selector(), limit=5, after=after)
            assert len(page.instances) <= 5
            seen += [instance.id for instance in page.instances]
            after, pages = page.after, pages + 1
            assert pages <= count + 1

        assert sorted(seen) == sorted(ids)

    def test_instance_outside_the_selector_is_left_out(self, case: Case) -> None:
        meant = case.put({"env": "dev"}, ZONES[0])
        case.put({"env": "prod"}, ZONES[0])
        case.put({"env": "dev", "Owner": "kim"}, ZONES[0])
        stopped = case.put({"env": "dev"}, ZONES[0])
        case.provider.stop([stopped], by="test")
        case.settle()

        page = case.provider.page(a_selector(without_tags=("owner",)), limit=50)

        assert [instance.id for instance in page.instances] == [meant]
        assert page.after == ""

    @pytest.mark.parametrize("after", ["never-given", "-1", "99"])
    def test_page_token_that_was_never_issued_is_a_request_error(
        self, case: Case, after: str
    ) -> None:
        if case.is_moto:
            pytest.skip("moto stumbles over it")
        with pytest.raises(RequestError, match="begin at the first page"):
            case.provider.page(a_selector(), limit=5, after=after)


class TestImage:
    def test_image_id_is_returned_unchanged(self, case: Case) -> None:
        assert case.provider.image(case.image) == case.image

    def test_parameter_resolves_to_its_image(self, case: Case) -> None:
        case.name("/images/latest", "ami-0123456789abcdef0")
        assert case.provider.image("resolve:ssm:/images/latest") == "ami-0123456789abcdef0"

    def test_missing_image_is_named(self, case: Case) -> None:
        if case.subnets:
            pytest.skip("EC2 says so when it launches")
        with pytest.raises(RefusedError, match=r'image "none-such": .* does not have it'):
            case.provider.image("none-such")

    def test_missing_parameter_is_named(self, case: Case) -> None:
        if not case.subnets:
            case.name("/images/none", "")
        with pytest.raises(RefusedError, match="the parameter /images/none") as refused:
            case.provider.image("resolve:ssm:/images/none")
        assert refused.value.code == "ParameterNotFound"

    def test_parameter_value_that_is_no_image_is_refused_and_not_shown(self, case: Case) -> None:
        case.name("/secret", "hunter2")
        with pytest.raises(RefusedError, match="the parameter /secret") as refused:
            case.provider.image("resolve:ssm:/secret")
        assert "hunter2" not in str(refused.value)


class TestLaunch:
    def test_instances_have_their_tags_and_zone_from_the_launch(self, case: Case) -> None:
        launch = case.launch(subnet=case.subnets[1] if case.subnets else "")

        launched = case.provider.launch(launch, by="test")

        assert len({i.id for i in launched}) == (1 if case.is_moto else 3)  # moto: the minimum
        seen = case.provider.describe([i.id for i in launched])
        for instance in [*launched, *seen.values()]:
            assert case.tags(instance, launch.tags) == dict(launch.tags)
            assert instance.image == case.image
            assert instance.started_at is not None
        assert all(i.state in {State.PENDING, State.RUNNING} for i in seen.values())
        case.settle()
        seen = case.provider.describe([i.id for i in launched])
        assert {instance.zone for instance in seen.values()} == {case.zones[1]}

    def test_same_launch_call_again_launches_nothing_more(self, case: Case) -> None:
        if case.is_moto:
            pytest.skip("moto launches anew")
        first = case.provider.launch(case.launch(), by="test")
        again = case.provider.launch(case.launch(), by="test")

        assert {i.id for i in again} == {i.id for i in first}
        assert case.found(states=frozenset({State.PENDING, State.RUNNING})) == {i.id for i in first}

    @pytest.mark.parametrize(
        "other",
        [
            {"count": 2},
            {"instance_type": "t3.micro"},
            {"tags": {"env": "sandbox"}},
            {"user_data": "#!/bin/sh"},
            {"spot": True},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_same_token_with_another_call_is_a_mismatch(
        self, case: Case, other: dict[str, Any]
    ) -> None:
        if case.is_moto or not case.can.idempotent_launch:
            pytest.skip("launches anew, or what is there already")
        case.provider.launch(case.launch(), by="test")

        with pytest.raises(MismatchError):
            case.provider.launch(case.launch(**other), by="test")

        assert len(case.provider.launched("token-1")) == 3

    def test_order_of_tags_is_no_mismatch(self, case: Case) -> None:
        if case.is_moto:
            pytest.skip("moto launches anew")
        first = case.provider.launch(case.launch(tags={"a": "1", "b": "2"}), by="test")
        again = case.provider.launch(case.launch(tags={"b": "2", "a": "1"}), by="test")
        assert {i.id for i in again} == {i.id for i in first}

    def test_pool_launches_what_it_has_and_then_reports_no_capacity(self, case: Case) -> None:
        if not case.subnets:
            pytest.skip("Nova tells no pool's room")
        case.limit("t2.micro", case.subnets[0], 2)

        assert len(case.provider.launch(case.launch(), by="test")) == 2
        with pytest.raises(CapacityError) as empty:
            case.provider.launch(case.launch(token="token-2", count=1), by="test")

        assert empty.value.code == "InsufficientInstanceCapacity"
        assert case.provider.launched("token-2") == ()
        assert (
            len(
                case.provider.launch(
                    case.launch(token="token-3", subnet=case.subnets[1]), by="test"
                )
            )
            == 3
        )

    def test_failed_call_does_not_use_up_its_token(self, case: Case) -> None:
        if not case.subnets:
            pytest.skip("Nova tells no pool's room")
        case.limit("t2.micro", case.subnets[0], 0)
        with pytest.raises(CapacityError):
            case.provider.launch(case.launch(), by="test")

        case.limit("t2.micro", case.subnets[0], 9)

        assert len(case.provider.launch(case.launch(count=1), by="test")) == 1

    def test_a_token_whose_instances_have_ended_is_spent(self, case: Case) -> None:
        if case.is_moto or not case.can.idempotent_launch:
            pytest.skip("launches anew")
        ids = [i.id for i in case.provider.launch(case.launch(), by="test")]
        case.provider.terminate(ids, by="test")

        with pytest.raises(MismatchError) as spent:
            case.provider.launch(case.launch(), by="test")

        assert spent.value.code == "IdempotentInstanceTerminated"
        assert {i.id for i in case.provider.launched("token-1")} == set(ids)

    def test_a_token_leads_to_exactly_what_it_launched(self, case: Case) -> None:
        if case.is_moto:
            pytest.skip("moto cannot look for a token")
        case.put({"curfew:fleet": "three"}, ZONES[0])
        mine = case.provider.launch(case.launch(), by="test")
        case.provider.launch(case.launch(token="token-12"), by="test")
        if case.can.idempotent_launch:  # without it, the provider cannot find an ended instance
            case.provider.terminate([mine[0].id], by="test")

        assert {i.id for i in case.provider.launched("token-1")} == {i.id for i in mine}
        assert case.provider.launched("token-*") == ()
        assert case.provider.launched("never-sent") == ()

    def test_spot_is_launched_as_spot(self, case: Case) -> None:
        if not case.subnets:
            pytest.skip("OpenStack has no Spot")
        (instance, *_) = case.provider.launch(case.launch(spot=True), by="test")
        assert instance.lifecycle == "spot"


class TestLabel:
    def test_tags_are_added_and_overwritten(self, case: Case) -> None:
        one = case.put({"env": "dev", "curfew:lease": "old"}, ZONES[0])
        two = case.put({}, ZONES[0])
        other = case.put({}, ZONES[0])

        case.provider.label([one, two], {"curfew:lease": "new"}, by="test")

        seen = case.provider.describe([one, two, other])
        assert case.tags(seen[one], {}) == {"env": "dev", "curfew:lease": "new"}
        assert case.tags(seen[two], {}) == {"curfew:lease": "new"}
        assert case.tags(seen[other], {}) == {}

    @pytest.mark.parametrize("key", ["env", "curfew", "Curfew:lease", "curfew:keep", "curfew:Keep"])
    def test_tag_outside_curfews_own_is_never_written(self, case: Case, key: str) -> None:
        id_ = case.put({}, ZONES[0])
        with pytest.raises(ValueError, match="not Curfew's own"):
            case.provider.label([id_], {"curfew:lease": "new", key: "x"}, by="test")
        assert case.tags(case.provider.describe([id_])[id_], {}) == {}

    def test_missing_instance_fails_the_label_call(self, case: Case) -> None:
        if case.is_moto:
            pytest.skip("moto tags what there is not")
        with pytest.raises(ProviderError):
            case.provider.label([case.missing], {"curfew:lease": "new"}, by="test")

    def test_empty_label_request_makes_no_call(self, case: Case) -> None:
        case.provider.label([], {"curfew:lease": "new"}, by="test")


def test_memory_provider_compares_whole_launch_calls() -> None:
    """Two calls differ for the provider in memory if they differ on the wire."""
    launch = LaunchCall(image="ami-08111162", instance_type="t2.micro", count=1, tags={}, token="t")
    provider = MemoryProvider()
    provider.launch(launch, by="test")
    for other in ({"key": "k"}, {"profile": "p"}, {"security_groups": ("sg-1",)}):
        changed: Any = other
        with pytest.raises(MismatchError):
            provider.launch(replace(launch, **changed), by="test")
