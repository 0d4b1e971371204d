"""Who may do what: the owner of a fleet is the principal that launched it; an administrator may do what any owner may.

API Gateway authenticates the caller. What a request says about its own caller is never used.
"""

import re
from dataclasses import dataclass

from .errors import ForbiddenError
from .lease import Fleet

# The ARN of an assumed role has the role's name and the session's, without the role's path.
# Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
ASSUMED_ROLE = re.compile(
    r"arn:([a-z-]+):sts::([0-9]{12}):assumed-role/([\w+=,.@-]+)/[\w+=,.@-]+", re.ASCII
)
ROLE = re.compile(r"arn:([a-z-]+):iam::([0-9]{12}):role/(?:[\x21-\x7e]*/)?([\w+=,.@-]+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A caller that API Gateway has authenticated: an IAM ARN, or the subject of a token."""

    id: str
    administrator: bool = False

    def __str__(self) -> str:
        return self.id


def is_administrator(caller: str, administrators: frozenset[str]) -> bool:
    """Return whether the list has the caller's own ARN, or the role that the caller has assumed."""
    assumed = _role(ASSUMED_ROLE, caller)
    return caller in administrators or bool(
        assumed and assumed in {_role(ROLE, named) for named in administrators}
    )


def only_owner(caller: Caller, fleet: Fleet) -> None:
    """Raise ForbiddenError if the caller neither owns the fleet nor is an administrator."""
    if caller.id != fleet.owner and not caller.administrator:
        raise ForbiddenError(
            f'the fleet "{fleet.name}" is not yours: only its owner or an administrator may change it'
        )


def only_administrator(caller: Caller) -> None:
    """Raise ForbiddenError if the caller is not an administrator."""
    if not caller.administrator:
        raise ForbiddenError("only an administrator of this stack may do this")


def _role(form: re.Pattern[str], arn: str) -> str:
    """Return the role of an ARN, without path and session, as ``partition:account:name``; empty if it has none."""
    match = form.fullmatch(arn)
    return f"{match[1]}:{match[2]}:{match[3]}" if match else ""
