"""*request*: which accounts and regions a sweep is for, out of the policy file, the request and the organization."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.errors import ProviderError, RequestError
from ..core.policy import Policy
from ..core.target import Place
from ..schemas.messages import SweepRequest
from ..schemas.targets import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    """What there is: the own account and region, the members of units, the regions that an account may use.

    A cloud stands in the place of an account, in its own regions.

    ``members`` and ``regions`` ask AWS, and raise ProviderError.
    """

    configured: Targets
    account: str
    region: str
    members: Callable[[Sequence[str]], Iterable[str]]
    regions: Callable[[str], Iterable[str]]

    def places(self, request: SweepRequest, policy: Policy) -> tuple[Place, ...]:
        """Every place of the request, each once, in order.

        An account whose regions cannot be asked for has one place, which says so: to sweep a part of them, or none,
        would be silent. Raises RequestError for an account or a region that is not configured, ProviderError if the
        organization does not answer.
        """
        return tuple(
            place
            for account in self._accounts(request)
            for place in self._in(account, request, policy)
        )

    def knows(self, place: Place, policy: Policy) -> bool:
        """Whether a place is one of those that a sweep by the policy could be for. Raises ProviderError."""
        if place.account not in self._all():
            return False
        if cloud := self.configured.clouds.get(place.account):
            return not policy.selector.regions and place.region in cloud.regions
        wanted = self._wanted(policy)
        return wanted == "all" or place.region in wanted

    def spares(self, account: str) -> bool:
        """Whether an account is never swept, whoever asks."""
        return account in self.configured.never

    def beyond(self, request: SweepRequest, policy: Policy) -> bool:
        """Whether a request names a region that no configuration does: then it is a matter of that request alone."""
        wanted = self._wanted(policy)
        return wanted != "all" and not set(request.regions) <= set(wanted)

    def emptiness(self, request: SweepRequest, policy: Policy) -> str:
        """Why nothing is left to sweep, in words."""
        if self.configured.clouds and (request.regions or policy.selector.regions):
            return "regions that are named are those of AWS, and here are only clouds: name none"
        return "the units have no account, or `without` or `never` excepts every one"

    def _accounts(self, request: SweepRequest) -> tuple[str, ...]:
        everybody = self._all()
        if beyond := [one for one in request.accounts if one not in everybody]:
            raise RequestError(
                f"the account {beyond[0]} is not among the targets of the policy file, or is one that is never swept"
            )
        return request.accounts or everybody

    def _all(self) -> tuple[str, ...]:
        configured = self.configured
        named = [*configured.accounts, *configured.clouds]
        if organization := configured.organization:
            without = set(organization.without)
            named += [one for one in sorted(self.members(organization.units)) if one not in without]
        elif not named:  # a file without a word about accounts means the own one, and units without anybody nobody
            named = [self.account]
        never = set(configured.never)
        return tuple(one for one in dict.fromkeys(named) if one not in never)

    def _in(self, account: str, request: SweepRequest, policy: Policy) -> Iterator[Place]:
        if cloud := self.configured.clouds.get(account):
            # A region that the request or the policy names is one of AWS.
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
                problem = f"the regions of {account} cannot be asked for: {error}"
        for region in dict.fromkeys(wanted):
            yield Place(region=region, account=account, problem=problem)

    def _wanted(self, policy: Policy) -> tuple[str, ...] | Literal["all"]:
        return policy.selector.regions or self.configured.regions or (self.region,)

    def _refuse_others(self, request: SweepRequest, policy: Policy) -> None:
        """A file that says which regions are swept means no others. A policy's own are held against elsewhere."""
        wanted = self.configured.regions
        if policy.selector.regions or not wanted or wanted == "all":
            return
        if beyond := [one for one in request.regions if one not in wanted]:
            raise RequestError(
                f'"{beyond[0]}" is not among the regions of the targets of the policy file: '
                f"{', '.join(wanted)}"
            )
