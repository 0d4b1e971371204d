"""A change of a ledger in memory excludes every other change, in all threads."""

from threading import RLock, Thread
from time import sleep

from curfew.ledger.memory.fleets import MemoryFleets
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.memory.plans import MemoryPlans
from curfew.ledger.memory.synchronized import synchronized

CHANGES = {
    MemoryLedger: {"append", "begin_schedule_run", "complete", "record_first_seen", "reserve"},
    MemoryFleets: {
        "advance", "begin_attempt", "claim", "close", "end", "hand_over", "lock", "open", "record", "renew",
        "finish_attempt", "unclaim",
    },
    MemoryPlans: {"begin", "finish", "open", "save"},
}  # fmt: skip


class Purse:
    def __init__(self) -> None:
        self.mutex = RLock()
        self.spent = 0

    @synchronized
    def spend(self, limit: int) -> None:
        before = self.spent
        sleep(0.02)
        if before < limit:
            self.spent = before + 1

    @synchronized
    def spend_twice(self, limit: int) -> None:
        self.spend(limit)
        self.spend(limit)


def test_synchronized_method_excludes_other_threads() -> None:
    purse = Purse()
    threads = [Thread(target=purse.spend_twice, args=(5,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert purse.spent == 5


def test_every_change_of_a_memory_ledger_is_synchronized() -> None:
    for owner, names in CHANGES.items():
        locked = {name for name, there in vars(owner).items() if hasattr(there, "__wrapped__")}
        assert locked == names
