"""Which callers are owners or administrators."""

import pytest

from curfew.core.access import Caller, is_administrator, only_administrator, only_owner
from curfew.core.errors import ForbiddenError
from tests.unit.test_lease import a_fleet

SESSION = "arn:aws:sts::123456789012:assumed-role/Platform/kim@example.org"
SSO = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-central-1/Platform"


@pytest.mark.parametrize(
    "named",
    [
        SESSION,
        "arn:aws:iam::123456789012:role/Platform",
        SSO,
    ],
)
def test_administrator_is_named_by_principal_or_by_role(named: str) -> None:
    assert is_administrator(SESSION, frozenset({"arn:aws:iam::1:user/x", named}))


@pytest.mark.parametrize(
    "named",
    [
        "",
        "Platform",
        "arn:aws:iam::999999999999:role/Platform",
        "arn:aws:iam::123456789012:role/platform",
        "arn:aws:iam::123456789012:role/Platform2",
        "arn:aws:iam::123456789012:user/Platform",
        "arn:aws-cn:iam::123456789012:role/Platform",
        "arn:aws:sts::123456789012:assumed-role/Other/Platform",
        "arn:aws:sts::123456789012:assumed-role/Platform/somebody-else",
        "arn:aws:iam::123456789012:role/Platform/",
        "arn:aws:iam::123456789012:role/*",
    ],
)
def test_unnamed_principal_is_no_administrator(named: str) -> None:
    assert not is_administrator(SESSION, frozenset({named}))


def test_empty_list_names_no_administrator() -> None:
    assert not is_administrator("", frozenset())
    assert not is_administrator(SESSION, frozenset())
    assert not is_administrator("kim", frozenset({"pat"}))


def test_subject_that_is_no_role_matches_only_itself() -> None:
    assert is_administrator("kim", frozenset({"kim"}))
    assert not is_administrator("kim", frozenset({"Kim"}))


def test_owners_and_administrators_may_change_a_fleet() -> None:
    only_owner(Caller(id="kim"), a_fleet(owner="kim"))
    only_owner(Caller(id="root_sweep_id", administrator=True), a_fleet(owner="kim"))


@pytest.mark.parametrize("stranger", ["pat", "Kim", "kim ", ""])
def test_another_owner_may_not_change_a_fleet(stranger: str) -> None:
    with pytest.raises(ForbiddenError, match='fleet "lab" is not yours'):
        only_owner(Caller(id=stranger), a_fleet(owner="kim"))


def test_only_an_administrator_may_change_what_affects_all() -> None:
    only_administrator(Caller(id="root_sweep_id", administrator=True))
    with pytest.raises(ForbiddenError, match=r"^only an administrator of this stack may do this$"):
        only_administrator(Caller(id="kim"))


@pytest.mark.parametrize(
    ("caller", "named"),
    [
        (
            "arn:aws:sts::123456789012:assumed-role/Pl\N{LATIN SMALL LETTER A WITH DIAERESIS}tform/kim",
            "arn:aws:iam::123456789012:role/Pl\N{LATIN SMALL LETTER A WITH DIAERESIS}tform",
        ),
        (
            "arn:aws:sts::123456789012:assumed-role/Platform/\N{CYRILLIC SMALL LETTER A}",
            "arn:aws:iam::123456789012:role/Platform",
        ),
    ],
    ids=["role", "session"],
)
def test_name_invalid_in_iam_is_no_role(caller: str, named: str) -> None:
    assert not is_administrator(caller, frozenset({named}))
