"""*request*: which accounts and regions a sweep is for, out of the policy file, the request and the organization."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .core.errors import ProviderError, RequestError
from .core.model import Place
from .core.policy import Policy
from .requests import SweepRequest
from .schemas import Targets


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

        An account whose regions cannot be asked for has its turn in the own region: there the same trouble is
        reported as that target's. Raises RequestError for an account that is not configured, ProviderError if the
        organization does not answer.
        """
        return tuple(
            Place(region=region, account=account)
            for account in self._accounts(request)
            for region in self._regions(account, request, policy)
        )

    def knows(self, place: Place, policy: Policy) -> bool:
        """Whether a place is one of those that a sweep by the policy could be for. Raises ProviderError."""
        if place.account not in self._all():
            return False
        if cloud := self.configured.clouds.get(place.account):
            return not policy.selector.regions and place.region in cloud.regions
        wanted = policy.selector.regions or self.configured.regions or (self.region,)
        return wanted == "all" or place.region in wanted

    def _accounts(self, request: SweepRequest) -> tuple[str, ...]:
        everybody = self._all()
        if beyond := [one for one in request.accounts if one not in everybody]:
            raise RequestError(
                f"the account {beyond[0]} is not among the targets of the policy file, or is one that is never swept"
            )
        return request.accounts or everybody

    def _all(self) -> tuple[str, ...]:
        named = [*self.configured.accounts, *self.configured.clouds]
        # An organization that leaves nobody means nobody: only a file that names no accounts at all means the own one.
        if not named and self.configured.organization is None:
            named = [self.account]
        if organization := self.configured.organization:
            without = set(organization.without)
            named += [one for one in sorted(self.members(organization.units)) if one not in without]
        never = set(self.configured.never)
        return tuple(one for one in dict.fromkeys(named) if one not in never)

    def _regions(self, account: str, request: SweepRequest, policy: Policy) -> tuple[str, ...]:
        if cloud := self.configured.clouds.get(account):
            # A region that the request or the policy names is one of AWS.
            return () if request.regions or policy.selector.regions else cloud.regions
        wanted = (
            request.regions or policy.selector.regions or self.configured.regions or (self.region,)
        )
        if wanted != "all":
            return tuple(dict.fromkeys(wanted))
        try:
            return tuple(sorted(self.regions(account)))
        except ProviderError:
            return (self.region,)
