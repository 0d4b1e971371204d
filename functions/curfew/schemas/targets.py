"""*request*: which accounts, clouds and regions the policy file means, as foreign data that is checked here."""

from typing import Literal, Self

from pydantic import Field, StrictBool, model_validator

from .fields import AccountIds, CloudName, CloudRegions, Regions, Strict, UnitIds


class Organization(Strict):
    """Accounts of AWS Organizations: those in the units, and in the units below them, without some."""

    units: UnitIds
    without: AccountIds = ()


class Cloud(Strict):
    """An OpenStack cloud of clouds.yaml: one project of it, in these regions.

    No lock and no policy of the cloud holds an administrator back, so one acts only where it is said.
    """

    regions: CloudRegions
    act_as_administrator: StrictBool = False


class Targets(Strict):
    """Which accounts, clouds and regions are swept. Without a word, the deployment's own account and region.

    ``regions`` are those of AWS; each cloud has its own.
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
        """Whether nothing of AWS is swept."""
        return bool(self.clouds) and not self.accounts and self.organization is None
