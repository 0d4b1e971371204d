"""The HTTP API: which routes there are, who may call them, and how often."""

import json
import re
from typing import Any

import pytest

from tests.template.reading import ROOT, Template

TEMPLATE = Template.read(ROOT / "template.yaml")
ROUTES = {
    route["RouteKey"]: route for route in TEMPLATE.of_type("AWS::ApiGatewayV2::Route").values()
}
STAGE = TEMPLATE.of_type("AWS::ApiGatewayV2::Stage")["FleetsStage"]
EXPECTED = {
    "GET /instances",
    "POST /fleets",
    "GET /fleets",
    "GET /fleets/{name}",
    "PATCH /fleets/{name}",
    "DELETE /fleets/{name}",
    "POST /sweeps",
    "GET /sweeps/{id}",
    "POST /sweeps/{id}/apply",
    "GET /pause",
    "PUT /pause",
    "DELETE /pause",
    "GET /docs",
}
THE_API = {"Ref": "FleetsApi"}


def is_set(parameter: str) -> dict[str, Any]:
    return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}


def test_routes_are_the_known_ones() -> None:
    assert set(ROUTES) == EXPECTED
    assert len(TEMPLATE.of_type("AWS::ApiGatewayV2::Route")) == len(EXPECTED)


@pytest.mark.parametrize("key", sorted(ROUTES))
def test_a_route_is_signed_with_iam_or_has_a_token(key: str) -> None:
    route = ROUTES[key]

    assert route["AuthorizationType"] == {"Fn::If": ["UsesJwt", "JWT", "AWS_IAM"]}
    assert route["AuthorizerId"] == {
        "Fn::If": ["UsesJwt", {"Ref": "JwtAuthorizer"}, {"Ref": "AWS::NoValue"}]
    }


@pytest.mark.parametrize("key", sorted(ROUTES))
def test_a_route_leads_to_the_one_function(key: str) -> None:
    (integration,) = TEMPLATE.of_type("AWS::ApiGatewayV2::Integration").values()

    assert ROUTES[key]["ApiId"] == THE_API
    assert ROUTES[key]["Target"] == {"Fn::Sub": "integrations/${FleetsIntegration}"}
    assert integration["ApiId"] == THE_API
    assert integration["IntegrationUri"] == {"Fn::GetAtt": "FleetsFunction.Arn"}
    assert integration["PayloadFormatVersion"] == "2.0"


def test_no_function_is_reached_over_http_in_another_way() -> None:
    (api,) = TEMPLATE.of_type("AWS::ApiGatewayV2::Api").values()

    # With a target or a body, an API has routes that no resource shows; a cross-origin rule answers without asking who.
    assert not {"Body", "BodyS3Location", "CorsConfiguration", "RouteKey", "Target"} & set(api)
    for kind in ("Api", "HttpApi"):
        assert TEMPLATE.of_type(f"AWS::Serverless::{kind}") == {}
    for function in TEMPLATE.functions.values():
        assert "FunctionUrlConfig" not in function
        events = {event["Type"] for event in function.get("Events", {}).values()}
        assert events <= {"ScheduleV2", "SQS"}
    assert TEMPLATE.of_type("AWS::Lambda::Url") == {}


def test_only_this_api_may_invoke_the_function() -> None:
    (permission,) = TEMPLATE.of_type("AWS::Lambda::Permission").values()

    assert permission == {
        "FunctionName": {"Ref": "FleetsFunction"},
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": {
            "Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${FleetsApi}/*/*"
        },
    }


def test_tokens_need_an_issuer_and_an_audience() -> None:
    conditions, rules = TEMPLATE.body["Conditions"], TEMPLATE.body["Rules"]

    assert conditions["UsesJwt"] == {"Fn::And": [is_set("JwtIssuer"), is_set("JwtAudience")]}
    assert {
        (str(rule["RuleCondition"]), str(assertion["Assert"]))
        for rule in rules.values()
        for assertion in rule["Assertions"]
    } == {
        (str(is_set("JwtIssuer")), str(is_set("JwtAudience"))),
        (str(is_set("JwtAudience")), str(is_set("JwtIssuer"))),
    }
    for parameter in ("JwtIssuer", "JwtAudience"):
        assert TEMPLATE.body["Parameters"][parameter]["Default"] == ""


def test_a_token_is_checked_for_its_issuer_and_its_audience() -> None:
    authorizer = TEMPLATE.body["Resources"]["JwtAuthorizer"]

    assert authorizer["Condition"] == "UsesJwt"
    assert authorizer["Properties"]["ApiId"] == THE_API
    assert authorizer["Properties"]["AuthorizerType"] == "JWT"
    assert authorizer["Properties"]["IdentitySource"] == ["$request.header.Authorization"]
    assert authorizer["Properties"]["JwtConfiguration"] == {
        "Issuer": {"Ref": "JwtIssuer"},
        "Audience": [{"Ref": "JwtAudience"}],
    }


@pytest.mark.parametrize(
    ("issuer", "fits"),
    [("", True), ("https://id.example.com/", True), ("http://id.example.com/", False)],
)
def test_an_issuer_is_reached_over_tls(issuer: str, fits: bool) -> None:
    pattern = TEMPLATE.body["Parameters"]["JwtIssuer"]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, issuer)) is fits


def test_every_route_is_throttled_and_what_changes_something_more_so() -> None:
    limits = STAGE["RouteSettings"]
    assert set(limits) == EXPECTED
    reading = [limit for key, limit in limits.items() if key.startswith("GET ")]
    changing = [limit for key, limit in limits.items() if not key.startswith("GET ")]

    for measure in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
        slowest_read = min(limit[measure] for limit in reading)
        assert 0 < max(limit[measure] for limit in changing) < slowest_read
        assert 0 < STAGE["DefaultRouteSettings"][measure] < slowest_read


def test_a_limit_waits_for_its_route() -> None:
    stage = TEMPLATE.body["Resources"]["FleetsStage"]

    assert set(stage["DependsOn"]) == set(TEMPLATE.of_type("AWS::ApiGatewayV2::Route"))


def test_every_request_is_logged_without_what_it_asked_for() -> None:
    group = STAGE["AccessLogSettings"]["DestinationArn"]["Fn::GetAtt"].removesuffix(".Arn")
    line = json.loads(STAGE["AccessLogSettings"]["Format"])

    assert TEMPLATE.of_type("AWS::Logs::LogGroup")[group]["RetentionInDays"] == {
        "Ref": "LogRetentionDays"
    }
    assert line == {
        "requestId": "$context.requestId",
        "routeKey": "$context.routeKey",
        "status": "$context.status",
        "caller": "$context.identity.userArn",
        "subject": "$context.authorizer.claims.sub",
        "latency": "$context.responseLatency",
        "error": "$context.error.message",
    }


def test_started_request_may_run_longer_than_the_api_waits() -> None:
    (integration,) = TEMPLATE.of_type("AWS::ApiGatewayV2::Integration").values()
    waits = integration["TimeoutInMillis"] / 1000

    assert TEMPLATE.functions["FleetsFunction"]["Timeout"] >= 3 * waits


def test_functions_get_the_administrators_and_there_are_none_by_default() -> None:
    variables = TEMPLATE.shared["Environment"]["Variables"]

    assert variables["CURFEW_ADMINISTRATORS"] == {"Fn::Join": [",", {"Ref": "Administrators"}]}
    assert TEMPLATE.body["Parameters"]["Administrators"]["Default"] == ""


def test_a_local_api_finds_the_routes_because_they_come_first() -> None:
    kinds = [resource["Type"] for resource in TEMPLATE.body["Resources"].values()]
    first = {
        kind: kinds.index(kind) for kind in ("AWS::ApiGatewayV2::Api", "AWS::Serverless::Function")
    }

    assert first["AWS::ApiGatewayV2::Api"] < first["AWS::Serverless::Function"]
