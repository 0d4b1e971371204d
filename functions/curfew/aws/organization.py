"""*request*: lists the accounts of organizational units."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import SDK_ERRORS, translated

if TYPE_CHECKING:
    from mypy_boto3_organizations.client import OrganizationsClient


def accounts_of(client: "OrganizationsClient", units: Sequence[str]) -> frozenset[str]:
    """Return the active accounts in the units and in all units below them. Raises ProviderError.

    Accounts that are suspended or being closed cannot be read.
    Source: https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccountsForParent.html
    """
    found: set[str] = set()
    waiting, seen = list(units), set[str]()
    try:
        while waiting:
            unit = waiting.pop()
            if unit in seen:
                continue
            seen.add(unit)
            for page in client.get_paginator("list_accounts_for_parent").paginate(ParentId=unit):
                found |= {one["Id"] for one in page["Accounts"] if one["Status"] == "ACTIVE"}
            below = client.get_paginator("list_organizational_units_for_parent")
            for units_page in below.paginate(ParentId=unit):
                waiting += [one["Id"] for one in units_page["OrganizationalUnits"]]
    except SDK_ERRORS as error:
        problem = translated(error)
        words = f"the accounts of the organization cannot be listed: {problem}"
        raise type(problem)(words, code=problem.code, request_id=problem.request_id) from error
    return frozenset(found)
