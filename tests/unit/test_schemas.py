"""Data from outside: the request of a sweep, and the policy file as objects of the core."""

import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from curfew.config.policy_file import load
from curfew.config.settings import SHIPPED_POLICIES
from curfew.core.errors import ConfigError, RequestError
from curfew.core.instance import ActionKind, State
from curfew.core.policy import ALWAYS_PROTECTED, Limits, Selector, TagFilter
from curfew.core.target import Mode
from curfew.schemas.messages import SweepRequest
from curfew.schemas.policy_file import File

ROOT = Path(__file__).parent.parent.parent
PUBLISHED = json.loads((ROOT / "docs" / "curfew.schema.json").read_text())
VALIDATOR = Draft202012Validator(PUBLISHED)

PREFIX = "the request for a sweep is not valid: "
SMALLEST: dict[str, Any] = {
    "policies": {
        "nightly": {
            "select": {"states": ["running"], "tags": {"env": "dev"}},
            "action": "terminate",
        }
    }
}


def refusal(event: object) -> str:
    with pytest.raises(RequestError) as refused:
        SweepRequest.parse(event)
    said = str(refused.value)
    assert said.startswith(PREFIX)
    return said.removeprefix(PREFIX)


# The request


def test_a_policy_is_all_that_a_request_needs() -> None:
    request = SweepRequest.parse({"policy": "nightly"})

    assert request == SweepRequest(policy="nightly")
    assert (request.regions, request.mode) == ((), None)
    assert (request.schedule, request.scheduled_at) == ("", None)


def test_a_request_may_say_everything() -> None:
    request = SweepRequest.parse(
        {
            "policy": "nightly",
            "regions": ["eu-central-1", "us-gov-west-1", "ap-southeast-5"],
            "mode": "report",
            "schedule": "arn:aws:scheduler:eu-central-1:123456789012:schedule/default/nightly",
            "scheduled_at": "2026-11-23T01:00:00Z",
        }
    )

    assert request.regions == ("eu-central-1", "us-gov-west-1", "ap-southeast-5")
    assert request.mode is Mode.REPORT
    assert request.scheduled_at == datetime(2026, 11, 23, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({}, "policy is missing"),
        (None, "it is None, not a mapping of keys to values"),
        ([], "it is [], not a mapping of keys to values"),
        ("nightly", 'it is "nightly", not a mapping of keys to values'),
        ({"policy": 3}, "policy is 3, not a text: put it in quotes"),
        ({"policy": None}, "policy is None, not a text: put it in quotes"),
        ({"policy": ["nightly"]}, "policy is ['nightly'], not a text: put it in quotes"),
    ],
)
def test_a_request_without_a_policy_is_refused(event: object, said: str) -> None:
    assert refusal(event) == said


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("region", "regions"),
        ("Mode", "mode"),
        ("policies", "policy"),
        ("schedule_at", "scheduled_at"),
        ("force", ""),
        ("dry_run", ""),
        ("detail", ""),
    ],
)
def test_an_unknown_key_is_refused_with_what_it_may_have_meant(key: str, hint: str) -> None:
    said = refusal({"policy": "nightly", key: "x"})

    assert said.startswith(f"{key} is an unknown key")
    assert said.endswith(f'; did you mean "{hint}"?' if hint else "is an unknown key")


def test_every_fault_of_a_request_is_said() -> None:
    assert refusal({"mode": "acting", "tags": {}}) == (
        "policy is missing; mode is \"acting\", not 'report' or 'act'; tags is an unknown key"
    )


def test_an_empty_list_of_regions_is_refused_and_never_read_as_all() -> None:
    assert refusal({"policy": "nightly", "regions": []}) == "regions is empty"


@pytest.mark.parametrize(
    "region",
    [
        "",
        "eu",
        "eu-central",
        "EU-central-1",
        "eu-central-1\n",
        "*",
        "eu-central-\N{ARABIC-INDIC DIGIT ONE}",
        "all",
    ],
)
def test_a_malformed_region_is_refused_by_its_name(region: str) -> None:
    said = refusal({"policy": "nightly", "regions": ["eu-central-1", region]})

    assert said == f'regions.1 "{region}" is not a region: one looks like eu-central-1'


@pytest.mark.parametrize("regions", [{"eu-central-1": True}, 7, None])
def test_regions_are_a_list_or_a_single_one(regions: object) -> None:
    assert refusal({"policy": "nightly", "regions": regions}).startswith("regions is ")


@pytest.mark.parametrize("mode", ["ACT", "Act", "act ", "terminate", "", True, 1])
def test_an_unknown_mode_is_refused_by_its_name(mode: object) -> None:
    shown = f'"{mode}"' if isinstance(mode, str) else str(mode)

    assert refusal({"policy": "nightly", "mode": mode}) == (
        f"mode is {shown}, not 'report' or 'act'"
    )


@pytest.mark.parametrize("at", ["2026-11-23T01:00:00", "2026-11-23", "2026-11-23 01:00"])
def test_a_time_without_a_zone_is_refused(at: str) -> None:
    assert refusal({"policy": "nightly", "scheduled_at": at}).startswith(f'scheduled_at is "{at}"')


@pytest.mark.parametrize("at", ["<aws.scheduler.scheduled-time>", "tonight", "", "1772636400"])
def test_what_is_no_time_is_refused(at: str) -> None:
    assert refusal({"policy": "nightly", "scheduled_at": at}).startswith(
        f'scheduled_at "{at}" is not an instant: write one as in 2026-03-04T18:00:00Z'
    )


def test_a_time_that_no_calendar_has_is_refused() -> None:
    at = "2026-13-01T00:00:00Z"

    assert refusal({"policy": "nightly", "scheduled_at": at}).startswith(f'scheduled_at is "{at}"')


def test_a_time_keeps_its_instant_in_any_zone() -> None:
    event = {
        "policy": "nightly",
        "schedule": "nightly",
        "scheduled_at": "2026-11-23T02:00:00+01:00",
    }

    assert SweepRequest.parse(event).scheduled_at == datetime(2026, 11, 23, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "half", [{"schedule": "nightly"}, {"scheduled_at": "2026-11-23T01:00:00Z"}]
)
def test_a_schedule_and_its_time_belong_together(half: dict[str, str]) -> None:
    assert "they belong together" in refusal({"policy": "nightly", **half})


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    anything
    | st.dictionaries(st.sampled_from((*SweepRequest.model_fields, "region")), anything, max_size=4)
)
def test_any_event_is_a_request_or_an_error_of_ours(event: object) -> None:
    try:
        request = SweepRequest.parse(event)
    except RequestError:
        return
    assert isinstance(event, dict)
    assert request.policy == event["policy"]
    assert set(event) <= set(SweepRequest.model_fields)


# The policy file as objects of the core


def read(document: Mapping[str, Any]) -> File:
    return File.model_validate(document)


def changed(*path: str, to: Any) -> dict[str, Any]:
    """Return the smallest valid file with one value set."""
    document = deepcopy(SMALLEST)
    if path[0] == "fleets":
        document["limits"] = {"per_sweep": 100, "per_day": 100}
        document["policies"]["leases"] = {"select": {"lease": "expired"}, "action": "terminate"}
    inner = document
    for step in path[:-1]:
        inner = inner.setdefault(step, {})
    inner[path[-1]] = to
    return document


NIGHTLY = ("policies", "nightly")
SELECT = (*NIGHTLY, "select")


def test_the_smallest_file_has_every_default() -> None:
    policy = read(SMALLEST).policy("nightly", "v1")

    assert policy.name == "nightly"
    assert policy.version == "v1"
    assert policy.action is ActionKind.TERMINATE
    assert policy.older_than is None
    assert policy.selector == Selector(
        states=frozenset({State.RUNNING}), tags=(TagFilter(key="env", values=("dev",)),)
    )
    assert policy.protection.tags == ("curfew:keep",)
    assert policy.protection.min_age == timedelta(minutes=15)
    assert policy.limits == Limits(per_sweep=20, percent=10, per_day=50)


def test_every_condition_reaches_the_selector() -> None:
    select = {
        "states": ["running", "stopped"],
        "tags": {
            "env": ["dev", "sandbox"],
            "team": {"like": "a*"},
            "kind": {"values": "x", "like": ["y?", "z*"]},
        },
        "with_tags": ["temporary"],
        "without_tags": "owner",
        "instance_types": "t2.*",
        "regions": ["eu-central-1", "eu-west-1"],
    }

    assert read(changed(*SELECT, to=select)).policy("nightly", "").selector == Selector(
        states=frozenset({State.RUNNING, State.STOPPED}),
        tags=(
            TagFilter(key="env", values=("dev", "sandbox")),
            TagFilter(key="team", like=("a*",)),
            TagFilter(key="kind", values=("x",), like=("y?", "z*")),
        ),
        with_tags=("temporary",),
        without_tags=("owner",),
        instance_types=("t2.*",),
        regions=("eu-central-1", "eu-west-1"),
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1m", timedelta(minutes=1)),
        ("90m", timedelta(minutes=90)),
        ("8h", timedelta(hours=8)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(weeks=2)),
        ("999999w", timedelta(weeks=999_999)),
    ],
)
def test_a_duration_means_what_it_says(written: str, meant: timedelta) -> None:
    document = changed(*NIGHTLY, "older_than", to=written)

    assert read(document).policy("nightly", "").older_than == meant


@pytest.mark.parametrize("tags", ["DoNotDelete", ["DoNotDelete"], ["a", "b"], ["curfew:keep", "a"]])
def test_the_protect_tag_is_in_force_whatever_the_file_lists(tags: Any) -> None:
    policy = read(changed("protect", "tags", to=tags)).policy("nightly", "")

    assert policy.protection.tags[0] == ALWAYS_PROTECTED
    assert set(policy.protection.tags) == {
        "curfew:keep",
        *([tags] if isinstance(tags, str) else tags),
    }


def test_limits_of_a_policy_override_those_of_the_file() -> None:
    document = changed("limits", to={"per_sweep": 7, "percent": 8, "per_day": 9})
    document["policies"]["nightly"]["limits"] = {"per_sweep": 0}
    document["policies"]["other"] = document["policies"]["nightly"] | {"limits": {"percent": 0}}
    file = read(document)

    assert file.policy("nightly", "").limits == Limits(per_sweep=0, percent=8, per_day=9)
    assert file.policy("other", "").limits == Limits(per_sweep=7, percent=0, per_day=9)


def test_one_policys_limits_are_not_anothers() -> None:
    document = deepcopy(SMALLEST)
    document["policies"]["other"] = deepcopy(document["policies"]["nightly"])
    document["policies"]["nightly"]["limits"] = {"per_sweep": 1}

    assert read(document).policy("other", "").limits.per_sweep == 20


def test_a_file_that_was_read_does_not_change() -> None:
    file = read(SMALLEST)

    with pytest.raises(ValueError, match="frozen"):
        file.timezone = "Europe/Zurich"  # type: ignore[misc]


# The published schema


VALID: dict[str, dict[str, Any]] = {
    "region alone": changed(*SELECT, "regions", to="eu-central-1"),
    "smallest": SMALLEST,
    "zone": changed("timezone", to="Europe/Zurich"),
    "protect": changed("protect", to={"tags": ["a", "b"], "min_age": "1h"}),
    "protect, one tag": changed("protect", to={"tags": "a"}),
    "limits": changed("limits", to={"per_sweep": 0, "percent": 100, "per_day": 0}),
    "own limits": changed(*NIGHTLY, "limits", to={"per_sweep": 3, "percent": 0}),
    "no own limits": changed(*NIGHTLY, "limits", to={}),
    "one state": changed(*SELECT, "states", to="running"),
    "all states": changed(*SELECT, "states", to=["pending", "running", "stopping", "stopped"]),
    "values": changed(*SELECT, "tags", to={"env": ["dev", ""]}),
    "long form": changed(*SELECT, "tags", to={"env": {"values": "dev", "like": ["a*"]}}),
    "like": changed(*SELECT, "tags", to={"env": {"like": "*"}}),
    "presence": changed(*SELECT, to={"states": "running", "with_tags": "a"}),
    "absence": changed(*SELECT, to={"states": "running", "without_tags": ["a"]}),
    "types": changed(*SELECT, to={"states": "running", "instance_types": ["t2.*"]}),
    "regions": changed(*SELECT, "regions", to=["eu-central-1"]),
    "stop": changed(*NIGHTLY, "action", to="stop"),
    "age": changed(*NIGHTLY, "older_than", to="3d"),
    "no age": changed(*NIGHTLY, "older_than", to=None),
    "fleet": changed("fleets", "f", to={"image": "ami-08111162", "instance_types": ["t2.micro"]}),
    "whole fleet": changed(
        "fleets",
        "f",
        to={
            "image": "ami-0123456789abcdef0",
            "instance_types": ["t2.micro"],
            "count": {"default": 1, "max": 100},
            "tags": {"env": ""},
        },
    ),
}
FLEET = {"image": "ami-08111162", "instance_types": ["t2.micro"]}
INVALID: dict[str, Any] = {
    "empty": None,
    "list": [],
    "text": "nightly",
    "no policies": {},
    "policies empty": {"policies": {}},
    "policies null": {"policies": None},
    "unknown key": changed("timezne", to="UTC"),
    "unknown key in protect": changed("protect", "tag", to="a"),
    "unknown key in limits": changed("limits", "per_swep", to=1),
    "unknown key in policy": changed(*NIGHTLY, "grace", to="24h"),
    "unknown key in own limits": changed(*NIGHTLY, "limits", to={"per_day": 1}),
    "unknown key in select": changed(*SELECT, "without_tag", to="owner"),
    "unknown key in tag": changed(*SELECT, "tags", to={"env": {"lik": "a"}}),
    "unknown key in fleet": changed("fleets", "f", to=FLEET | {"userdata": "x"}),
    "unknown key in count": changed("fleets", "f", to=FLEET | {"count": {"min": 1}}),
    "no select": {"policies": {"nightly": {"action": "terminate"}}},
    "no action": {"policies": {"nightly": {"select": SMALLEST["policies"]["nightly"]["select"]}}},
    "no states": changed(*SELECT, to={"tags": {"env": "dev"}}),
    "no image": changed("fleets", "f", to={"instance_types": ["t2.micro"]}),
    "states empty": changed(*SELECT, "states", to=[]),
    "state unknown": changed(*SELECT, "states", to=["terminated"]),
    "action unknown": changed(*NIGHTLY, "action", to="delete"),
    "values empty": changed(*SELECT, "tags", to={"env": []}),
    "value boolean": changed(*SELECT, "tags", to={"env": False}),
    "value number": changed(*SELECT, "tags", to={"env": 3}),
    "value number in list": changed(*SELECT, "tags", to={"env": ["dev", 3]}),
    "value null": changed(*SELECT, "tags", to={"env": None}),
    "value too long": changed(*SELECT, "tags", to={"env": "x" * 257}),
    "like number": changed(*SELECT, "tags", to={"env": {"like": 3}}),
    "key empty": changed(*SELECT, "tags", to={"": "dev"}),
    "key too long": changed(*SELECT, "tags", to={"x" * 129: "dev"}),
    "presence empty": changed(*SELECT, "with_tags", to=[]),
    "absence of nothing": changed(*SELECT, "without_tags", to=""),
    "types empty": changed(*SELECT, "instance_types", to=[]),
    "type empty": changed(*SELECT, "instance_types", to=[""]),
    "regions empty": changed(*SELECT, "regions", to=[]),
    "region malformed": changed(*SELECT, "regions", to=["narnia"]),
    "limit negative": changed("limits", "per_sweep", to=-1),
    "limit boolean": changed("limits", "per_day", to=True),
    "limit text": changed("limits", "per_day", to="50"),
    "limit fraction": changed("limits", "per_day", to=2.5),
    "limit null": changed("limits", "per_day", to=None),
    "per cent too high": changed("limits", "percent", to=101),
    "own per cent too high": changed(*NIGHTLY, "limits", to={"percent": 101}),
    "age zero": changed(*NIGHTLY, "older_than", to="0m"),
    "age in fortnights": changed(*NIGHTLY, "older_than", to="3 fortnights"),
    "age with exponent": changed(*NIGHTLY, "older_than", to="1e3m"),
    "age in arabic digits": changed(*NIGHTLY, "older_than", to="\N{ARABIC-INDIC DIGIT THREE}d"),
    "age number": changed(*NIGHTLY, "older_than", to=3),
    "minimum age zero": changed("protect", "min_age", to="0m"),
    "minimum age null": changed("protect", "min_age", to=None),
    "protect tags empty": changed("protect", "tags", to=[]),
    "protect tag number": changed("protect", "tags", to=[3]),
    "zone number": changed("timezone", to=1),
    "image malformed": changed("fleets", "f", to=FLEET | {"image": "ubuntu"}),
    "fleet type alone": changed("fleets", "f", to=FLEET | {"instance_types": "t2.micro"}),
    "fleet type with wildcard": changed("fleets", "f", to=FLEET | {"instance_types": ["t2.*"]}),
    "fleet types empty": changed("fleets", "f", to=FLEET | {"instance_types": []}),
    "count zero": changed("fleets", "f", to=FLEET | {"count": {"default": 0}}),
    "count too high": changed("fleets", "f", to=FLEET | {"count": {"max": 101}}),
    "fleet tag number": changed("fleets", "f", to=FLEET | {"tags": {"env": 3}}),
}
# A JSON Schema cannot express conditions between keys, or which resources exist.
BEYOND: dict[str, dict[str, Any]] = {
    "everything": changed(*SELECT, to={"states": "running"}),
    "tags empty": changed(*SELECT, "tags", to={}),
    "only regions": changed(*SELECT, to={"states": "running", "regions": ["eu-central-1"]}),
    "no value": changed(*SELECT, "tags", to={"env": {}}),
    "stop the stopped": {
        "policies": {
            "nightly": {"select": {"states": "stopped", "with_tags": "a"}, "action": "stop"}
        }
    },
    "default over max": changed("fleets", "f", to=FLEET | {"count": {"default": 3, "max": 2}}),
    "zone unknown": changed("timezone", to="Mars/Olympus"),
}


def loads(document: Any, folder: Path) -> bool:
    path = folder / "curfew.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    try:
        load(path)
    except ConfigError:
        return False
    return True


def test_the_published_schema_is_a_schema_and_the_shipped_file_fits_it() -> None:
    Draft202012Validator.check_schema(PUBLISHED)

    assert VALIDATOR.is_valid(yaml.safe_load(SHIPPED_POLICIES.read_text()))


def test_the_published_schema_is_what_the_loader_says_of_itself() -> None:
    fresh = File.model_json_schema()

    assert {key: PUBLISHED[key] for key in ("$defs", "properties", "required")} == {
        key: fresh[key] for key in ("$defs", "properties", "required")
    }


@pytest.mark.parametrize("name", VALID)
def test_the_schema_and_the_loader_agree_on_what_is_valid(name: str, tmp_path: Path) -> None:
    assert loads(VALID[name], tmp_path)
    assert VALIDATOR.is_valid(VALID[name])


@pytest.mark.parametrize("name", INVALID)
def test_the_schema_and_the_loader_agree_on_what_is_not(name: str, tmp_path: Path) -> None:
    assert not loads(INVALID[name], tmp_path)
    assert not VALIDATOR.is_valid(INVALID[name])


@pytest.mark.parametrize("name", BEYOND)
def test_the_loader_knows_more_than_the_schema_can_say(name: str, tmp_path: Path) -> None:
    assert not loads(BEYOND[name], tmp_path)
