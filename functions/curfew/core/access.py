"""Who may: an owner is whoever launched, and an administrator may what every owner may.

A caller is known by what API Gateway has checked, never by what the request says of itself.
"""

import re
from dataclasses import dataclass

from .errors import ForbiddenError
from .lease import Fleet

# An assumed role is known by its role and its session; the role's path is not part of it.
# Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
ASSUMED_ROLE = re.compile(
    r"arn:([a-z-]+):sts::([0-9]{12}):assumed-role/([\w+=,.@-]+)/[\w+=,.@-]+", re.ASCII
)
ROLE = re.compile(r"arn:([a-z-]+):iam::([0-9]{12}):role/(?:[\x21-\x7e]*/)?([\w+=,.@-]+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody whom API Gateway let in: an ARN of IAM, or the subject of a token."""

    id: str
    administrator: bool = False

    def __str__(self) -> str:
        return self.id


def is_administrator(caller: str, administrators: frozenset[str]) -> bool:
    """Whether the caller is named: as itself, or by the role that it has assumed."""
    assumed = _role(ASSUMED_ROLE, caller)
    return caller in administrators or bool(
        assumed and assumed in {_role(ROLE, named) for named in administrators}
    )


def only_owner(caller: Caller, fleet: Fleet) -> None:
    """Raise ForbiddenError for whoever neither owns the fleet nor is an administrator."""
    if caller.id != fleet.owner and not caller.administrator:
        raise ForbiddenError(
            f'the fleet "{fleet.name}" is not yours: only its owner or an administrator may change it'
        )


def only_administrator(caller: Caller) -> None:
    """Raise ForbiddenError for whoever is no administrator."""
    if not caller.administrator:
        raise ForbiddenError("only an administrator of this stack may do this")


def _role(form: re.Pattern[str], arn: str) -> str:
    """A role, without its path and whoever has assumed it; empty for what is no role."""
    found = form.fullmatch(arn)
    return f"{found[1]}:{found[2]}:{found[3]}" if found else ""
