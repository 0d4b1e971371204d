"""Reads a SAM template with the short forms of its functions spelt out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[2]


class _Loader(yaml.SafeLoader):
    """Turns `!Ref x` into {"Ref": "x"} and `!Sub x` into {"Fn::Sub": "x"}."""


def _spell_out(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            assert isinstance(node, yaml.MappingNode)
            value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _spell_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a role, and the stack's conditions under which it is there."""

    effect: str
    actions: frozenset[str]
    resources: tuple[Any, ...]
    condition: dict[str, Any]
    only_if: frozenset[str]


@dataclass(frozen=True, slots=True)
class Template:
    """What a template declares."""

    body: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader))  # noqa: S506

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of each resource of a kind, by name."""
        return {
            name: resource["Properties"]
            for name, resource in self.body["Resources"].items()
            if resource["Type"] == kind
        }

    @property
    def functions(self) -> dict[str, dict[str, Any]]:
        return self.of_type("AWS::Serverless::Function")

    @property
    def shared(self) -> dict[str, Any]:
        """What every function has by Globals."""
        shared: dict[str, Any] = self.body["Globals"]["Function"]
        return shared

    def role_of(self, function: str) -> str:
        """The name of the role that a function runs as."""
        name, attribute = self.functions[function]["Role"]["Fn::GetAtt"].split(".")
        assert attribute == "Arn"
        return str(name)

    def statements(self, role: str) -> Iterator[Statement]:
        """All that a role is allowed and denied, by itself and by what is attached to it."""
        properties = self.of_type("AWS::IAM::Role")[role]
        for policy, conditions in _each_with_conditions(properties.get("Policies", [])):
            yield from _statements(policy["PolicyDocument"], conditions)
        for reference, conditions in _each_with_conditions(properties.get("ManagedPolicyArns", [])):
            assert isinstance(reference, dict), f"{role} has a policy from elsewhere: {reference}"
            attached = self.body["Resources"][reference["Ref"]]
            assert attached["Type"] == "AWS::IAM::ManagedPolicy"
            needed = {attached["Condition"]} if "Condition" in attached else set()
            assert needed <= conditions, f"{role} refers to {reference['Ref']} where there is none"
            yield from _statements(attached["Properties"]["PolicyDocument"], conditions)

    def allowing(self, action: str) -> list[tuple[str, Statement]]:
        """Every statement that allows an action, with its role: at least one, or a promise would be empty."""
        found = [
            (role, one)
            for role in self.of_type("AWS::IAM::Role")
            for one in self.statements(role)
            if one.effect == "Allow" and action in one.actions
        ]
        assert found, f"nobody may {action}"
        return found


def _each_with_conditions(
    items: list[Any], outer: frozenset[str] = frozenset()
) -> Iterator[tuple[Any, frozenset[str]]]:
    """Each item of a list of which some are there under a condition only."""
    for item in items:
        if isinstance(item, dict) and "Fn::If" in item:
            condition, value, otherwise = item["Fn::If"]
            assert otherwise == {"Ref": "AWS::NoValue"}
            yield value, outer | {condition}
        else:
            yield item, outer


def _statements(document: dict[str, Any], outer: frozenset[str]) -> Iterator[Statement]:
    if "Fn::Sub" in document:
        document = json.loads(document["Fn::Sub"])
    for statement, conditions in _each_with_conditions(document["Statement"], outer):
        actions, resources = statement["Action"], statement["Resource"]
        yield Statement(
            effect=statement["Effect"],
            actions=frozenset([actions] if isinstance(actions, str) else actions),
            resources=tuple(resources if isinstance(resources, list) else [resources]),
            condition=statement.get("Condition", {}),
            only_if=conditions,
        )
