"""A safeguard is removed by replacing an attribute. An attribute that does not exist is refused, never made."""

from types import ModuleType

import pytest

from curfew import lane, launching
from curfew.lane import Lane
from hostile.worlds.belts import without
from hostile.worlds.missed import search
from hostile.worlds.removal import patching, returning, setting
from tests.model import guards
from tests.safety import belts


class Parent:
    limit = 1


class Child(Parent): ...


@pytest.mark.parametrize("owner", [Child, lane], ids=["class", "module"])
def test_an_attribute_that_does_not_exist_is_refused(owner: type | ModuleType) -> None:
    for remove in (setting(owner, "renamed", 1), returning(1, (owner, "renamed"))):
        with patching() as put, pytest.raises(AttributeError, match="renamed"):
            remove(put)
    assert not hasattr(owner, "renamed")


def test_what_was_replaced_is_restored_in_its_own_place() -> None:
    with patching() as put:
        put(Child, "limit", 2)
        put(Child, "limit", 3)
        put(launching, "len", lambda _: 0)  # a builtin, which the module reads by its name
        assert (Child.limit, Parent.limit) == (3, 1)
    assert Child.limit == 1
    assert "limit" not in vars(Child)
    assert "len" not in vars(launching)


def test_a_removal_raises_after_a_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Lane, "_write_intents")

    with pytest.raises(AttributeError, match="_write_intents"), without("audit-first"):
        pass
    with pytest.raises(AttributeError, match="_write_intents"):
        search("audit-first", most=1)
    with pytest.raises(AttributeError, match="_write_intents"):
        guards.REMOVED["intents"](monkeypatch)
    for remove in (belts.setting, belts.returning):
        with pytest.raises(AttributeError, match="_write_intents"):
            remove(Lane, "_write_intents", None)(monkeypatch)


def test_a_removal_that_raises_leaves_nothing_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Lane, "_is_fresh")
    look = vars(Lane)["_look"]

    with pytest.raises(AttributeError, match="_is_fresh"), without("re-check"):
        pass
    assert vars(Lane)["_look"] is look
