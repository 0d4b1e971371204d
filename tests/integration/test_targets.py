"""A sweep of many targets: each has its own message, Curfew checks each message, and a failure affects one target."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from curfew.app import App
from curfew.aws.rate_limit import RateLimiter
from curfew.config import policy_file
from curfew.config.settings import Settings
from curfew.core.errors import LedgerError, ProviderError, RequestError, SweepFailedError
from curfew.core.instance import Instance, State
from curfew.core.target import Mode, Target
from curfew.handlers import sweep, sweep_target
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.ledger.records import Key
from curfew.orchestration.launches import fleet_spec
from curfew.orchestration.targets import TargetResolver
from curfew.providers.memory import MemoryProvider
from curfew.schemas.messages import SweepRequest, TargetRequest
from tests.builders import HERE, an_id
from tests.cloud import SimulatedEc2
from tests.http import Context
from tests.night import Night, Time, leased

NIGHT = datetime(2026, 3, 4, 1, 0, tzinfo=UTC)
OTHER, EXCLUDED = "222222222222", "333333333333"
HOME, THERE = HERE.region, "us-east-1"
FILE = """
targets: {targets}
limits: {{ percent: 100 }}
policies:
  nightly: {{ select: {{ states: [running], tags: {{ env: dev }} }}, action: terminate }}
  leases: {{ select: {{ lease: expired }}, action: terminate }}
schedules:
  nightly: {{ policy: nightly, at: "01:00" }}
fleets:
  pair: {{ image: ami-08111162, instance_types: [t2.micro], count: {{ default: 1, max: 2 }} }}
"""
TWO_BY_TWO = f'{{ accounts: ["{HERE.account}", "{OTHER}"], regions: [{HOME}, {THERE}] }}'


@dataclass(slots=True)
class Estate:
    """Clouds by account and region, an application that uses them, and the messages that it sent."""

    path: Path
    targets: str = TWO_BY_TWO
    mode: Mode = Mode.ACT
    queue: bool = True
    full: frozenset[tuple[str, str]] = frozenset()
    blind: frozenset[str] = frozenset()
    time: Time = field(default_factory=lambda: Time(at=NIGHT))
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    clouds: dict[tuple[str, str], MemoryProvider] = field(default_factory=dict)
    sent: list[TargetRequest] = field(default_factory=list)

    def cloud(self, region: str, account: str = "") -> MemoryProvider:
        where = Target(provider=HERE.provider, account=account or HERE.account, region=region)
        return self.clouds.setdefault((where.account, region), MemoryProvider(target=where))

    def regions(self, account: str = "") -> frozenset[str]:
        if account in self.blind:
            raise ProviderError("not now")
        return frozenset({HOME, THERE})

    def fan_out(self, messages: Sequence[TargetRequest]) -> list[TargetRequest]:
        refused = [one for one in messages if (one.account, one.region) in self.full]
        self.sent += [one for one in messages if one not in refused]
        return refused

    @property
    def app(self) -> App:
        self.path.write_text(FILE.format(targets=self.targets))
        return App(
            settings=Settings(region=HOME, mode=self.mode),
            policies=policy_file.load(self.path),
            ledger=self.ledger,
            provider=self.cloud,
            regions=self.regions,
            fan_out=self.fan_out if self.queue else None,
            now=self.time.now,
            sleep=self.time.sleep,
        )

    def forget(self, account: str, region: str) -> str:
        """Add a running instance, and return its id."""
        cloud = self.cloud(region, account)
        id_ = an_id(len(self.clouds) * 100 + len(cloud.instances))
        cloud.instances[id_] = Instance(
            id=id_, target=cloud.target, zone="a", state=State.RUNNING, instance_type="t2.micro",
            started_at=self.time.at - timedelta(hours=9), tags={"env": "dev"},
        )  # fmt: skip
        return id_

    def ask(self, **more: Any) -> Any:
        event = {"policy": "nightly", "schedule": "nightly", "scheduled_at": NIGHT.isoformat()}
        return self.ask_for({**event, **more})

    def ask_for(self, event: dict[str, Any]) -> Any:
        return sweep.sweep(SweepRequest.parse(event), Context(), self.app)  # type: ignore[arg-type]

    def deliver(self, body: str | TargetRequest) -> bool:
        """Deliver a message, and return whether the function accepted it."""
        text = body if isinstance(body, str) else body.model_dump_json(exclude_none=True)
        record = {
            "messageId": "m-1", "receiptHandle": "x", "body": text, "attributes": {}, "messageAttributes": {},
            "eventSource": "aws:sqs", "awsRegion": HOME, "eventSourceARN": f"arn:aws:sqs:{HOME}:{HERE.account}:t",
        }  # fmt: skip
        answer = sweep_target.answer({"Records": [record]}, Context(), self.app)  # type: ignore[arg-type]
        assert answer["batchItemFailures"] in ([], [{"itemIdentifier": "m-1"}])
        return not answer["batchItemFailures"]

    @property
    def ended(self) -> Counter[str]:
        calls = [call for cloud in self.clouds.values() for call in cloud.calls]
        return Counter(id_ for name, ids in calls if name == "terminate" for id_ in ids)

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(one.account, one.region) for one in self.sent]


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path / "curfew.yaml")


def counted(printed: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in printed.splitlines():
        blob = json.loads(line) if line.startswith("{") else {}
        for metric in blob.get("_aws", {}).get("CloudWatchMetrics", [{}])[0].get("Metrics", []):
            found[metric["Name"]] += int(sum(blob[metric["Name"]]))
    return found


class TestDispatch:
    def test_one_target_is_swept_in_place(self, estate: Estate) -> None:
        estate.targets = "{}"
        one = estate.forget(HERE.account, HOME)
        assert estate.ask()["sweeps"][0]["status"] == "completed"
        assert (estate.ended, estate.sent) == ({one: 1}, [])

    def test_several_targets_get_a_message_each(self, estate: Estate) -> None:
        estate.forget(HERE.account, HOME)
        assert estate.ask() == {"dispatched": 4}
        assert estate.asked == [(a, r) for a in (HERE.account, OTHER) for r in (HOME, THERE)]
        assert not estate.ended
        first = json.loads(estate.sent[0].model_dump_json(exclude_none=True))
        assert set(first) == {
            "policy", "account", "region", "asked_at", "schedule", "scheduled_at",
        }  # fmt: skip

    def test_target_message_is_swept_once_however_often_it_is_delivered(
        self, estate: Estate
    ) -> None:
        machines = {estate.forget(a, r) for a in (HERE.account, OTHER) for r in (HOME, THERE)}
        estate.ask()
        for message in estate.sent * 2:
            assert estate.deliver(message)
        assert estate.ended == dict.fromkeys(machines, 1)

    def test_targets_are_swept_in_place_without_a_queue(self, estate: Estate) -> None:
        estate.queue = False
        machines = [estate.forget(HERE.account, HOME), estate.forget(OTHER, THERE)]
        assert len(estate.ask()["sweeps"]) == 4
        assert estate.ended == dict.fromkeys(machines, 1)

    def test_message_refused_by_the_queue_is_reported_and_the_others_sent(
        self, estate: Estate, caplog: pytest.LogCaptureFixture
    ) -> None:
        estate.full = frozenset({(OTHER, HOME)})
        with (
            caplog.at_level(logging.ERROR, logger="curfew"),
            pytest.raises(SweepFailedError, match=f"1 targets could not be asked for.*{OTHER}"),
        ):
            estate.ask()
        assert len(estate.sent) == 3
        assert f"{OTHER} {HOME} is not swept: the queue did not take it" in caplog.text

    def test_account_with_unknown_regions_fails_and_the_others_are_sent(
        self, estate: Estate
    ) -> None:
        """Otherwise Curfew would sweep only its own region there, and silently omit the others."""
        estate.targets = f'{{ accounts: ["{OTHER}", "{HERE.account}"], regions: all }}'
        estate.blind = frozenset({OTHER})
        with pytest.raises(SweepFailedError, match=f"the regions of {OTHER} cannot be read"):
            estate.ask()
        assert estate.asked == [(HERE.account, HOME), (HERE.account, THERE)]

    def test_account_with_unknown_regions_fails_in_place(self, estate: Estate) -> None:
        estate.targets, estate.blind = (
            f'{{ accounts: ["{OTHER}"], regions: all }}',
            frozenset({OTHER}),
        )
        one = estate.forget(OTHER, HOME)
        with pytest.raises(SweepFailedError, match="cannot be read: not now"):
            estate.ask()
        assert one not in estate.ended

    def test_repeated_schedule_run_asks_only_incomplete_targets(self, estate: Estate) -> None:
        estate.ask()
        done, left = estate.sent[:3], estate.sent[3]
        for message in done:
            assert estate.deliver(message)
        estate.sent.clear()

        assert estate.ask() == {"dispatched": 1}
        assert estate.asked == [(left.account, left.region)]

    def test_schedule_run_in_report_mode_asks_every_target(self, estate: Estate) -> None:
        estate.ask()
        for message in estate.sent:
            estate.deliver(message)
        assert estate.ask(mode="report") == {"dispatched": 4}

    def test_policy_with_the_name_of_a_schedule_asks_every_target(self, estate: Estate) -> None:
        estate.ask()
        for message in estate.sent:
            estate.deliver(message)
        assert estate.ask(policy="leases") == {"dispatched": 4}

    def test_no_target_is_asked_if_completed_targets_are_unknown(
        self, estate: Estate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> Any:
            raise LedgerError("gone")

        monkeypatch.setattr(MemoryLedger, "completed_targets", broken)
        with pytest.raises(LedgerError):
            estate.ask()
        assert estate.sent == []

    def test_regions_of_one_request_are_swept_in_place(self, estate: Estate) -> None:
        """Curfew would reject messages for them, since no configuration names them."""
        estate.targets = "{}"
        machines = [estate.forget(HERE.account, region) for region in (HOME, THERE)]
        answer = estate.ask_for({"policy": "nightly", "regions": [HOME, THERE]})
        assert [one["status"] for one in answer["sweeps"]] == ["completed", "completed"]
        assert (estate.ended, estate.sent) == (dict.fromkeys(machines, 1), [])

    def test_every_sent_message_is_accepted(self, estate: Estate) -> None:
        for targets in (TWO_BY_TWO, f"{{ regions: [{HOME}, {THERE}] }}", "{ regions: all }"):
            estate.targets = targets
            for event in ({}, {"regions": [THERE]}, {"regions": [THERE, HOME]}):
                estate.sent.clear()
                estate.ask_for({"policy": "nightly", **event})
                assert all(map(estate.deliver, estate.sent)), (targets, event)


class TestMessages:
    def message(self, estate: Estate, **more: Any) -> TargetRequest:
        estate.ask()
        return estate.sent[0].model_copy(update=more)

    @pytest.mark.parametrize(
        ("late", "obeyed"),
        [
            (timedelta(hours=6), True),
            (timedelta(hours=6, seconds=1), False),
            (timedelta(days=9), False),
            (timedelta(minutes=-5), True),
            (timedelta(minutes=-5, seconds=-1), False),
            (timedelta(days=-9), False),
        ],
    )
    def test_target_message_of_another_time_is_refused_and_counted(
        self, estate: Estate, capsys: pytest.CaptureFixture[str], late: timedelta, *, obeyed: bool
    ) -> None:
        one = estate.forget(HERE.account, HOME)
        message = self.message(estate, asked_at=NIGHT - late, schedule="", scheduled_at=None)
        capsys.readouterr()

        assert estate.deliver(message) is obeyed
        assert estate.ended == ({one: 1} if obeyed else {})
        assert counted(capsys.readouterr().out)["Stale"] == (0 if obeyed else 1)

    def test_future_window_is_not_swept_early_and_so_not_lost(self, estate: Estate) -> None:
        one = estate.forget(HERE.account, HOME)
        ahead = self.message(estate, scheduled_at=NIGHT + timedelta(days=300))
        assert not estate.deliver(ahead)
        assert not estate.ended

        assert estate.deliver(estate.sent[0])
        assert estate.ended == {one: 1}

    @pytest.mark.parametrize(
        "wrong",
        [{"account": "999999999999"}, {"account": EXCLUDED}, {"region": "sa-east-1"}, {"policy": "nobodys"}],
    )  # fmt: skip
    def test_target_that_is_not_configured_is_not_swept(
        self, estate: Estate, wrong: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        message = self.message(estate, **wrong)
        one = estate.forget(message.account, message.region)
        with caplog.at_level(logging.ERROR, logger="curfew"):
            assert not estate.deliver(message)
        assert one not in estate.ended
        assert next(iter(wrong.values())) in caplog.text

    def test_a_message_cannot_make_a_reporting_stack_act(self, estate: Estate) -> None:
        message = self.message(estate, mode=Mode.ACT)
        estate.forget(HERE.account, HOME)
        estate.mode = Mode.REPORT
        assert not estate.deliver(message)
        assert not estate.ended

    def test_target_message_in_report_mode_does_nothing(self, estate: Estate) -> None:
        estate.forget(HERE.account, HOME)
        assert estate.deliver(self.message(estate, mode=Mode.REPORT))
        assert not estate.ended

    @pytest.mark.parametrize(
        "body",
        ["", "{", "[]", '"nightly"', '{"policy": "nightly"}', '{"ids": ["i-1"]}', "x" * 100_000],
    )
    def test_poison_target_message_fails_alone(
        self, estate: Estate, body: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        estate.forget(HERE.account, HOME)
        assert not estate.deliver(body)
        assert not estate.ended
        assert counted(capsys.readouterr().out)["Unswept"] == 1

    def test_target_message_cannot_name_an_instance(self, estate: Estate) -> None:
        body = json.loads(self.message(estate).model_dump_json(exclude_none=True))
        assert not estate.deliver(json.dumps(body | {"ids": [an_id(1)]}))

    def test_internal_error_is_reported(
        self, estate: Estate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        message = self.message(estate)

        def broken(*_: object) -> Any:
            raise KeyError("oops")

        monkeypatch.setattr(TargetResolver, "contains", broken)
        capsys.readouterr()
        with caplog.at_level(logging.ERROR, logger="curfew"):
            assert not estate.deliver(message)
        assert "unexpected KeyError: 'oops'" in caplog.text
        assert counted(capsys.readouterr().out)["Unswept"] == 1

    def test_failure_in_one_target_does_not_affect_another(
        self, estate: Estate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machines = {
            (a, r): estate.forget(a, r) for a in (HERE.account, OTHER) for r in (HOME, THERE)
        }
        estate.ask()
        find = MemoryProvider.find

        def broken(self: MemoryProvider, selector: Any, *, narrow: bool) -> Any:
            if self.target.account == OTHER and self.target.region == HOME:
                raise ProviderError("no answer")
            return find(self, selector, narrow=narrow)

        monkeypatch.setattr(MemoryProvider, "find", broken)
        taken = {
            place: estate.deliver(one) for place, one in zip(estate.asked, estate.sent, strict=True)
        }

        assert [place for place, done in taken.items() if not done] == [(OTHER, HOME)]
        del machines[OTHER, HOME]
        assert estate.ended == dict.fromkeys(machines.values(), 1)

    def test_plan_over_a_limit_is_reported_once_and_not_retried(
        self, estate: Estate, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for _ in range(60):
            estate.forget(HERE.account, HOME)
        message = self.message(estate)
        capsys.readouterr()
        assert estate.deliver(message)
        assert not estate.ended
        assert counted(capsys.readouterr().out)["Troubled"] == 1


def test_limiter_has_the_deadline_before_targets_are_resolved(estate: Estate) -> None:
    """The process may have served an earlier invocation, whose deadline is past."""
    estate.targets = f'{{ accounts: ["{OTHER}"], regions: all }}'
    limiter = RateLimiter(100, now=estate.time.now, sleep=estate.time.sleep)
    limiter.set_deadline(NIGHT - timedelta(hours=1))
    had_time: list[bool] = []

    def regions(account: str = "") -> frozenset[str]:
        had_time.append(limiter.has_time(60))
        return estate.regions(account)

    app = replace(estate.app, rate_limiter=limiter, regions=regions)
    request = SweepRequest(policy="nightly", mode=Mode.REPORT)
    sweep.sweep(request, Context(), app)  # type: ignore[arg-type]

    assert had_time == [True]


class TestNever:
    def test_lease_sweep_skips_fleets_in_excluded_targets(self, estate: Estate) -> None:
        app, asked = estate.app, SweepRequest(policy="leases")
        night = Night(cloud=SimulatedEc2(), ledger=estate.ledger, time=estate.time)
        leased(night, an_id(1), ends_in=timedelta(hours=-1), target=replace(HERE, account=EXCLUDED))
        assert (EXCLUDED, HOME) in {
            (t.account, t.region) for t in TargetResolver(app).resolve(asked).targets
        }

        estate.targets = TWO_BY_TWO.replace(" }", f', never: ["{EXCLUDED}"] }}')
        app = estate.app
        resolver = TargetResolver(app)
        targets = resolver.resolve(asked).targets
        assert EXCLUDED not in {target.account for target in targets}
        assert len(targets) == 4
        policy = app.policies.policy("leases")
        for target in targets:
            assert resolver.contains(target, policy)
            assert not resolver.contains(replace(target, account=EXCLUDED), policy)

    def test_launch_is_refused_where_no_lease_would_be_enforced(self, estate: Estate) -> None:
        estate.targets = f'{{ accounts: ["{OTHER}"], never: ["{HERE.account}"] }}'
        with pytest.raises(RequestError, match=f"nothing is launched in {HERE.account}") as caught:
            fleet_spec(
                estate.app,
                "pair",
                name="pair",
                owner="kim",
                expires_at=NIGHT,
                key=Key(scope="k", body="b"),
            )
        assert "targets.never" in str(caught.value)
