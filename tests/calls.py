"""Compare each call that Curfew makes in a test with the allow-list and the call's session policy.

A call is Curfew's if its code made it, through whatever client, or if the client is one of its own. What tests and the
demo call for themselves, to set up a cloud and to look at it, is not. A call that changes something with
scoped credentials has to name what their session policy names, no more and no less.
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
PRODUCT = str(Path(curfew.__file__).parent)  # which the mutants have in another place
OTHERS = (str(ROOT / "tests"), str(ROOT / "demo"))
ACTING = {call.operation for call in ACT.changes}
# What a call names, and what it is about that no session policy has to name.
NAMED = (
    "InstanceId.", "ResourceId.", "SpotInstanceRequestId.", "SecurityGroupId.", "ImageId", "SubnetId", "KeyName",
)  # fmt: skip
POLICY = "the policy that was asked for"
LISTED = {str(call) for scope in CLIENT_SCOPES for call in (*scope.reads, *scope.changes)}


@dataclass(frozen=True, slots=True)
class Made:
    """A call that went through the guard, just before it was signed; and where in the code it was made."""

    name: str
    where: str
    beyond: tuple[
        str, ...
    ] = ()  # what either the call or its session policy names, and not the other


def watch() -> list[Made]:
    """Write down Curfew's calls from now on, of every session that is made."""
    made: list[Made] = []
    # By thread and access key: in the middle of a call, another whole invocation may get its own credentials.
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
    """Return the calls that are not on the list, or beyond what their session policy names."""
    return [call for call in made if call.name not in LISTED or call.beyond]


def _ids(body: dict[str, str]) -> set[str]:
    return {value for name, value in body.items() if name.startswith(NAMED)}


def _named(policy: str) -> set[str]:
    """Return the ids that a session policy names; what is yet to be launched has none."""
    return {
        arn.rpartition("/")[2]
        for statement in json.loads(policy)["Statement"]
        for arn in statement["Resource"]
        if not arn.endswith("*")
    }


def _caller() -> tuple[str, str]:
    """The innermost frame that is neither the SDK's nor this module's. Where there is none, it counts as Curfew's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith((PRODUCT, *OTHERS)):
            return file, f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "", "nowhere in this repository"
