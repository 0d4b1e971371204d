"""The handler responds as the OpenAPI document describes, to valid and to invalid requests.

Examples are the same in every run. Each has a new service with a fleet, a plan and some instances.
"""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.builders import an_instance
from tests.http import ADMINISTRATOR, AUTHORIZATION, Service, wsgi
from tests.template.reading import ROOT

EXAMPLES = 60
CONFIG = schemathesis.Config.from_dict(
    {
        "generation": {"deterministic": True, "max-examples": EXAMPLES},
        "checks": {
            # What fits the schema may still not fit the deployment: a template that there is not, a lease that is too
            # long, a name that is taken. But it can always be read, is never too large and always of the right type.
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "403", "404", "409", "422"],
            },
            "negative_data_rejection": {"expected-statuses": ["400", "404", "415", "422"]},
            "missing_required_header": {"expected-statuses": ["422"]},
        },
    }
)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
    checks.missing_required_header,
    checks.ignored_auth,
    # Not unsupported_method and allow_header_conformance: a method that a path does not have never reaches the
    # function, since API Gateway answers 404; and here it is 404 too, for there is no 405 behind an HTTP API.
    # Not use_after_free and ensure_resource_availability: they follow one case with another, and each has a service of
    # its own here; that a fleet stays to be seen after its end is meant.
]
CONFORMANCE = CHECKS[:5]


def seeded() -> tuple[Service, str]:
    """Return a service with a fleet, a plan and instances, and the id of the plan."""
    api = Service()
    api.add(*(an_instance(number) for number in range(3)))
    api.launch(name="mine", caller=ADMINISTRATOR)
    plan = api.ask("POST", "/sweeps", body={"policy": "nightly"}, caller=ADMINISTRATOR)
    return api, plan.json["id"]


current, plan_id = seeded()
schema = schemathesis.openapi.from_path(ROOT / "docs/openapi.json", config=CONFIG)
schema.app = wsgi(lambda: current, ADMINISTRATOR)
SIGNED = {"Authorization": AUTHORIZATION}


@schema.parametrize()
@settings(
    deadline=None,
    derandomize=True,
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
)
def test_every_response_matches_its_documentation(case: schemathesis.Case[Any]) -> None:
    global current, plan_id
    current, plan_id = seeded()
    case.call_and_validate(headers=SIGNED, checks=CHECKS)

    # Again, for a resource that exists.
    there = {"name": "mine", "id": plan_id}
    if case.path_parameters:
        current, plan_id = seeded()
        there["id"] = plan_id
        case.path_parameters = {name: there[name] for name in case.path_parameters}
        response = case.call(headers=SIGNED)
        case.validate_response(response, checks=CONFORMANCE)
