"""One application on one world: its handlers, its ledger and its queue; it can be stopped at any step.

A step is a call of the cloud or of the ledger. At each, time passes, and what the generator has set for that step
happens: another invocation, an action of a person, or a crash.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from curfew.app import App
from curfew.concurrency import ZONES_AT_ONCE, run_sequentially
from curfew.config.policy_file import PolicyFile
from curfew.config.settings import Settings
from curfew.core.errors import LedgerError, QueueError
from curfew.core.target import Mode
from curfew.handlers import http_api, launch, sweep, sweep_target
from curfew.ledger import protocols as ledgers
from curfew.ledger.dynamodb.ledger import DynamoLedger
from curfew.schemas.messages import (
    Job,
    LaunchRequest,
    SweepRequest,
    TargetRequest,
    TickRequest,
)

from ..cloud.history import CallRecord
from ..cloud.world import ACCOUNT, World
from ..history.invocation import Invocation, Message
from .clients import REGIONS, another_process, clients
from .instrumented_ledger import ledger_in_memory
from .process import SECONDS, Context, KilledError
from .requests import delivery
from .thread_scheduler import ThreadScheduler, scheduling
from .wiring import grant_roles, provider

TABLE = "curfew-ledger"
HOME = REGIONS[0]
ADMINISTRATOR = f"arn:aws:sts::{ACCOUNT}:assumed-role/Operations/ada"

type Interruptions = Mapping[int, Callable[[], object]]


class Harness:
    """``skew`` is how wrong Curfew's own clock is; ``shut`` are queues that cannot be reached.

    With ``fans_out``, the targets of a sweep are messages in the queue as well.
    """

    def __init__(
        self,
        world: World,
        policies: PolicyFile,
        *,
        mode: Mode,
        dynamo: bool = False,
        queue: bool = True,
        fans_out: bool = False,
    ) -> None:
        self.world, self.policies, self.mode, self.dynamo = world, policies, mode, dynamo
        self.skew = timedelta()
        self.shut = False
        self.has_queue, self.fans_out = queue, fans_out
        self.queue: list[Message] = []
        self.dead_letters: list[Message] = []
        self.invocations: list[Invocation] = []
        self.made_by: dict[int, Invocation] = {}
        self.moments: dict[int, int] = {}  # of the calls
        self.reached: dict[int, datetime] = {}  # when the invocation was about to make the call
        self.moment = 0
        self.failing = ""  # when the ledger in memory fails next: before its effect, or after it
        self._stack: list[Invocation] = []
        self._interruptions: dict[int, dict[int, Callable[[], object]]] = {}
        self._late: dict[int, int] = {}
        self._schedulers: dict[int, ThreadScheduler] = {}
        self._rng = world.rng.of("harness")
        self._thread_rng = world.rng.of("threads")
        clients().enter(self)
        world.every_call(self._seen)
        self.ledger = self._ledger()
        grant_roles(world)
        self._providers = {region: provider(region, self.now) for region in REGIONS}

    # Invocations.

    def sweep(
        self, event: Mapping[str, Any], interruptions: Interruptions | None = None
    ) -> Invocation:
        """Sweep, by EventBridge Scheduler or by a caller directly."""
        kind = "schedule" if event.get("schedule") else "sweep"
        return self._invoke(
            kind, "schedule", event, interruptions,
            lambda app, context: sweep.sweep(SweepRequest.parse(dict(event)), context, app),
        )  # fmt: skip

    def tick(self, interruptions: Interruptions | None = None) -> Invocation:
        """EventBridge Scheduler says that time has passed. There is one schedule."""
        ((name, schedule),) = self.policies.content.schedules.items()
        return self._invoke(
            "tick", "schedule", {"policy": schedule.policy, "schedule": name}, interruptions,
            lambda app, context: sweep.tick(TickRequest(tick=True), context, app),
        )  # fmt: skip

    def launch(
        self, event: Mapping[str, Any], interruptions: Interruptions | None = None
    ) -> Invocation:
        """A launch on a schedule."""
        return self._invoke(
            "launch", "schedule", event, interruptions,
            lambda app, context: launch.launch(LaunchRequest.parse(dict(event)), context, app),
        )  # fmt: skip

    def http(
        self,
        event: Mapping[str, Any],
        about: Mapping[str, Any],
        who: str,
        interruptions: Interruptions | None = None,
    ) -> Invocation:
        """A caller sends a request over HTTP."""
        return self._invoke(
            str(event["routeKey"]), who, about, interruptions,
            lambda app, context: http_api.answer(dict(event), context, app),
        )  # fmt: skip

    def deliver(
        self, message: Message, about: Mapping[str, Any], interruptions: Interruptions | None = None
    ) -> Invocation:
        """A queue delivers a message, and keeps it unless the answer says that it is done."""
        message.received += 1
        answer = sweep_target.answer if message.kind == "target" else sweep.handle_messages
        event = {"Records": [delivery(message)]}
        invocation = self._invoke(
            message.kind, "queue", about, interruptions,
            lambda app, context: answer(event, context, app),
        )  # fmt: skip
        done = invocation.good and not (invocation.answer or {}).get("batchItemFailures")
        if (done or message.received >= 4) and message in self.queue:
            self.queue.remove(message)
        if not done and message.received >= 4:
            self.dead_letters.append(message)
        return invocation

    def app(self) -> App:
        """The application as a new process would have it."""
        return App(
            settings=Settings(
                region=HOME, mode=self.mode, administrators=frozenset({ADMINISTRATOR})
            ),
            policies=self.policies,
            ledger=self.ledger,
            provider=lambda region, _account="": self._providers[region],
            regions=lambda _account="": frozenset(REGIONS),
            enqueue=self._enqueue if self.has_queue else None,
            fan_out=self._fan_out if self.fans_out else None,
            run_tasks=self._schedulers[self.current.number] if self.current else run_sequentially,
            now=self.now,
            sleep=self._sleep,
        )

    def now(self) -> datetime:
        """The time, as Curfew has it."""
        return self.world.clock.now() + self.skew

    @property
    def current(self) -> Invocation | None:
        """Whose turn it is."""
        return self._stack[-1] if self._stack else None

    def heard(self, summary: Mapping[str, Any]) -> None:
        """What a sweep says of itself in the log."""
        if self.current:
            self.current.reports.append(summary)

    # Steps.

    def step(self, what: str) -> None:
        """Before a call of the cloud or of the ledger."""
        invocation = self.current
        if invocation is None:
            self.moment += 1
            return
        self.world.clock.sleep(round(0.02 + self._rng.random() * 0.2, 3))
        self._check_time(invocation)
        reached_at = self.world.clock.now()
        self._schedulers[invocation.number].switch()
        self._check_time(invocation)
        self.moment += 1
        invocation.steps += 1
        invocation.reached_at = reached_at
        step = invocation.steps
        if do := self._interruptions[invocation.number].pop(step, None):
            with self.world.history.aside():
                do()
            self.moment += 1
            self._check_time(invocation)

    def back(self, what: str) -> None:
        """After an answer."""
        if invocation := self.current:
            self._check_time(invocation)
            if self._late.get(invocation.number) == invocation.steps:
                raise KilledError("killed after a call")

    def die_after(self, step: int) -> None:
        """Let the current invocation be gone once the answer to a step has come, before it is looked at."""
        if invocation := self.current:
            self._late[invocation.number] = step

    def _check_time(self, invocation: Invocation) -> None:
        if self.world.clock.now() >= invocation.cut_off:
            raise KilledError("out of time")

    def _sleep(self, seconds: float) -> None:
        self.world.clock.sleep(seconds)
        if invocation := self.current:
            self._check_time(invocation)

    def _invoke(
        self,
        kind: str,
        who: str,
        about: Mapping[str, Any],
        interruptions: Interruptions | None,
        do: Callable[[App, Any], Mapping[str, Any]],
    ) -> Invocation:
        now = self.world.clock.now()
        self.moment += 1
        invocation = Invocation(
            number=len(self.invocations) + 1,
            kind=kind,
            who=who.rpartition("/")[2],
            about=about,
            begun_at=now,
            skew=self.skew,
            cut_off=now + timedelta(seconds=SECONDS.get(kind, SECONDS["http"])),
            policies=self.policies,
            first=self.moment,
            within=self.current.number if self.current else 0,
        )
        self.invocations.append(invocation)
        scheduler = self._schedulers[invocation.number] = ThreadScheduler(
            self._thread_rng.randint(1, ZONES_AT_ONCE), self._thread_rng
        )
        self._interruptions[invocation.number] = dict(interruptions or {})
        id_ = UUID(int=self._rng.getrandbits(128))
        context = Context(
            aws_request_id=str(id_), left=lambda: invocation.cut_off - self.world.clock.now()
        )
        self._stack.append(invocation)
        try:
            with another_process(), scheduling(scheduler):
                invocation.answer = do(self.app(), context)
        except KilledError as killed:
            invocation.killed = str(killed)
        except Exception as error:  # noqa: BLE001  the platform says that the function failed
            invocation.error = f"{type(error).__name__}: {error}"
        finally:
            self._stack.pop()
            invocation.overlapped = scheduler.overlapped
            self.moment += 1
            invocation.last = self.moment
            invocation.ended_at = self.world.clock.now()
        return invocation

    def _seen(self, call: CallRecord) -> None:
        self.moments[call.number] = self.moment
        if invocation := self.current:
            self.made_by[call.number] = invocation
            invocation.calls.append(call)
            self.reached[call.number] = invocation.reached_at or call.at

    def _ledger(self) -> ledgers.Ledger:
        if self.dynamo:
            self.world.tables(region=HOME).make(TABLE)
            return DynamoLedger(clients().table, TABLE, sleep=self._sleep)
        return ledger_in_memory(self.step, self.back, self._fail)

    def _fail(self, how: str) -> None:
        if self.current and self.failing == how:
            self.failing = ""
            raise LedgerError(f"the table fails, {how} the effect")

    def _enqueue(self, job: Job) -> None:
        self.step("SendMessage")
        if self.shut:
            raise QueueError("the queue does not answer")
        self._post("message", job)
        if self.current and job.work == "resume":
            self.current.continuations.append(job.id)
        self.back("SendMessage")

    def _fan_out(self, targets: Sequence[TargetRequest]) -> list[TargetRequest]:
        self.step("SendMessageBatch")
        if self.shut:
            return list(targets)
        for one in targets:
            self._post("target", one)
        self.back("SendMessageBatch")
        return []

    def _post(self, kind: str, what: Job | TargetRequest) -> None:
        id_ = f"{kind}-{self.moment}-{len(self.queue)}"
        self.queue.append(Message(id_, what.model_dump_json(exclude_none=True), kind))
