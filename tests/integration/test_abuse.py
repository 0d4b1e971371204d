"""Hostile and mistaken requests: over HTTP, into the queue, to a warm function."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from curfew.app import App
from curfew.config import policy_file
from curfew.core.errors import AmbiguousError, ListingError, RefusedError, SweepFailedError
from curfew.core.instance import State
from curfew.core.lease import Phase
from curfew.handlers import sweep
from curfew.ledger.memory.ledger import MemoryLedger
from curfew.orchestration.targets import running_fleets
from curfew.providers.base import LaunchCall
from curfew.schemas.messages import SweepRequest
from tests.builders import HERE, NOW, an_id, an_instance
from tests.http import ADMINISTRATOR, OWNER, STRANGER, Context, Service, event, utc_text
from tests.launches import Launching

MINE = "pair-mine"


@pytest.fixture
def api() -> Service:
    return Service()


def running(api: Service) -> set[str]:
    return {i.id for i in api.cloud.instances.values() if i.state is State.RUNNING}


def failing(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def delivered(app: App, *bodies: str) -> list[str]:
    """Deliver messages, and return the ids that the function reports as failed."""
    records = [
        {
            "messageId": f"m-{number}",
            "receiptHandle": "r",
            "body": body,
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:work",
            "awsRegion": HERE.region,
        }
        for number, body in enumerate(bodies, 1)
    ]
    answer = sweep.handle_messages({"Records": records}, Context(), app)  # type: ignore[arg-type]
    assert set(answer) == {"batchItemFailures"}  # Lambda treats an empty response as success
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


# ------------------------------------------------------------------------------------------------------------- requests

NO_TIMES = [
    "2026-03-04T12:00:00",
    "2026-03-04",
    0,
    -1,
    1e99,
    "0",
    "-1",
    "+1772636400",
    "1772636400.5",
    "1772636400",
    "1772636400000",
    "1e99",
    "NaN",
    "tomorrow",
    "",
    "2026-02-30T12:00:00Z",
    "2026-03-04T25:00:00Z",
    "\N{FULLWIDTH DIGIT TWO}026-03-04T12:00:00Z",
    "\N{ARABIC-INDIC DIGIT TWO}026-03-04T12:00:00Z",
    True,
    [],
    {},
]
NO_DURATIONS = [
    "0h", "-1h", "+1h", "1e9h", "1.5h", "8", 8, "8 h", "8h ", "h", "\N{ARABIC-INDIC DIGIT EIGHT}h",
    "\N{FULLWIDTH DIGIT EIGHT}h", "1h30m", "P1D", "", None, True,
]  # fmt: skip


@pytest.mark.parametrize("until", NO_TIMES, ids=repr)
def test_invalid_end_is_refused_and_changes_no_lease(api: Service, until: Any) -> None:
    made = api.launch(name=MINE).json

    for refused in (
        api.ask("PATCH", f"/fleets/{MINE}", body={"until": until}),
        api.launch("another", until=until),
    ):
        assert refused.status == 422, refused.text
    assert api.ask("GET", f"/fleets/{MINE}").json["expires_at"] == made["expires_at"]
    assert len(running(api)) == 2


@pytest.mark.parametrize("ttl", NO_DURATIONS, ids=repr)
def test_invalid_ttl_is_refused_and_changes_no_lease(api: Service, ttl: Any) -> None:
    made = api.launch(name=MINE).json

    assert api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": ttl}).status == 422
    assert ttl is None or api.launch("another", ttl=ttl).status == 422
    assert api.ask("GET", f"/fleets/{MINE}").json["expires_at"] == made["expires_at"]
    assert len(running(api)) == 2


@pytest.mark.parametrize(
    "key",
    [
        "image", "image_id", "ImageId", "instance_type", "instance_types", "subnet", "subnets", "security_groups",
        "SecurityGroupIds", "key", "key_name", "profile", "instance_profile", "iam_instance_profile",
        "IamInstanceProfile", "user_data", "UserData", "market", "launch_template", "network_interfaces", "owner",
        "launch_id", "mode", "dry_run", "force",
    ],
)  # fmt: skip
def test_request_cannot_set_fields_of_the_template_or_the_caller(api: Service, key: str) -> None:
    body = {"template": "pair", key: "arn:aws:iam::123456789012:instance-profile/admin"}

    refused = api.ask("POST", "/fleets", body=body, headers={"Idempotency-Key": "one"})

    assert refused.status == 422
    (fault,) = refused.json["errors"]
    assert fault["where"] == f"body.{key}"
    assert fault["problem"].startswith("is an unknown key")
    assert api.orders() == []


SHELL = "$(reboot); `id` && rm -rf / | tee 'x' \"y\" \\\n#{}"


def test_user_data_is_always_the_templates_own() -> None:
    script = "#!/bin/sh\necho ${NAME} $(date)\n"
    launching = Launching()

    launching.go(user_data=script, name="lab", owner=SHELL, tags={"note": SHELL})

    (asked,) = launching.cloud.asked
    assert base64.b64decode(asked["UserData"]).decode() == script
    (tags,) = {machine.tags["note"] for machine in launching.cloud.machines.values()}
    assert tags == SHELL


@pytest.mark.parametrize("name", [SHELL, "a;b", "a b", "../a", "a\n", "A", "ä", "a" * 65])
def test_fleet_name_with_shell_characters_is_refused(api: Service, name: str) -> None:
    assert api.launch(name=name).status == 422
    assert api.orders() == []


def test_request_about_the_fleet_of_another_owner_is_refused_and_logged(
    api: Service, caplog: pytest.LogCaptureFixture
) -> None:
    api.launch(name=MINE)
    before = list(api.ledger.entries(HERE))
    caplog.clear()

    assert api.ask("DELETE", f"/fleets/{MINE}", caller=STRANGER).status == 403
    assert api.ask("PATCH", f"/fleets/{MINE}", body={"ttl": "1m"}, caller=STRANGER).status == 403

    reported = [vars(record) for record in caplog.records]
    assert [one["status"] for one in reported if "status" in one] == [403, 403]
    assert len(running(api)) == 2
    assert list(api.ledger.entries(HERE)) == before


# --------------------------------------------------------------------------------------------------------------- queue


def test_late_message_about_an_ended_fleet_launches_nothing(api: Service) -> None:
    """Another worker continues a deferred launch and its fleet ends before the message arrives."""
    api.queue = True
    launch = api.cloud.launch
    slow = failing(AmbiguousError("no answer"))
    api.cloud.launch = slow  # type: ignore[method-assign]
    assert api.launch(name=MINE).status == 202
    api.cloud.launch = launch  # type: ignore[method-assign]
    (message,) = (one.model_dump_json() for one in api.enqueued)
    api.time.at += timedelta(minutes=5)
    assert delivered(api.app, message) == []
    assert len(running(api)) == 2
    assert api.ask("DELETE", f"/fleets/{MINE}").status == 200
    orders = api.orders()

    assert delivered(api.app, message, message) == []

    assert running(api) == set()
    assert api.orders() == orders


@pytest.mark.parametrize(
    "poison",
    [
        "x" * 1024 * 1024,
        '{"work": "launch", "id": "' + "x" * 1024 * 1024 + '", "fleet": "lab"}',
        '{"work": "launch", "id": "x", "fleet": "lab", "version": 2}',
        '{"work": "mark", "id": "x"}',
        '{"work": "terminate", "id": "x", "fleet": "pair-mine", "instances": ["i-1"]}',
        "[" * 100_000,
        "null",
        "",
    ],
    ids=["long", "long-id", "newer", "unknown", "instances", "deep", "null", "empty"],
)
def test_malformed_message_fails_alone_and_the_next_one_is_processed(
    api: Service, poison: str
) -> None:
    api.queue = True
    api.launch(name=MINE, count=21)
    assert api.ask("DELETE", f"/fleets/{MINE}").status == 202
    (message,) = (one.model_dump_json() for one in api.enqueued)

    assert delivered(api.app, poison, message, poison) == ["m-1", "m-3"]
    assert running(api) == set()


@pytest.mark.parametrize("fault", [KeyError("since"), RecursionError(), MemoryError(), OSError()])
def test_failed_message_is_named_in_the_batch_response(fault: Exception) -> None:
    ledger = MemoryLedger()
    api = Service(ledger=ledger, queue=True)
    api.launch(name=MINE)
    ledger.fleets.get = failing(fault)  # type: ignore[method-assign]
    message = json.dumps({"work": "launch", "id": "x", "fleet": MINE})

    assert delivered(api.app, message, message) == ["m-1", "m-2"]


def test_message_that_cannot_finish_delays_no_other(api: Service) -> None:
    """The function does not enqueue again without end; the sweep of leases finishes the rest."""
    api.queue = True
    api.cloud.launch = failing(AmbiguousError("no answer"))  # type: ignore[method-assign]
    api.launch(name=MINE)
    (message,) = (one.model_dump_json() for one in api.enqueued)

    for _ in range(9):
        api.time.at += timedelta(minutes=5)
        assert delivered(api.app, message) == []

    assert len(api.enqueued) == 1
    assert [fleet.phase for fleet in running_fleets(api.app)] == [Phase.LAUNCHING]


# ---------------------------------------------------------------------------------------------------------- warm starts


def swept(api: Service, policy: str = "nightly") -> dict[str, Any]:
    return sweep.sweep(SweepRequest.parse({"policy": policy}), Context(), api.app)  # type: ignore[arg-type]


def test_failed_invocation_leaves_no_state_for_the_next(api: Service) -> None:
    others = [an_instance(number, tags={"env": "prod"}) for number in range(10, 20)]
    api.add(an_instance(1), *others)
    app = api.app  # as it stays in a warm process
    find = api.cloud.find

    def broken(*args: Any, **more: Any) -> Any:
        for number, instance in enumerate(find(*args, **more)):
            if number == 5:
                raise ListingError("page 2 failed")
            yield instance

    request = SweepRequest.parse({"policy": "nightly"})
    api.cloud.find = broken  # type: ignore[method-assign]
    with pytest.raises(SweepFailedError, match="incomplete"):
        sweep.sweep(request, Context(), app)  # type: ignore[arg-type]
    assert api.orders() == []
    api.cloud.find = find  # type: ignore[method-assign]

    (answer,) = sweep.sweep(request, Context(), app)["sweeps"]  # type: ignore[arg-type]

    assert (answer["status"], answer["listed"], answer["verified"]) == ("completed", 11, 1)
    assert answer["problem"] == ""


def test_sweeps_launches_and_plans_of_one_instant_have_distinct_ids(api: Service) -> None:
    ids = {api.app.new_id() for _ in range(1_000)}

    assert len(ids) == 1_000
    assert {api.launch(f"key-{n}").json["launch_id"] for n in range(5)}.isdisjoint(ids)


# -------------------------------------------------------------------------------------------------------------- secrets

SECRET = "CANARY-s3cr3t"
FILE = """
policies:
  nightly: { select: { states: [running], tags: { env: dev } }, action: terminate, limits: { percent: 100 } }
  leases: { select: { lease: expired }, action: terminate, limits: { percent: 100 } }
fleets:
  pair:
    image: ami-08111162
    instance_types: [t2.micro]
    user_data: boot.sh
    count: { default: 2, max: 2 }
"""


def test_secrets_in_user_data_headers_or_tags_never_leave_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "curfew.yaml").write_text(FILE)
    (tmp_path / "boot.sh").write_text(f"#!/bin/sh\necho {SECRET}\n")
    api = Service(file=policy_file.load(tmp_path / "curfew.yaml"), queue=True)
    sent: list[LaunchCall] = []
    launch = api.cloud.launch

    def first_in_vain(asked: LaunchCall, *, by: str) -> Any:
        sent.append(asked)
        if len(sent) == 1:
            raise RefusedError("no such key")
        return launch(asked, by=by)

    api.cloud.launch = first_in_vain  # type: ignore[assignment,method-assign]
    headers = {"Authorization": SECRET, "Cookie": SECRET, "X-Api-Key": SECRET}
    body = {"template": "pair", "name": MINE}
    failed = api.ask("POST", "/fleets", body=body, headers=headers | {"Idempotency-Key": "one"})
    assert failed.json["phase"] == "failed"
    made = api.launch("two", tags={"env": "dev", "token": SECRET})
    assert made.json["phase"] == "launched"
    api.time.at = NOW + timedelta(days=1)
    api.add(an_instance(1, tags={"env": "dev", "password": SECRET}))
    ended = swept(api)
    api.cloud.find = failing(KeyError(f"user_data of {an_id(1)}"))  # type: ignore[method-assign]
    with pytest.raises(SweepFailedError) as broken:
        swept(api)

    assert all(SECRET in launch.user_data for launch in sent)
    sinks = {
        "log": [str(vars(record)) for record in caplog.records],
        "output": list(capsys.readouterr()),
        "answers": [failed.text, made.text.replace(f'"token":"{SECRET}"', "")],
        "report": [json.dumps(ended), str(broken.value)],
        "messages": [one.model_dump_json() for one in api.enqueued],
        "words": [repr(launch) for launch in sent],
    }
    for sink, texts in sinks.items():
        assert all(SECRET not in text.replace(f"'token': '{SECRET}'", "") for text in texts), sink
    chain = [entry.draft for entry in api.ledger.entries(HERE)]
    assert all("#!/bin/sh" not in json.dumps(dict(draft.body), default=str) for draft in chain)


def test_response_to_another_owner_reveals_no_other_fleet(api: Service) -> None:
    api.launch(name=MINE)

    refused = api.ask("DELETE", f"/fleets/{MINE}", caller=STRANGER)

    assert refused.status == 403
    assert ADMINISTRATOR not in refused.text
    assert utc_text(NOW) not in refused.text


def test_event_with_a_malformed_caller_is_unauthenticated(api: Service) -> None:
    asked = event("GET", "/fleets", caller="")
    asked["requestContext"]["authorizer"] = {"lambda": {"principalId": OWNER}, "principalId": OWNER}

    assert api.put(asked).status == 401
