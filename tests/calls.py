"""Every call that Curfew makes in a test, seen at its client, to be held against the frozen list.

A call is Curfew's if its code made it, through whatever client, or if the client is one of its own. What tests and the
demo call for themselves, to set up a cloud and to look at it, is not.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import botocore
from botocore.session import Session

from curfew.calls import PURPOSES

ROOT = Path(__file__).parent.parent
PRODUCT = str(ROOT / "functions" / "curfew")
OTHERS = (str(ROOT / "tests"), str(ROOT / "demo"))
LISTED = {str(call) for purpose in PURPOSES for call in (*purpose.reads, *purpose.changes)}


@dataclass(frozen=True, slots=True)
class Made:
    """A call that went through the guard, just before it was signed; and where in the code it was made."""

    name: str
    where: str


def watch() -> list[Made]:
    """Write down Curfew's calls from now on, of every session that is made."""
    made: list[Made] = []

    def note(*, model: Any, context: Any, **_: Any) -> None:
        own = "curfew/" in (context["client_config"].user_agent_extra or "")
        file, place = _caller()
        if own or not file.startswith(OTHERS):
            made.append(Made(f"{model.service_model.service_name}:{model.name}", place))

    def begin(session: Session) -> None:
        session.get_component("event_emitter").register_first("before-call", note)

    botocore.register_initializer(begin)
    return made


def strays(made: list[Made]) -> list[Made]:
    """The calls that are not on the list."""
    return [call for call in made if call.name not in LISTED]


def _caller() -> tuple[str, str]:
    """The innermost frame that is neither the SDK's nor this module's. Where there is none, it counts as Curfew's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith((PRODUCT, *OTHERS)):
            return file, f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "", "nowhere in this repository"
