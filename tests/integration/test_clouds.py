"""Targets on a cloud other than AWS: their configuration, sweeps and launches."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curfew import bootstrap
from curfew.app import App
from curfew.config.policy_file import PolicyFile, load
from curfew.config.settings import Settings
from curfew.core.errors import ConfigError, RefusedError, RequestError
from curfew.core.target import Mode, Target
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.orchestration.targets import TargetResolver
from curfew.providers.memory import MemoryProvider
from curfew.providers.openstack.clouds import Clouds
from curfew.schemas.messages import SweepRequest, TargetRequest
from curfew.schemas.policy_file import File
from curfew.schemas.targets import Cloud
from tests.builders import HERE, NOW, an_id, an_instance
from tests.http import Service, policies

LAB = Target(provider="openstack", account="lab", region="RegionOne")
LABS = {"lab": {"regions": "RegionOne"}, "two": {"regions": ["north", "south"]}}
PAIR = {
    "cloud": "lab",
    "image": "debian-13",
    "instance_types": ["m1.small"],
    "networks": "lab-net",
    "hints": {"group": "g-1"},
    "count": {"default": 2, "max": 3},
    "tags": {"env": "dev"},
}
TEXT = """\
targets:
  clouds:
    lab: { regions: [RegionOne] }
    two: { regions: [north, south] }
policies:
  leases: { select: { lease: expired }, action: terminate }
fleets:
  pair:
    cloud: lab
    image: debian-13
    instance_types: [m1.small]
"""


def target_resolver(**targets: Any) -> TargetResolver:
    """Return a resolver. The policy "abroad" is for one AWS region."""
    entries = {
        name: {
            "select": {"states": ["running"], "tags": {"env": "dev"}, **more},
            "action": "terminate",
        }
        for name, more in {"nightly": {}, "abroad": {"regions": ["eu-west-1"]}}.items()
    }
    return TargetResolver(
        App(
            settings=Settings(region=HERE.region),
            policies=PolicyFile(
                path=Path("curfew.yaml"),
                version="1",
                content=File.model_validate({"targets": targets, "policies": entries}),
            ),
            ledger=MemoryLedger(),
            provider=lambda _region, _account="": MemoryProvider(target=HERE),
            regions=lambda _account="": frozenset({HERE.region}),
            members=lambda _units: ("222222222222",),
            now=lambda: NOW,
            sleep=lambda _seconds: None,
        )
    )


def places(made: TargetResolver, policy: str = "nightly", **request: Any) -> set[tuple[str, str]]:
    targets = made.resolve(SweepRequest(policy=policy, **request)).targets
    return {(target.account, target.region) for target in targets}


def contains(made: TargetResolver, account: str, region: str, policy: str = "nightly") -> bool:
    return made.contains(made.target(account, region), made._app.policies.policy(policy))


EVERY = {("lab", "RegionOne"), ("two", "north"), ("two", "south")}


def test_policy_file_with_only_clouds_sweeps_nothing_in_aws() -> None:
    assert places(target_resolver(clouds=LABS)) == EVERY
    assert not contains(target_resolver(clouds=LABS), HERE.account, HERE.region)


def test_clouds_can_be_listed_beside_accounts_and_units() -> None:
    unit = {"units": ["ou-abcd-12345678"]}
    made = target_resolver(clouds=LABS, accounts=["111111111111"], organization=unit)
    own = {("111111111111", HERE.region), ("222222222222", HERE.region)}
    assert places(made) == EVERY | own


def test_request_may_name_one_configured_cloud_and_no_other() -> None:
    assert places(target_resolver(clouds=LABS), accounts=("lab",)) == {("lab", "RegionOne")}
    with pytest.raises(RequestError, match="lob"):
        places(target_resolver(clouds=LABS), accounts=("lob",))


def test_region_named_alone_is_an_aws_region() -> None:
    made = target_resolver(clouds=LABS)
    for request in (
        SweepRequest(policy="nightly", regions=("eu-west-1",)),
        SweepRequest(policy="abroad"),
    ):
        with pytest.raises(RequestError, match=": only AWS regions can be named"):
            made.resolve(request)
    nothing = target_resolver(
        organization={"units": ["ou-abcd-12345678"], "without": ["222222222222"]}
    )
    with pytest.raises(RequestError, match=": the units have no account"):
        nothing.resolve(SweepRequest(policy="nightly"))
    assert not contains(made, "lab", "RegionOne", "abroad")
    assert contains(made, "lab", "RegionOne")
    assert not contains(made, "lab", "north")


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (
            "cloud: lab",
            "cloud: lob",
            'fleets.pair is for the cloud "lob"; targets.clouds has lab, two',
        ),
        (
            "cloud: lab",
            "cloud: two",
            "fleets.pair has no region, and the cloud two has north, south",
        ),
        (
            "cloud: lab",
            "cloud: two\n    region: west",
            'for the region "west"; the cloud two has north, south',
        ),
        (
            "image: debian-13",
            "subnets: [subnet-01234567]",
            "10: fleets.pair.subnets is an unknown key",
        ),
        ("lab: {", '"123456789012": {', "is not the name of a cloud"),
        ("[RegionOne]", "[]", "targets.clouds.lab.regions is empty"),
        ("[RegionOne] }", "[RegionOne], act_as_administrator: 1 }", "act_as_administrator is 1"),
    ],
)
def test_invalid_cloud_is_reported_with_its_location(
    tmp_path: Path, before: str, after: str, fault: str
) -> None:
    path = tmp_path / "curfew.yaml"
    path.write_text(TEXT.replace(before, after, 1))
    with pytest.raises(ConfigError) as wrong:
        load(path)
    assert fault in str(wrong.value)


def test_policy_file_with_clouds_is_read(tmp_path: Path) -> None:
    path = tmp_path / "curfew.yaml"
    path.write_text(TEXT)
    entry = load(path).fleet("pair").details()
    assert entry["instance_types"] == ("m1.small",)
    assert entry["networks"] == ()


def test_command_line_sweeps_a_cloud_without_an_aws_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a policy file for AWS, the command requires a region."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    path = tmp_path / "curfew.yaml"
    path.write_text(TEXT)
    app = bootstrap.build(Settings(policies=path))
    assert places(TargetResolver(app), "leases") == EVERY
    with pytest.raises(ConfigError, match="no region is set"):
        bootstrap.build(Settings())


# The clouds, put together


def clouds(secret: str | None = None) -> Clouds:
    known = {name: Cloud.model_validate(one) for name, one in LABS.items()}
    return Clouds(known, None if secret is None else lambda: secret)


SECRET = """
clouds:
  lab:
    auth: { auth_url: "http://127.0.0.1:9/v3", username: kim, password: hunter2, project_name: lab }
"""


def test_provider_is_built_once_from_the_secret() -> None:
    made = clouds(SECRET)
    provider = made.provider("RegionOne", "lab", mode=Mode.REPORT)
    assert provider.target == LAB
    assert made.provider("RegionOne", "lab", mode=Mode.REPORT) is provider
    assert made.provider("RegionOne", "lab", mode=Mode.ACT) is not provider


@pytest.mark.parametrize(
    "secret",
    ["hunter2: [", "hunter2", "clouds: {other: {password: hunter2}}", "clouds: {lab: hunter2}", ""],
)
def test_invalid_secret_is_not_repeated_in_the_error(secret: str) -> None:
    with pytest.raises(RefusedError) as refused:
        clouds(secret).provider("RegionOne", "lab", mode=Mode.REPORT)
    assert "CURFEW_CLOUDS_SECRET" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_secret_without_credentials_is_refused_without_quoting_it() -> None:
    with pytest.raises(RefusedError) as refused:
        clouds("clouds: {lab: {auth_type: hunter2}}").provider("RegionOne", "lab", mode=Mode.REPORT)
    assert "hunter2" not in str(refused.value)


def test_unknown_cloud_or_region_is_refused() -> None:
    made = clouds()
    assert made.has("lab")
    assert not made.has("123456789012")
    assert not made.has("")
    with pytest.raises(RefusedError, match='cloud "gone": it is not among'):
        made.has("gone")
    with pytest.raises(RefusedError, match='no region "west"'):
        made.provider("west", "two", mode=Mode.REPORT)


def test_missing_openstack_sdk_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "curfew.providers.openstack.provider", raising=False)
    monkeypatch.setitem(sys.modules, "keystoneauth1.exceptions", None)
    monkeypatch.setitem(sys.modules, "openstack", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[openstack\]' in a checkout"):
        clouds(SECRET).provider("RegionOne", "lab", mode=Mode.REPORT)


# Over HTTP and by message


@pytest.fixture
def api() -> Service:
    file = policies(targets={"clouds": LABS}, fleets={"pair": PAIR})
    made = Service(file=file)
    made.clouds["RegionOne"] = MemoryProvider(target=LAB, clock=made.time.now)
    return made


def test_template_alone_decides_on_which_cloud_a_fleet_runs(api: Service) -> None:
    answer = api.launch(name="lab")
    assert answer.status == 201, answer.text
    assert (answer.json["account"], answer.json["region"]) == ("lab", "RegionOne")
    (call,) = api.orders()
    assert call[0] == "launch"
    spec = api.ledger.fleets.launch_spec(answer.json["launch_id"])
    assert (spec.networks, dict(spec.hints), spec.subnets) == (
        ("lab-net",),
        {"group": "g-1"},
        (),
    )
    refused = api.launch("two", name="lab2", region="eu-west-1")
    assert refused.status >= 400
    assert "is for the cloud lab: send no region with it" in refused.text


def test_unswept_account_does_not_prevent_a_launch_on_a_cloud() -> None:
    targets = {"clouds": LABS, "accounts": ["222222222222"], "never": [HERE.account]}
    made = Service(file=policies(targets=targets, fleets={"pair": PAIR}))
    made.clouds["RegionOne"] = MemoryProvider(target=LAB, clock=made.time.now)
    assert made.launch(name="lab").status == 201


def test_fleet_is_terminated_on_its_own_cloud(api: Service) -> None:
    api.launch(name="lab")
    api.time.sleep(120)
    ended = api.ask("DELETE", "/fleets/lab")
    assert ended.status == 200, ended.text
    assert [row["outcome"] for row in ended.json["rows"]] == ["verified"] * 2


def test_instances_and_plans_of_a_cloud_are_queried_by_its_name(api: Service) -> None:
    cloud = api.clouds["RegionOne"]
    cloud.instances = {an_id(1): replace(an_instance(1), target=LAB)}
    page = api.ask("GET", "/instances", query={"cloud": "lab"})
    assert [one["id"] for one in page.json["instances"]] == [an_id(1)], page.text
    plan = api.ask("POST", "/sweeps", body={"policy": "nightly", "cloud": "lab"})
    assert (plan.status, plan.json["account"]) == (201, "lab"), plan.text
    for wrong in ({"cloud": "two"}, {"cloud": "lob"}, {"cloud": "lab", "region": "eu-west-1"}):
        assert 400 <= api.ask("GET", "/instances", query=wrong).status < 500
        assert 400 <= api.ask("POST", "/sweeps", body={"policy": "nightly", **wrong}).status < 500


def test_query_of_a_cloud_with_several_regions_names_one(api: Service) -> None:
    for number, region in enumerate(("north", "south")):
        cloud = MemoryProvider(target=replace(LAB, account="two", region=region))
        cloud.instances = {an_id(number): replace(an_instance(number), target=cloud.target)}
        api.clouds[region] = cloud

    there = {"cloud": "two", "region": "south"}
    page = api.ask("GET", "/instances", query=there)
    plan = api.ask("POST", "/sweeps", body={"policy": "nightly", **there})
    missing = api.ask("POST", "/sweeps", body={"policy": "nightly", "cloud": "two"})

    assert [one["id"] for one in page.json["instances"]] == [an_id(1)], page.text
    assert (plan.status, plan.json["region"]) == (201, "south"), plan.text
    assert [one["id"] for one in plan.json["verdicts"]] == [an_id(1)]
    assert "region is missing: the cloud two has north, south" in missing.text


def test_sweep_message_may_name_a_cloud() -> None:
    said = {
        "policy": "nightly",
        "region": "RegionOne",
        "account": "lab",
        "asked_at": NOW.isoformat(),
    }
    assert TargetRequest.parse(said).account == "lab"
    for wrong in ("12345", "a b", "x:y", ""):
        with pytest.raises(RequestError):
            TargetRequest.parse(said | {"account": wrong})
