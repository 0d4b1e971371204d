"""A test disables a safeguard by replacing an attribute. Patching refuses an attribute that does not exist."""

from types import ModuleType

import pytest

from curfew.fleets import launcher
from curfew.sweep import zone_worker
from curfew.sweep.zone_worker import ZoneWorker
from curfew_simulator.ablation.safeguards import disabled
from curfew_simulator.ablation.search import search
from curfew_simulator.patching import patching, returning, setting
from tests.model import guards


class Parent:
    limit = 1


class Child(Parent): ...


@pytest.mark.parametrize("owner", [Child, zone_worker], ids=["class", "module"])
def test_an_attribute_that_does_not_exist_is_refused(owner: type | ModuleType) -> None:
    for disable in (setting(owner, "renamed", 1), returning(1, (owner, "renamed"))):
        with patching() as put, pytest.raises(AttributeError, match="renamed"):
            disable(put)
    assert not hasattr(owner, "renamed")


def test_a_replaced_attribute_is_restored_in_its_own_place() -> None:
    with patching() as put:
        put(Child, "limit", 2)
        put(Child, "limit", 3)
        put(launcher, "len", lambda _: 0)  # a builtin, which the module reads by its name
        assert (Child.limit, Parent.limit) == (3, 1)
    assert Child.limit == 1
    assert "limit" not in vars(Child)
    assert "len" not in vars(launcher)


def test_a_removal_raises_after_a_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ZoneWorker, "_write_intents")

    with pytest.raises(AttributeError, match="_write_intents"), disabled("audit-first"):
        pass
    with pytest.raises(AttributeError, match="_write_intents"):
        search("audit-first", most=1)
    with pytest.raises(AttributeError, match="_write_intents"):
        guards.REMOVED["intents"](monkeypatch)


def test_a_removal_that_raises_leaves_nothing_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ZoneWorker, "_is_fresh")
    look = vars(ZoneWorker)["_recheck"]

    with pytest.raises(AttributeError, match="_is_fresh"), disabled("re-check"):
        pass
    assert vars(ZoneWorker)["_recheck"] is look
