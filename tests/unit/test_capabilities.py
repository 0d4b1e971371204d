"""The capabilities of each provider agree with the documentation and the core."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from curfew.core.protection import SHELVING
from curfew.providers.base import Capabilities
from curfew.providers.ec2.provider import Ec2Provider
from curfew.providers.memory import MemoryProvider
from curfew.providers.openstack.provider import OpenstackProvider

PAGE = Path(__file__).parents[2] / "docs" / "openstack.md"
PROVIDERS: dict[str, Any] = {
    "ec2": Ec2Provider,
    "openstack": OpenstackProvider,
    "memory": MemoryProvider,
}


def cells(column: int) -> dict[str, str]:
    """Return a column of the page's table."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    return {row[0]: row[column] for row in rows}


def said(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(("name", "column"), [("ec2", 1), ("openstack", 2)])
def test_the_page_has_each_capability_as_it_is(name: str, column: int) -> None:
    can = PROVIDERS[name].capabilities
    assert cells(column) == {
        field.name: said(getattr(can, field.name)) for field in fields(Capabilities)
    }


def test_core_keeps_instances_of_a_provider_without_shelving() -> None:
    assert {name for name, one in PROVIDERS.items() if one.capabilities.shelves} == set(SHELVING)
