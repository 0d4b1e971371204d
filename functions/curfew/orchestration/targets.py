"""*request*: resolves which accounts and regions a request covers, from the request, the policy file, the organization
and the ledger's fleets. A cloud counts as an account with its own regions.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from typing import Literal

from ..app import App
from ..core.errors import ProviderError, RequestError
from ..core.lease import Fleet
from ..core.policy import Policy
from ..core.target import Target
from ..providers.base import Provider, Unreachable
from ..schemas.messages import SweepRequest
from ..schemas.templates import CloudFleetEntry
from ..sweep.context import Sweep

FLEETS_PER_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTargets:
    """The targets of one request, each once, in order.

    ``unreadable`` has one target for each account whose regions cannot be read, with the reason, so that the account
    is not skipped silently. ``outside_config`` says that the request names a region that the policy file does not.
    """

    policy: Policy
    targets: tuple[Target, ...]
    unreadable: Mapping[Target, str]
    outside_config: bool

    def __len__(self) -> int:
        return len(self.targets) + len(self.unreadable)


class TargetResolver:
    """Resolves the targets of a request. Create one for each trigger."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._configured = app.policies.content.targets

    @cached_property
    def account(self) -> str:
        """The deployment's own account; empty with clouds alone, which need none. Raises ProviderError."""
        if self._configured.only_clouds:
            return ""
        return self._app.provider(self._app.settings.region).target.account

    def resolve(self, request: SweepRequest) -> ResolvedTargets:
        """Return the targets that the request, the policy or else the policy file names.

        A sweep that ends expired leases also covers each target in which a fleet runs, unless the file excludes its
        account. Raises RequestError for an unknown policy, account or region, and if no target is left, ProviderError
        or LedgerError if the cloud or the ledger does not answer.
        """
        policy = self._app.policies.policy(request.policy)
        targets: dict[Target, None] = {}  # a set that keeps its order
        unreadable: dict[Target, str] = {}
        for account in self._accounts(request):
            try:
                regions = self._regions(account, request, policy)
            except ProviderError as error:
                home = self.target(account, self._app.settings.region)
                unreadable[home] = f"the regions of {account} cannot be read: {error}"
            else:
                targets |= dict.fromkeys(self.target(account, region) for region in regions)
        self._check_regions(targets, policy)
        if policy.selector.expired and not request.regions and not request.accounts:
            targets |= dict.fromkeys(self._of_running_fleets())
        if not targets and not unreadable:
            raise RequestError(
                f"{self._app.policies.place('targets')}: no account is left to sweep by the policy "
                f'"{policy.name}": {self._why_empty(request, policy)}'
            )
        wanted = self._wanted_regions(policy)
        return ResolvedTargets(
            policy=policy,
            targets=tuple(targets),
            unreadable=unreadable,
            outside_config=wanted != "all" and not set(request.regions) <= set(wanted),
        )

    def contains(self, target: Target, policy: Policy) -> bool:
        """Return whether a sweep by the policy may cover the target. Raises ProviderError, LedgerError."""
        if self.is_excluded(target.account):
            return False
        if target.account in self._configured_accounts():
            if cloud := self._configured.clouds.get(target.account):
                configured = not policy.selector.regions and target.region in cloud.regions
            else:
                wanted = self._wanted_regions(policy)
                configured = wanted == "all" or target.region in wanted
            if configured:
                return True
        return policy.selector.expired and target in self._of_running_fleets()

    def is_excluded(self, account: str) -> bool:
        """Return whether the policy file excludes an account from every sweep."""
        return account in self._configured.never

    def target(self, account: str, region: str) -> Target:
        """Return a region of an account or of a cloud as a target."""
        provider = "openstack" if account in self._configured.clouds else "ec2"
        return Target(provider=provider, account=account, region=region)

    def _accounts(self, request: SweepRequest) -> tuple[str, ...]:
        configured = self._configured_accounts()
        if unknown := [one for one in request.accounts if one not in configured]:
            raise RequestError(
                f"account {unknown[0]}: it is not among the targets of the policy file, or `never` excludes it"
            )
        return request.accounts or configured

    def _configured_accounts(self) -> tuple[str, ...]:
        configured = self._configured
        named = [*configured.accounts, *configured.clouds]
        if organization := configured.organization:
            without = set(organization.without)
            members = sorted(self._app.members(organization.units))
            named += [one for one in members if one not in without]
        elif not named:
            # Without accounts and units, the target is the deployment's own account. Empty units have no target.
            named = [self.account]
        return tuple(one for one in dict.fromkeys(named) if not self.is_excluded(one))

    def _regions(
        self, account: str, request: SweepRequest, policy: Policy
    ) -> tuple[str, ...] | list[str]:
        if cloud := self._configured.clouds.get(account):
            # A region that the request or the policy names is an AWS region.
            return () if request.regions or policy.selector.regions else cloud.regions
        if request.regions:
            self._refuse_others(request, policy)
            return request.regions
        wanted = self._wanted_regions(policy)
        return sorted(self._app.regions(account)) if wanted == "all" else wanted

    def _wanted_regions(self, policy: Policy) -> tuple[str, ...] | Literal["all"]:
        return policy.selector.regions or self._configured.regions or (self._app.settings.region,)

    def _refuse_others(self, request: SweepRequest, policy: Policy) -> None:
        """Raise RequestError for a region that the file lacks. ``_check_regions`` does so for a policy's own."""
        wanted = self._configured.regions
        if policy.selector.regions or not wanted or wanted == "all":
            return
        if unknown := [one for one in request.regions if one not in wanted]:
            raise RequestError(
                f"region {unknown[0]}: it is not among the targets of the policy file; "
                f"choose from {', '.join(wanted)}"
            )

    def _check_regions(self, targets: Mapping[Target, None], policy: Policy) -> None:
        """Raise RequestError for a region that is not the policy's, or not enabled in the own account.

        A region that is not enabled in another account fails that account's sweep.
        """
        own = policy.selector.regions
        if others := [target.region for target in targets if own and target.region not in own]:
            raise RequestError(
                f'the policy "{policy.name}" is for {", ".join(own)}; "{others[0]}" is not among them'
            )
        if self._configured.regions == "all":
            return
        regions = tuple(target.region for target in targets if target.account == self.account)
        place = self._app.policies.place("policies", policy.name, "select", "regions")
        check_regions(self._app, regions, place=f"{place}: " if own == regions else "")

    def _of_running_fleets(self) -> list[Target]:
        running = {
            (fleet.target.account, fleet.target.region) for fleet in running_fleets(self._app)
        }
        return [self.target(*one) for one in sorted(running) if not self.is_excluded(one[0])]

    def _why_empty(self, request: SweepRequest, policy: Policy) -> str:
        if self._configured.clouds and (request.regions or policy.selector.regions):
            return "only AWS regions can be named, and only clouds are configured: name no region"
        return "the units have no account, or `without` or `never` excludes every one"


def sweeps(
    app: App,
    request: SweepRequest,
    resolved: ResolvedTargets,
    *,
    deadline: datetime | None = None,
) -> tuple[Sweep, ...]:
    """Return one sweep for each target. The sweep of an account whose regions cannot be read fails and says so."""
    reachable = [app.sweep(resolved.policy, one, deadline) for one in resolved.targets]
    unreadable = [
        replace(
            app.sweep(resolved.policy, target, deadline),
            provider=Unreachable(target, ProviderError(problem)),
        )
        for target, problem in resolved.unreadable.items()
    ]
    return tuple(
        replace(one, schedule=request.schedule, scheduled_at=request.scheduled_at)
        for one in (*unreadable, *reachable)
    )


def not_completed(
    app: App, targets: Iterable[Target], schedule: str, window: datetime
) -> list[Target]:
    """Return the targets that have not completed a schedule's window, by account and region. Raises LedgerError."""
    completed = {
        (one.account, one.region) for one in app.ledger.completed_targets(schedule, window)
    }
    return [one for one in targets if (one.account, one.region) not in completed]


def running_fleets(app: App) -> Iterator[Fleet]:
    """Yield every fleet that has not ended. Raises LedgerError."""
    after = ""
    while True:
        page = app.ledger.fleets.page(limit=FLEETS_PER_PAGE, after=after)
        yield from page.items
        if not page.after:
            return
        after = page.after


def provider_for_query(app: App, region: str = "", cloud: str = "") -> Provider:
    """Return the provider of a region of the own account, or of a cloud in one of its regions.

    Raises RequestError for an unknown region or cloud, ProviderError.
    """
    if not cloud:
        region = region or app.settings.region
        check_regions(app, (region,))
        return app.provider(region)
    clouds = app.policies.content.targets.clouds
    if cloud not in clouds:
        raise RequestError(
            f'there is no cloud "{cloud}" in targets.clouds, which has: {", ".join(clouds) or "none"}'
        )
    regions = clouds[cloud].regions
    if region and region not in regions:
        raise RequestError(
            f'the cloud {cloud} has no region "{region}" in targets.clouds, which has {", ".join(regions)}'
        )
    if not region and len(regions) > 1:
        raise RequestError(
            f"region is missing: the cloud {cloud} has {', '.join(regions)}, and this is about one of them"
        )
    return app.provider(region or regions[0], cloud)


def provider_for_template(app: App, template: str, region: str | None = None) -> Provider:
    """Return the provider on which a template launches: a region of the own account, or the template's cloud.

    Raises RequestError for an unknown template or region, ProviderError.
    """
    entry = app.policies.fleet(template)
    if isinstance(entry, CloudFleetEntry):
        if region:
            raise RequestError(
                f'the template "{template}" is for the cloud {entry.cloud}: send no region with it'
            )
        regions = app.policies.content.targets.clouds[entry.cloud].regions
        return app.provider(entry.region or regions[0], entry.cloud)
    return provider_for_query(app, region or "")


def check_regions(app: App, regions: tuple[str, ...], *, place: str = "") -> None:
    """Raise RequestError for a region that is not enabled in the own account, ProviderError if AWS does not answer.

    ``place`` says in the message where the region is written. The deployment's own region needs no check.
    """
    if set(regions) <= {app.settings.region}:
        return
    enabled = app.regions()
    for region in regions:
        if region not in enabled:
            close = get_close_matches(region, sorted(enabled))
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise RequestError(f'{place}no region "{region}" is enabled in this account{hint}')
