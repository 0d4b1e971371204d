"""The accounts and regions of a sweep: those that the file names, minus those that it excludes, never more."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from curfew.app import App
from curfew.config import policy_file
from curfew.config.policy_file import PolicyFile
from curfew.config.settings import Settings
from curfew.core.errors import ConfigError, ProviderError, RequestError
from curfew.core.target import Target
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.orchestration.targets import ResolvedTargets, TargetResolver
from curfew.providers.memory import MemoryProvider
from curfew.schemas.messages import SweepRequest
from curfew.schemas.policy_file import File
from tests.builders import NOW

HOME, HERE, THERE = "111111111111", "eu-central-1", "us-east-1"
ONE, TWO, THREE = "222222222222", "333333333333", "444444444444"
UNIT = "ou-abcd-12345678"
FILE = (
    "policies: {{ nightly: {{ select: {{ states: [running], tags: {{ env: dev }}{more} }}, "
    "action: terminate }} }}\n"
)
NOTHING_LEFT = "no account is left to sweep"


def target_resolver(
    *,
    members: Iterable[str] = (),
    enabled: Callable[[str], Iterable[str]] = lambda _account: (THERE, HERE),
    **targets: Any,
) -> TargetResolver:
    """Return a resolver for the account ``HOME`` and region ``HERE``. The policy "abroad" is only for ``THERE``."""
    selects = {"nightly": {}, "abroad": {"regions": [THERE]}}
    entries = {
        name: {
            "select": {"states": ["running"], "tags": {"env": "dev"}, **more},
            "action": "terminate",
        }
        for name, more in selects.items()
    }

    def provider(region: str, account: str = "") -> MemoryProvider:
        target = Target(provider="ec2", account=account or HOME, region=region)
        return MemoryProvider(target=target)

    def regions(account: str = "") -> frozenset[str]:
        return frozenset(enabled(account or HOME))

    return TargetResolver(
        App(
            settings=Settings(region=HERE),
            policies=PolicyFile(
                path=Path("curfew.yaml"),
                version="1",
                content=File.model_validate({"targets": targets, "policies": entries}),
            ),
            ledger=MemoryLedger(),
            provider=provider,
            regions=regions,
            members=lambda _units: members,
            now=lambda: NOW,
            sleep=lambda _seconds: None,
        )
    )


def asked(policy: str = "nightly", **more: Any) -> SweepRequest:
    return SweepRequest.parse({"policy": policy, **more})


def contains(resolver: TargetResolver, account: str, region: str, policy: str = "nightly") -> bool:
    resolved = resolver._app.policies.policy(policy)
    return resolver.contains(resolver.target(account, region), resolved)


def where(resolved: ResolvedTargets) -> list[tuple[str, str]]:
    return [(target.account, target.region) for target in resolved.targets]


def test_default_target_is_the_own_account_and_region() -> None:
    assert where(target_resolver().resolve(asked())) == [(HOME, HERE)]


def test_each_account_has_each_region_in_the_order_of_the_file() -> None:
    one = target_resolver(accounts=[TWO, ONE, TWO], regions=[THERE, HERE])
    assert where(one.resolve(asked())) == [
        (TWO, THERE), (TWO, HERE), (ONE, THERE), (ONE, HERE),
    ]  # fmt: skip


def test_unit_has_its_members_without_the_excluded_ones() -> None:
    one = target_resolver(
        members=[TWO, ONE, THREE],
        organization={"units": [UNIT], "without": [TWO]},
        never=[THREE],
    )
    assert where(one.resolve(asked())) == [(ONE, HERE)]


@pytest.mark.parametrize(
    ("members", "without"), [((), ()), ((HOME,), (HOME,)), ((ONE, TWO), (ONE, TWO))]
)
def test_empty_units_do_not_fall_back_to_the_own_account(
    members: tuple[str, ...], without: tuple[str, ...]
) -> None:
    organization = {"units": [UNIT]} | ({"without": list(without)} if without else {})
    one = target_resolver(members=members, organization=organization)

    with pytest.raises(RequestError, match=NOTHING_LEFT):
        one.resolve(asked())
    assert not contains(one, HOME, HERE)
    with pytest.raises(RequestError, match=HOME):
        one.resolve(asked(accounts=[HOME]))


def test_members_are_swept_and_the_own_account_is_not_one_of_them_by_itself() -> None:
    one = target_resolver(members=[TWO], organization={"units": [UNIT]})
    assert where(one.resolve(asked())) == [(TWO, HERE)]
    assert not contains(one, HOME, HERE)


def test_excluded_account_is_not_swept_even_on_request() -> None:
    one = target_resolver(members=[ONE, TWO], organization={"units": [UNIT]}, never=[ONE])

    assert where(one.resolve(asked())) == [(TWO, HERE)]
    assert not contains(one, ONE, HERE)
    with pytest.raises(RequestError, match=f"account {ONE}: it is not among the targets"):
        one.resolve(asked(accounts=[ONE]))


def test_own_account_may_be_excluded() -> None:
    with pytest.raises(RequestError, match=NOTHING_LEFT):
        target_resolver(never=[HOME]).resolve(asked())


def test_all_regions_are_those_of_each_account() -> None:
    enabled = {ONE: [THERE, HERE], TWO: ["sa-east-1"]}
    one = target_resolver(enabled=enabled.__getitem__, accounts=[ONE, TWO], regions="all")

    assert where(one.resolve(asked())) == [(ONE, HERE), (ONE, THERE), (TWO, "sa-east-1")]


def test_account_with_unknown_regions_is_reported_and_the_others_remain() -> None:
    def enabled(account: str) -> list[str]:
        if account == ONE:
            raise ProviderError("not now")
        return [HERE, THERE]

    one = target_resolver(enabled=enabled, accounts=[ONE, TWO], regions="all")
    resolved = one.resolve(asked())

    problem = f"the regions of {ONE} cannot be read: not now"
    assert resolved.unreadable == {Target(provider="ec2", account=ONE, region=HERE): problem}
    assert where(resolved) == [(TWO, HERE), (TWO, THERE)]


def test_a_policy_has_its_own_regions() -> None:
    one = target_resolver(accounts=[ONE])

    assert where(one.resolve(asked("abroad"))) == [(ONE, THERE)]
    assert contains(one, ONE, THERE, "abroad")
    assert not contains(one, ONE, HERE, "abroad")


def test_a_region_that_is_asked_for_is_one_of_the_targets() -> None:
    one = target_resolver(regions=[HERE, THERE])

    assert where(one.resolve(asked(regions=[THERE]))) == [(HOME, THERE)]
    with pytest.raises(RequestError, match="region sa-east-1: it is not among the targets"):
        one.resolve(asked(regions=[THERE, "sa-east-1"]))


@pytest.mark.parametrize(
    ("account", "region", "known"),
    [(ONE, HERE, True), (ONE, THERE, False), (HOME, HERE, False), (THREE, HERE, False)],
)
def test_only_what_is_configured_is_known(account: str, region: str, *, known: bool) -> None:
    one = target_resolver(accounts=[ONE, TWO])
    assert contains(one, account, region) is known


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
