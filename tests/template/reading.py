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
    """One statement of a role, and the stack's condition under which it is there."""

    effect: str
    actions: frozenset[str]
    resource: Any
    condition: dict[str, Any]
    only_if: str | None


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
        """All that a role is allowed and denied, under any condition of the stack."""
        for policy in self.of_type("AWS::IAM::Role")[role]["Policies"]:
            only_if = None
            if "Fn::If" in policy:
                only_if, policy, otherwise = policy["Fn::If"]  # noqa: PLW2901
                assert otherwise == {"Ref": "AWS::NoValue"}
            document = policy["PolicyDocument"]
            if "Fn::Sub" in document:
                document = json.loads(document["Fn::Sub"])
            for statement in document["Statement"]:
                actions = statement["Action"]
                yield Statement(
                    effect=statement["Effect"],
                    actions=frozenset([actions] if isinstance(actions, str) else actions),
                    resource=statement["Resource"],
                    condition=statement.get("Condition", {}),
                    only_if=only_if,
                )
