"""The API's description of itself: the page, the document, and the committed document."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from curfew.handlers.http.openapi import document
from curfew.handlers.http.responses import Problem
from curfew.handlers.http_api import api as resolver
from tests.http import STRANGER, Service
from tests.template.reading import ROOT
from tools import openapi

COMMITTED = ROOT / "docs/openapi.json"
PROBLEM = {"$ref": "#/components/schemas/Problem"}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document(resolver))
    return found


def operations(described: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in described["paths"].values() for operation in path.values()]


def test_docs_page_loads_nothing_from_other_origins() -> None:
    page = Service().ask("GET", "/docs", caller=STRANGER)

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<title>Curfew: the API</title>" in page.text
    # What is loaded by itself: there is nothing. The policy holds even if a new version of the page had something.
    head = page.text.split("<style>")[0]
    assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", head) == []
    assert re.findall(r"<script[^>]+src=|<link|<iframe", page.text.split("</script>")[-2]) == []
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert "connect-src 'self'" in policy
    assert all("http" not in part and "*" not in part for part in policy)
    assert "validatorUrl: null" in page.text


def test_docs_page_is_compressed_for_clients_that_accept_gzip() -> None:
    packed = Service().ask("GET", "/docs", headers={"Accept-Encoding": "gzip"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "<title>Curfew: the API</title>" in packed.text


def test_openapi_document_cannot_close_its_script_element() -> None:
    page = Service().ask("GET", "/docs").text
    spec = page.split("spec: ")[1].split("deepLinking")[0]

    assert "</" not in spec


def test_openapi_document_matches_the_committed_one() -> None:
    answered = Service().ask("GET", "/docs", query="format=json")

    assert answered.headers["Content-Type"] == "application/json"
    assert answered.text == COMMITTED.read_text("utf-8")


def test_stale_openapi_document_is_detected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "openapi.json"

    assert openapi.main(["--check", str(place)]) == 1
    assert openapi.main([str(place)]) == 0
    assert openapi.main(["--check", str(place)]) == 0
    place.write_text(place.read_text("utf-8") + " ", "utf-8")
    assert openapi.main(["--check", str(place)]) == 1
    assert f"python -m tools.openapi {place}" in capsys.readouterr().err


def test_every_operation_documents_its_purpose_and_responses(
    described: dict[str, Any],
) -> None:
    named = {tag["name"] for tag in described["tags"]}
    for operation in operations(described):
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= named
        assert all(parameter["description"] for parameter in operation.get("parameters", ()))
        answers = operation["responses"]
        assert {"401", "422", "500", "503"} <= set(answers)
        assert {"400", "413", "415"} <= set(answers) or "requestBody" not in operation
        for status, answer in answers.items():
            kinds = set(answer["content"])
            assert (kinds == {"application/problem+json"}) is (status >= "400")
            if status >= "400":
                assert answer["content"]["application/problem+json"]["schema"] == PROBLEM
    ids = [operation["operationId"] for operation in operations(described)]
    assert len(ids) == len(set(ids)) == 13


def test_every_operation_requires_a_signature_or_a_token(described: dict[str, Any]) -> None:
    assert described["security"] == [{"sigv4": []}, {"jwt": []}]
    assert not any("security" in operation for operation in operations(described))
    sigv4 = described["components"]["securitySchemes"]["sigv4"]
    assert sigv4["x-amazon-apigateway-authtype"] == "awsSigv4"


def test_openapi_document_has_no_framework_schemas(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    assert not {name for name in described["components"]["schemas"] if "Validation" in name}
    refs = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)))
    assert refs == set(described["components"]["schemas"])


def test_openapi_examples_match_their_schemas(described: dict[str, Any]) -> None:
    found = 0
    for operation in operations(described):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = {**content["schema"], "components": described["components"]}
            for example in content["examples"].values():
                jsonschema.validate(example["value"], schema)
                found += 1
    assert found >= 5


def test_problem_responses_follow_rfc_9457() -> None:
    assert {"type", "title", "status", "detail"} < set(Problem.model_fields)
