"""What starts Curfew: schedules, requests over HTTP, messages; in time, late, twice, out of order, by any caller."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from ..cloud.world import ACCOUNT
from ..history.invocation import Invocation, Message
from .harness import ADMINISTRATOR, HOME, Harness, Interruptions
from .requests import request

KIM, LEE = (f"arn:aws:sts::{ACCOUNT}:assumed-role/Developer/{name}" for name in ("kim", "lee"))
NOWHERE = "no-such-thing"


@dataclass(slots=True)
class Triggers:
    """Keeps the earlier triggers, so that they can be repeated."""

    harness: Harness
    rng: Random
    events: list[Mapping[str, Any]] = field(default_factory=list)
    launches: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # who, key, body
    plans: list[str] = field(default_factory=list)
    delivered: list[Message] = field(default_factory=list)

    def nightly(self, interruptions: Interruptions) -> Invocation:
        """A schedule's event: in time, late, much too late, or one that came before."""
        rng = self.rng
        if self.events and rng.random() < 0.35:
            return self.harness.sweep(rng.choice(self.events), interruptions)
        policy = rng.choices(("nightly", "halt", "ownerless"), weights=(6, 2, 2))[0]
        late = rng.choices((0, 1, 40, 90, 300, 1_380), weights=(10, 4, 3, 2, 1, 1))[0]
        at = self.harness.world.clock.now() - timedelta(minutes=late)
        event: dict[str, Any] = {
            "policy": policy,
            "schedule": f"arn:aws:scheduler:{HOME}:{ACCOUNT}:schedule/default/{policy}",
            "scheduled_at": at.isoformat(timespec="seconds"),
        }
        if rng.random() < 0.15:
            event["regions"] = [HOME, "eu-west-1"]
        self.events.append(event)
        return self.harness.sweep(event, interruptions)

    def tick(self, interruptions: Interruptions) -> Invocation:
        """Time has passed, mostly some of it since a window has begun."""
        clock, rng = self.harness.world.clock, self.rng
        if rng.random() < 0.6:
            self.to_the_next_window(rng.choices((0, 2, 16, 45, 100, 300), (8, 6, 4, 3, 2, 2))[0])
        else:
            clock.advance(timedelta(minutes=rng.choice((0, 15, 31, 61, 91))))
        return self.harness.tick(interruptions)

    def to_the_next_window(self, minutes: int) -> datetime:
        """Let the time pass until so many minutes after the next window of the world's schedule has begun."""
        clock, file = self.harness.world.clock, self.harness.policies
        (schedule,) = file.schedules()
        window = schedule.following(file.timezone, clock.now())
        clock.advance(window - clock.now() + timedelta(minutes=minutes))
        return window

    def directly(self, interruptions: Interruptions) -> Invocation:
        """A caller invokes the function."""
        event: dict[str, Any] = {
            "policy": self.rng.choice(("nightly", "nightly", "halt", "ownerless"))
        }
        if self.rng.random() < 0.3:
            event["mode"] = self.rng.choice(("act", "report"))
        return self.harness.sweep(event, interruptions)

    def leases(self, interruptions: Interruptions) -> Invocation:
        """The sweep that ends leases."""
        return self.harness.sweep({"policy": "leases"}, interruptions)

    def launch(self, interruptions: Interruptions) -> Invocation:
        """A caller launches a fleet, or asks once more, or with the same key for something else."""
        rng = self.rng
        if self.launches and rng.random() < 0.4:
            who, key, body = rng.choice(self.launches)
            if rng.random() < 0.2:
                body = body | {"count": 1 + body.get("count", 1)}
        else:
            who, key = rng.choice((KIM, KIM, LEE)), f"key-{len(self.launches)}"
            body = self._body()
            self.launches.append((who, key, body))
        return self.ask(
            "POST",
            "/fleets",
            who,
            {"key": key, "name": body.get("name", "")},
            interruptions,
            body=body,
            key=key,
        )

    def on_schedule(self, interruptions: Interruptions) -> Invocation:
        """A schedule launches a fleet, perhaps twice."""
        at = self.harness.world.clock.now() - timedelta(minutes=self.rng.choice((0, 0, 5, 70)))
        again = [e for e in self.events if "template" in e]
        event: Mapping[str, Any] = {
            "template": "pair", "fleet": "morning", "ttl": "2h", "owner": KIM,
            "schedule": "mornings", "scheduled_at": at.isoformat(timespec="minutes"),
        }  # fmt: skip
        if again and self.rng.random() < 0.5:
            event = self.rng.choice(again)
        self.events.append(event)
        return self.harness.launch(event, interruptions)

    def renew(self, interruptions: Interruptions) -> Invocation:
        """The owner, an administrator or a stranger sets another end of a lease."""
        ttl = self.rng.choices(("1m", "2m", "30m", "8h", "2d", "9d"), weights=(3, 3, 3, 5, 2, 1))[0]
        fleet, who = self._fleet(), self._who()
        path = f"/fleets/{fleet}"
        return self.ask(
            "PATCH", path, who, {"fleet": fleet, "ttl": ttl}, interruptions, body={"ttl": ttl}
        )

    def terminate(self, interruptions: Interruptions) -> Invocation:
        """A caller terminates a fleet early, or tries to."""
        fleet = self._fleet()
        return self.ask("DELETE", f"/fleets/{fleet}", self._who(), {"fleet": fleet}, interruptions)

    def look(self, interruptions: Interruptions) -> Invocation:
        """A caller looks at a fleet."""
        fleet = self._fleet()
        return self.ask("GET", f"/fleets/{fleet}", self._who(), {"fleet": fleet}, interruptions)

    def plan(self, interruptions: Interruptions) -> Invocation:
        """A caller asks for a plan."""
        policy = self.rng.choice(("nightly", "nightly", "leases", "halt"))
        about = {"policy": policy}
        made = self.ask(
            "POST", "/sweeps", KIM, about, interruptions, body={"policy": policy, "region": HOME}
        )
        if made.good:
            self.plans.append(str(made.body["id"]))
        return made

    def apply(self, interruptions: Interruptions) -> Invocation:
        """A caller, allowed or not, applies a plan: the last one or any other, once or repeatedly."""
        plan = self.plans[-1] if self.plans else NOWHERE
        if self.plans and self.rng.random() < 0.3:
            plan = self.rng.choice(self.plans)
        who = self.rng.choices((ADMINISTRATOR, LEE), weights=(6, 1))[0]
        return self.ask("POST", f"/sweeps/{plan}/apply", who, {"plan": plan}, interruptions)

    def plan_and_apply(self, interruptions: Interruptions) -> Invocation:
        """One after the other, with something between."""
        self.plan({})
        if self.rng.random() < 0.5:
            self.harness.world.clock.advance(timedelta(minutes=self.rng.choice((1, 14, 16))))
        return self.apply(interruptions)

    def pause(self, interruptions: Interruptions) -> Invocation:
        """An administrator pauses Curfew; another caller cannot."""
        who = self.rng.choices((ADMINISTRATOR, LEE), weights=(6, 1))[0]
        return self.ask("PUT", "/pause", who, {}, interruptions, body={"reason": "an exam"})

    def resume(self, interruptions: Interruptions) -> Invocation:
        """An administrator ends the pause."""
        return self.ask("DELETE", "/pause", ADMINISTRATOR, {}, interruptions)

    def deliver(self, interruptions: Interruptions) -> Invocation:
        """The queue delivers a message, in any order, perhaps a second time."""
        waiting = [*self.harness.queue, *(self.delivered if self.rng.random() < 0.3 else [])]
        if not waiting:
            return self.leases(interruptions)
        message = self.rng.choice(waiting)
        self.delivered.append(message)
        return self.harness.deliver(message, json.loads(message.body), interruptions)

    def _body(self) -> dict[str, Any]:
        rng = self.rng
        body: dict[str, Any] = {
            "template": rng.choices(("pair", "spot", "zonal"), weights=(6, 1, 2))[0],
            "name": f"fleet-{rng.randint(1, 4)}",
            "count": rng.choices((1, 2, 3, 4), weights=(3, 4, 2, 1))[0],
            "ttl": rng.choice(("1m", "20m", "1h", "8h")),
        }
        if rng.random() < 0.01:
            body["count"] = 22
        if rng.random() < 0.12:
            body["region"] = "eu-west-1"
        return body

    def _fleet(self) -> str:
        names = [body["name"] for _, _, body in self.launches]
        return str(self.rng.choice(names)) if names else NOWHERE

    def _who(self) -> str:
        return self.rng.choices((KIM, LEE, ADMINISTRATOR), weights=(6, 2, 2))[0]

    def ask(
        self,
        method: str,
        path: str,
        who: str,
        about: Mapping[str, Any],
        interruptions: Interruptions,
        **more: Any,
    ) -> Invocation:
        """Put a request to the API."""
        parts = path.split("/")
        route = "/".join([*parts[:2], *(["<id>"] if len(parts) > 2 else []), *parts[3:]])
        return self.harness.http(
            request(method, path, who=who, route=route, **more), about, who, interruptions
        )


type Trigger = Callable[[Triggers, Interruptions], Invocation]

# How often each is drawn.
TRIGGERS: Mapping[Trigger, int] = {
    Triggers.nightly: 22, Triggers.tick: 12, Triggers.directly: 6, Triggers.leases: 12, Triggers.launch: 16,
    Triggers.on_schedule: 3, Triggers.renew: 10, Triggers.terminate: 7, Triggers.look: 1,
    Triggers.plan: 2, Triggers.apply: 3, Triggers.plan_and_apply: 7, Triggers.pause: 3,
    Triggers.resume: 2, Triggers.deliver: 9,
}  # fmt: skip
