"""Which accounts and regions a sweep is for: what the file names, less what it excepts, and never more."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from curfew.config import policy_file
from curfew.config.targets import TargetResolver
from curfew.core.errors import ConfigError, ProviderError, RequestError
from curfew.core.policy import Policy
from curfew.core.target import Place
from curfew.schemas.messages import SweepRequest
from curfew.schemas.targets import Targets

HOME, HERE, THERE = "111111111111", "eu-central-1", "us-east-1"
ONE, TWO, THREE = "222222222222", "333333333333", "444444444444"
UNIT = "ou-abcd-12345678"
FILE = (
    "policies: {{ nightly: {{ select: {{ states: [running], tags: {{ env: dev }}{more} }}, "
    "action: terminate }} }}\n"
)


def target_resolver(
    *,
    members: Iterable[str] = (),
    enabled: Callable[[str], Iterable[str]] = lambda _account: (THERE, HERE),
    **targets: Any,
) -> TargetResolver:
    """The own account is ``HOME``, the own region ``HERE``."""

    def listed(_units: Sequence[str]) -> Iterable[str]:
        return members

    return TargetResolver(
        configured=Targets.model_validate(targets),
        account=HOME,
        region=HERE,
        members=listed,
        regions=enabled,
    )


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    path = tmp_path / "curfew.yaml"
    path.write_text(FILE.format(more=""))
    return policy_file.load(path).policy("nightly")


def asked(**more: Any) -> SweepRequest:
    return SweepRequest.parse({"policy": "nightly", **more})


def where(found: Iterable[Place]) -> list[tuple[str, str]]:
    return [(place.account, place.region) for place in found]


def test_default_target_is_the_own_account_and_region(policy: Policy) -> None:
    assert where(target_resolver().places(asked(), policy)) == [(HOME, HERE)]


def test_each_account_has_each_region_in_the_order_of_the_file(policy: Policy) -> None:
    one = target_resolver(accounts=[TWO, ONE, TWO], regions=[THERE, HERE])
    assert where(one.places(asked(), policy)) == [
        (TWO, THERE), (TWO, HERE), (ONE, THERE), (ONE, HERE),
    ]  # fmt: skip


def test_unit_has_its_members_without_the_excluded_ones(policy: Policy) -> None:
    one = target_resolver(
        members=[TWO, ONE, THREE],
        organization={"units": [UNIT], "without": [TWO]},
        never=[THREE],
    )
    assert where(one.places(asked(), policy)) == [(ONE, HERE)]


@pytest.mark.parametrize(
    ("members", "without"), [((), ()), ((HOME,), (HOME,)), ((ONE, TWO), (ONE, TWO))]
)
def test_empty_units_do_not_fall_back_to_the_own_account(
    policy: Policy, members: tuple[str, ...], without: tuple[str, ...]
) -> None:
    organization = {"units": [UNIT]} | ({"without": list(without)} if without else {})
    one = target_resolver(members=members, organization=organization)

    assert one.places(asked(), policy) == ()
    assert not one.contains(Place(region=HERE, account=HOME), policy)
    with pytest.raises(RequestError, match=HOME):
        one.places(asked(accounts=[HOME]), policy)


def test_members_are_swept_and_the_own_account_is_not_one_of_them_by_itself(policy: Policy) -> None:
    one = target_resolver(members=[TWO], organization={"units": [UNIT]})
    assert where(one.places(asked(), policy)) == [(TWO, HERE)]
    assert not one.contains(Place(region=HERE, account=HOME), policy)


def test_excluded_account_is_not_swept_even_on_request(policy: Policy) -> None:
    one = target_resolver(members=[ONE, TWO], organization={"units": [UNIT]}, never=[ONE])

    assert where(one.places(asked(), policy)) == [(TWO, HERE)]
    assert not one.contains(Place(region=HERE, account=ONE), policy)
    with pytest.raises(RequestError, match=f"account {ONE}: it is not among the targets"):
        one.places(asked(accounts=[ONE]), policy)


def test_own_account_may_be_excluded(policy: Policy) -> None:
    assert target_resolver(never=[HOME]).places(asked(), policy) == ()


def test_all_regions_are_those_of_each_account(policy: Policy) -> None:
    enabled = {ONE: [THERE, HERE], TWO: ["sa-east-1"]}
    one = target_resolver(enabled=enabled.__getitem__, accounts=[ONE, TWO], regions="all")

    assert where(one.places(asked(), policy)) == [(ONE, HERE), (ONE, THERE), (TWO, "sa-east-1")]


def test_account_with_unknown_regions_is_reported_and_the_others_remain(
    policy: Policy,
) -> None:
    def enabled(account: str) -> list[str]:
        if account == ONE:
            raise ProviderError("not now")
        return [HERE, THERE]

    one = target_resolver(enabled=enabled, accounts=[ONE, TWO], regions="all")
    first, *others = one.places(asked(), policy)

    assert (first.account, first.region) == (ONE, HERE)
    assert first.problem == f"the regions of {ONE} cannot be read: not now"
    assert where(others) == [(TWO, HERE), (TWO, THERE)]
    assert not any(place.problem for place in others)


def test_a_policy_has_its_own_regions(tmp_path: Path) -> None:
    path = tmp_path / "curfew.yaml"
    path.write_text(FILE.format(more=f", regions: [{THERE}]"))
    own = policy_file.load(path).policy("nightly")
    one = target_resolver(accounts=[ONE])

    assert where(one.places(asked(), own)) == [(ONE, THERE)]
    assert one.contains(Place(region=THERE, account=ONE), own)
    assert not one.contains(Place(region=HERE, account=ONE), own)


def test_a_region_that_is_asked_for_is_one_of_the_targets(policy: Policy) -> None:
    one = target_resolver(regions=[HERE, THERE])

    assert where(one.places(asked(regions=[THERE]), policy)) == [(HOME, THERE)]
    with pytest.raises(RequestError, match="region sa-east-1: it is not among the targets"):
        one.places(asked(regions=[THERE, "sa-east-1"]), policy)


@pytest.mark.parametrize(
    ("account", "region", "known"),
    [(ONE, HERE, True), (ONE, THERE, False), (HOME, HERE, False), (THREE, HERE, False)],
)
def test_only_what_is_configured_is_known(
    policy: Policy, account: str, region: str, *, known: bool
) -> None:
    one = target_resolver(accounts=[ONE, TWO])
    assert one.contains(Place(region=region, account=account), policy) is known


@pytest.mark.parametrize(
    ("targets", "fault"),
    [
        ("accounts: [123456789012]", "targets.accounts.0 123456789012 is a number here: put the account in quotes"),
        ("accounts: [012345670123]", "is a number here: put the account in quotes"),
        ("never: [123456789012]", "is a number here: put the account in quotes"),
        ('accounts: ["1234"]', '"1234" is not an account: one has 12 digits'),
        ('organization: { units: ["abcd"] }', '"abcd" is not a unit'),
        ('organization: { without: ["111111111111"] }', "units"),
        ("regions: everywhere", "regions"),
        ('{ accounts: ["111111111111"], never: ["111111111111"] }', "111111111111 among accounts and among never"),
        ("acounts: []", "unknown key"),
    ],
)  # fmt: skip
def test_invalid_targets_are_reported(tmp_path: Path, targets: str, fault: str) -> None:
    path = tmp_path / "curfew.yaml"
    block = targets if targets.startswith("{") else f"{{ {targets} }}"
    path.write_text(f"targets: {block}\n" + FILE.format(more=""))
    with pytest.raises(ConfigError) as caught:
        policy_file.load(path)
    assert fault in str(caught.value)
    assert f"{path}:1:" in str(caught.value)
