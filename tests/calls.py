"""Compare each call that Curfew makes in a test with the allow-list and the call's session policy.

A call is Curfew's if Curfew's code made it, through any client, or if the client is Curfew's. The calls of tests and
the demo themselves, which set up and read a cloud, are not. A call that changes something with scoped credentials has
to name exactly the resources that their session policy names.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from types import FrameType
from typing import Any

import botocore
from botocore.session import Session

import curfew
from curfew.aws.allowed_calls import ACT, CLIENT_SCOPES
from curfew.providers.ec2 import scoped_credentials

ROOT = Path(__file__).parent.parent
PRODUCT = str(Path(curfew.__file__).parent)  # mutants are in another folder
OTHERS = (str(ROOT / "tests"), str(ROOT / "demo"))
ACTING = {call.operation for call in ACT.changes}
# The parameters with ids that the session policy has to name.
NAMED = (
    "InstanceId.", "ResourceId.", "SpotInstanceRequestId.", "SecurityGroupId.", "ImageId", "SubnetId", "KeyName",
)  # fmt: skip
POLICY = "the policy that was asked for"
LISTED = {str(call) for scope in CLIENT_SCOPES for call in (*scope.reads, *scope.changes)}


@dataclass(frozen=True, slots=True)
class Made:
    """A call that passed the guard, just before it is signed, and the place in the code that made it."""

    name: str
    where: str
    beyond: tuple[str, ...] = ()  # ids that only the call or only its session policy names


def watch() -> list[Made]:
    """Record Curfew's calls of every session created from now on. Return the list, which grows."""
    made: list[Made] = []
    # By thread and access key: during a call, another invocation may get its own credentials.
    policies: dict[tuple[int, str], str] = {}

    def note(*, model: Any, params: Any, context: Any, **_: Any) -> None:
        own = "curfew/" in (context["client_config"].user_agent_extra or "")
        file, place = _caller()
        if own or not file.startswith(OTHERS):
            beyond: set[str] = set()
            if model.name == "AssumeRole":
                context[POLICY] = params["body"].get("Policy")
            elif (
                model.name in ACTING
                and (credentials := scoped_credentials._ACTIVE.get()) is not None
            ):
                beyond = _ids(params["body"]) ^ _named(
                    policies[get_ident(), str(credentials.access_key)]
                )
            name = f"{model.service_model.service_name}:{model.name}"
            made.append(Made(name, place, tuple(sorted(beyond))))

    def issued(*, parsed: Any, context: Any, **_: Any) -> None:
        if POLICY in context and "Credentials" in parsed:
            policies[get_ident(), parsed["Credentials"]["AccessKeyId"]] = context[POLICY]

    def begin(session: Session) -> None:
        events = session.get_component("event_emitter")
        events.register_first("before-call", note)
        events.register_first("after-call", issued)

    botocore.register_initializer(begin)
    return made


def strays(made: list[Made]) -> list[Made]:
    """Return the calls that are not on the allow-list, or whose ids differ from those in their session policy."""
    return [call for call in made if call.name not in LISTED or call.beyond]


def _ids(body: dict[str, str]) -> set[str]:
    return {value for name, value in body.items() if name.startswith(NAMED)}


def _named(policy: str) -> set[str]:
    """Return the ids that a session policy names. Resources that are not launched yet have none."""
    return {
        arn.rpartition("/")[2]
        for statement in json.loads(policy)["Statement"]
        for arn in statement["Resource"]
        if not arn.endswith("*")
    }


def _caller() -> tuple[str, str]:
    """Return the file and line of the innermost frame in Curfew, tests or demo. An empty file counts as Curfew's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith((PRODUCT, *OTHERS)):
            return file, f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "", "nowhere in this repository"
