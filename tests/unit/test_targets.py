"""Which places a sweep is for: whoever is left out stays left out, also when nobody else is left."""

from collections.abc import Iterable

import pytest

from curfew.core.errors import RequestError
from curfew.core.model import Place
from curfew.requests import SweepRequest
from curfew.schemas import Targets
from curfew.targets import Atlas
from tests.builders import a_policy

HOME, OTHER = "111111111111", "222222222222"
HERE = "eu-central-1"
UNIT = "ou-abcd-12345678"
HUB = Place(region=HERE, account=HOME)


def atlas(members: Iterable[str] = (), **targets: object) -> Atlas:
    """An atlas whose organization has these members."""
    return Atlas(
        configured=Targets.model_validate(targets),
        account=HOME,
        region=HERE,
        members=lambda _units: members,
        regions=lambda _account: (HERE,),
    )


NOBODY_LEFT = {
    "an empty unit": atlas(organization={"units": [UNIT]}),
    "a unit of the hub alone, which is excepted": atlas(
        [HOME], organization={"units": [UNIT], "without": [HOME]}
    ),
    "a unit of others alone, who are excepted": atlas(
        [OTHER], organization={"units": [UNIT], "without": [OTHER]}
    ),
    "a unit of others alone, who are never swept": atlas(
        [OTHER], organization={"units": [UNIT]}, never=[OTHER]
    ),
    "the hub by default, which is never swept": atlas(never=[HOME]),
}


@pytest.mark.parametrize("atlas_", NOBODY_LEFT.values(), ids=NOBODY_LEFT)
def test_when_nobody_is_left_the_hub_does_not_stand_in(atlas_: Atlas) -> None:
    """A sweep of nobody is no sweep of the own account: not at night, not by request, not by message."""
    assert atlas_.places(SweepRequest(policy="nightly"), a_policy()) == ()
    assert not atlas_.knows(HUB, a_policy())
    with pytest.raises(RequestError, match=HOME):
        atlas_.places(SweepRequest(policy="nightly", accounts=(HOME,)), a_policy())


def test_without_a_word_about_accounts_the_hub_is_swept() -> None:
    """The default of a deployment without targets."""
    assert atlas().places(SweepRequest(policy="nightly"), a_policy()) == (HUB,)
    assert atlas().knows(HUB, a_policy())


def test_members_are_swept_and_the_hub_is_not_one_of_them_by_itself() -> None:
    """A unit that does not contain the hub does not bring it along."""
    there = atlas([OTHER], organization={"units": [UNIT]})
    assert there.places(SweepRequest(policy="nightly"), a_policy()) == (
        Place(region=HERE, account=OTHER),
    )
    assert not there.knows(HUB, a_policy())
