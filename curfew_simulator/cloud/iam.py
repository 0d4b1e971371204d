"""IAM: principals, policies, and the evaluation of one action on one resource.

A policy with an operator or element that this module does not model is an error when the policy is read, so that it
never silently allows or denies.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from .protocols import ApiError

type Context = Mapping[str, str | tuple[str, ...]]

_ELEMENTS = frozenset({"Sid", "Effect", "Action", "Resource", "Condition"})


@cache
def pattern(text: str) -> re.Pattern[str]:
    """Compile a text with IAM's wildcards ``*`` and ``?``. IAM has no escape for them."""
    special = {"*": ".*", "?": "."}
    return re.compile("".join(special.get(c) or re.escape(c) for c in text), re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a policy."""

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def concerns(self, action: str, resource: str, context: Context) -> bool:
        """Return whether this statement applies to the action on the resource in this context."""
        return (
            any(pattern(a.lower()).fullmatch(action.lower()) for a in self.actions)
            and any(pattern(r).fullmatch(resource) for r in self.resources)
            and all(holds(*condition, context) for condition in self.conditions)
        )


type Policy = tuple[Statement, ...]


def policy(document: str | Mapping[str, Any]) -> Policy:
    """Return a policy from its JSON. Raise ValueError for a malformed document or one with unmodelled parts."""
    read = json.loads(document) if isinstance(document, str) else document
    return tuple(map(_statement, _many(read["Statement"])))


def _statement(raw: Mapping[str, Any]) -> Statement:
    if unknown := set(raw) - _ELEMENTS:
        raise ValueError(f"not modelled in a statement: {', '.join(sorted(unknown))}")
    conditions = tuple(
        (operator, key.lower(), tuple(map(_text, _many(values))))
        for operator, pairs in raw.get("Condition", {}).items()
        for key, values in pairs.items()
    )
    for operator, _, _ in conditions:
        _operator(operator)
    return Statement(
        allows={"Allow": True, "Deny": False}[raw["Effect"]],
        actions=tuple(_many(raw["Action"])),
        resources=tuple(_many(raw["Resource"])),
        conditions=conditions,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The principal that signed a call. One whose ``policies`` are None is the account's administrator."""

    account: str
    arn: str
    access_key: str
    user_id: str = ""
    token: str = ""
    role: str = ""
    policies: tuple[Policy, ...] | None = None
    session_policy: Policy | None = None
    source_identity: str = ""
    expires_at: datetime | None = None

    @property
    def limited(self) -> bool:
        """Return whether any policy restricts this principal."""
        return self.policies is not None or self.session_policy is not None

    def demand(
        self,
        action: str,
        resource: str,
        context: Callable[[], Context] = dict,
        *,
        code: str = "UnauthorizedOperation",
        status: int = 403,
    ) -> None:
        """Raise ApiError unless the action is allowed. Call ``context`` only if a policy has to be evaluated."""
        if not self.limited:
            return
        why = self._objection(action, resource, context())
        if why:
            said = f"User: {self.arn} is not authorized to perform: {action} on resource: {resource} {why}"
            if code == "UnauthorizedOperation":
                said = (
                    f"You are not authorized to perform this operation. {said}. "
                    "Encoded authorization failure message: hostile0cloud0keeps0its0secrets"
                )
            raise ApiError(code, said, status)

    def _objection(self, action: str, resource: str, context: Context) -> str:
        own = None if self.policies is None else [s for p in self.policies for s in p]
        for kind, statements in (("identity-based", own), ("session", self.session_policy)):
            if statements is None:
                continue
            said = {s.allows for s in statements if s.concerns(action, resource, context)}
            if False in said:
                article = "an" if kind == "identity-based" else "a"
                return f"with an explicit deny in {article} {kind} policy"
            if not said:
                return f"because no {kind} policy allows the {action} action"
        return ""


def holds(operator: str, key: str, values: tuple[str, ...], context: Context) -> bool:
    """Return whether one condition holds. Keys are in lower case, since IAM ignores their case."""
    found = context.get(key)
    quantifier, name, if_exists = _operator(operator)
    if name == "Null":
        return (found is None) == (values[0] == "true")
    negated = "Not" in name
    if found is None:
        # "ForAllValues returns true if there are no keys in the request"; a negated operator holds as well.
        return if_exists or negated or quantifier == "ForAllValues"
    one = _TESTS[name.replace("Not", "")]
    every = found if isinstance(found, tuple) else (found,)
    results = [any(one(value, wanted) for wanted in values) is not negated for value in every]
    return all(results) if quantifier == "ForAllValues" else any(results)


@cache
def _operator(operator: str) -> tuple[str, str, bool]:
    quantifier, _, name = operator.rpartition(":")
    bare = name.removesuffix("IfExists")
    known = {"Null", *_TESTS, *(f"{n[:6]}Not{n[6:]}" for n in _TESTS if n.startswith("String"))}
    if bare not in known or quantifier not in {"", "ForAllValues", "ForAnyValue"}:
        raise ValueError(f"not modelled as a condition operator: {operator}")
    return quantifier, bare, bare != name


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": lambda value, wanted: bool(pattern(wanted).fullmatch(value)),
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "ArnEquals": lambda value, wanted: bool(pattern(wanted).fullmatch(value)),
    "ArnLike": lambda value, wanted: bool(pattern(wanted).fullmatch(value)),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "NumericLessThanEquals": lambda value, wanted: float(value) <= float(wanted),
    "NumericEquals": lambda value, wanted: float(value) == float(wanted),
}


def tagged(prefix: str, tags: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return tags as condition keys. Of two keys that differ only in case, IAM sees one: here the first.

    AWS does not document which one.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    keys: dict[str, str] = {}
    for key, value in tags:
        keys.setdefault(f"{prefix}/{key}".lower(), value)
    return keys


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
