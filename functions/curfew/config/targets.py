"""*request*: resolves which accounts and regions a sweep covers, from policy file, request and organization."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.errors import ProviderError, RequestError
from ..core.policy import Policy
from ..core.target import Place
from ..schemas.messages import SweepRequest
from ..schemas.targets import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResolver:
    """Resolves accounts and regions. A cloud counts as an account with its own regions.

    ``account`` and ``region`` are the deployment's own. ``members`` returns the accounts of organizational units,
    ``regions`` the regions that an account may use; both call AWS and raise ProviderError.
    """

    configured: Targets
    account: str
    region: str
    members: Callable[[Sequence[str]], Iterable[str]]
    regions: Callable[[str], Iterable[str]]

    def places(self, request: SweepRequest, policy: Policy) -> tuple[Place, ...]:
        """Return every place of the request once, in order.

        An account whose regions cannot be read has one place with a ``problem``, so that it is not skipped silently.
        Raises RequestError for an account or a region that is not configured, ProviderError if the organization
        cannot be read.
        """
        return tuple(
            place
            for account in self._accounts(request)
            for place in self._in(account, request, policy)
        )

    def contains(self, place: Place, policy: Policy) -> bool:
        """Return whether a sweep by the policy may cover the place. Raises ProviderError."""
        if place.account not in self._all():
            return False
        if cloud := self.configured.clouds.get(place.account):
            return not policy.selector.regions and place.region in cloud.regions
        wanted = self._wanted(policy)
        return wanted == "all" or place.region in wanted

    def is_excluded(self, account: str) -> bool:
        """Return whether the configuration excludes an account from every sweep."""
        return account in self.configured.never

    def is_outside_config(self, request: SweepRequest, policy: Policy) -> bool:
        """Return whether a request names a region that the configuration does not."""
        wanted = self._wanted(policy)
        return wanted != "all" and not set(request.regions) <= set(wanted)

    def why_empty(self, request: SweepRequest, policy: Policy) -> str:
        """Return why the request has no place to sweep, in words."""
        if self.configured.clouds and (request.regions or policy.selector.regions):
            return "only AWS regions can be named, and only clouds are configured: name no region"
        return "the units have no account, or `without` or `never` excludes every one"

    def _accounts(self, request: SweepRequest) -> tuple[str, ...]:
        configured = self._all()
        if unknown := [one for one in request.accounts if one not in configured]:
            raise RequestError(
                f"account {unknown[0]}: it is not among the targets of the policy file, or `never` excludes it"
            )
        return request.accounts or configured

    def _all(self) -> tuple[str, ...]:
        configured = self.configured
        named = [*configured.accounts, *configured.clouds]
        if organization := configured.organization:
            without = set(organization.without)
            named += [one for one in sorted(self.members(organization.units)) if one not in without]
        elif (
            not named
        ):  # a file without accounts means the deployment's own; units without accounts mean none
            named = [self.account]
        never = set(configured.never)
        return tuple(one for one in dict.fromkeys(named) if one not in never)

    def _in(self, account: str, request: SweepRequest, policy: Policy) -> Iterator[Place]:
        if cloud := self.configured.clouds.get(account):
            # A region that the request or the policy names is an AWS region.
            if not (request.regions or policy.selector.regions):
                yield from (Place(region=region, account=account) for region in cloud.regions)
            return
        wanted = self._wanted(policy)
        if request.regions:
            self._refuse_others(request, policy)
            wanted = request.regions
        problem = ""
        if wanted == "all":
            try:
                wanted = tuple(sorted(self.regions(account)))
            except ProviderError as error:
                wanted = (self.region,)
                problem = f"the regions of {account} cannot be read: {error}"
        for region in dict.fromkeys(wanted):
            yield Place(region=region, account=account, problem=problem)

    def _wanted(self, policy: Policy) -> tuple[str, ...] | Literal["all"]:
        return policy.selector.regions or self.configured.regions or (self.region,)

    def _refuse_others(self, request: SweepRequest, policy: Policy) -> None:
        """Raise RequestError for a region outside of the file's. A policy's own regions are compared elsewhere."""
        wanted = self.configured.regions
        if policy.selector.regions or not wanted or wanted == "all":
            return
        if unknown := [one for one in request.regions if one not in wanted]:
            raise RequestError(
                f"region {unknown[0]}: it is not among the targets of the policy file; "
                f"choose from {', '.join(wanted)}"
            )
