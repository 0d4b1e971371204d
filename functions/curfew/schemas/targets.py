"""*request*: validates the accounts, clouds and regions of the policy file."""

from typing import Literal, Self

from pydantic import Field, StrictBool, model_validator

from .fields import AccountIds, CloudName, CloudRegions, Regions, Strict, UnitIds


class Organization(Strict):
    """Accounts of AWS Organizations: those in the units and in the units below them, except ``without``."""

    units: UnitIds
    without: AccountIds = ()


class Cloud(Strict):
    """An OpenStack cloud of clouds.yaml: one project, in these regions.

    Locks and policies of the cloud do not bind an administrator, so Curfew acts as one only if this entry allows it.
    """

    regions: CloudRegions
    act_as_administrator: StrictBool = False


class Targets(Strict):
    """Which accounts, clouds and regions are swept. By default, the deployment's own account and region.

    ``regions`` are AWS regions; each cloud has its own.
    """

    accounts: AccountIds = ()
    organization: Organization | None = None
    clouds: dict[CloudName, Cloud] = Field(default_factory=dict)
    regions: Regions | Literal["all"] = ()
    never: AccountIds = ()

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if both := sorted(set(self.accounts) & set(self.never)):
            raise ValueError(f"has {both[0]} among accounts and among never")
        return self

    @property
    def only_clouds(self) -> bool:
        """Whether no AWS account is swept."""
        return bool(self.clouds) and not self.accounts and self.organization is None
