"""``GET /docs``: the description of the API, as an OpenAPI document or as a self-contained page."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import ApiGatewayResolver, Response
from aws_lambda_powertools.event_handler.openapi import swagger_ui
from aws_lambda_powertools.event_handler.openapi.models import Tag
from aws_lambda_powertools.event_handler.openapi.params import Query

from ...config.version import VERSION
from .problems import PROBLEM_JSON
from .router import MEANING, answers, routes

router = routes()
TITLE = "Curfew"
SUMMARY = (
    "Launch fleets that end by themselves, and see what a sweep would terminate before it does."
)
DESCRIPTION = """\
A fleet is launched from a template with a **lease**. The lease can be renewed; when it has expired, Curfew terminates \
the fleet. A plan lists what a sweep would terminate, with the reason for each instance. It can be read first, and is \
then applied as it is, or not at all.

**Callers** are authenticated by API Gateway, with the signature of an IAM principal or with a token. Every caller of \
the API may read, launch and plan. Only the owner of a fleet, the caller that launched it, or an administrator of the \
stack may change or terminate it; only an administrator may apply a plan or pause.

**Repeating a request** is safe: `POST /fleets` needs an `Idempotency-Key`, terminating a fleet that has ended does \
nothing, and a plan is applied once. A request that takes too long is accepted with 202 and continues in the \
background; ask again at `Location`.

**Problems** are answered as `application/problem+json` (RFC 9457). Unknown fields and parameters are problems too. \
A request that API Gateway itself refuses (403, 404, 429, 503) does not reach Curfew and has another body, \
`{"message": …}`. Instants are in UTC; durations are a whole number and a unit, as in `90m`, `8h`, `3d` or `2w`.
"""
TAGS = {
    "fleets": "Instances launched together, with one owner and one lease.",
    "instances": "All instances, launched by Curfew or not.",
    "sweeps": "Plans of the policies: make, read and apply them.",
    "pause": "The switch that is read before every batch.",
    "docs": "This description.",
}
SCHEMES = {
    "sigv4": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "Signature Version 4 of an IAM principal, for the service `execute-api`. The default.",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "jwt": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the stack's issuer for its audience, where the stack is deployed with them.",
    },
}
# Powertools documents its own responses to invalid requests; Curfew sends none of them.
FOREIGN = frozenset({"HTTPValidationError", "ValidationError", "ResponseValidationError"})
# The page loads nothing, and connects only to this API.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
METHODS = ("get", "post", "put", "patch", "delete")
ASSETS = Path(swagger_ui.__file__).parent
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<div id="page">This page needs JavaScript; <a href="?format=json">the JSON document</a> does not.</div>
<script>{script}</script>
<script>
SwaggerUIBundle({{
  dom_id: "#page",
  spec: {document},
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  validatorUrl: null
}});
</script>
</body>
</html>
"""


@router.get(
    "/docs",
    operation_id="showDocs",
    summary="Read this description",
    description="As a page to browse, or with `format=json` as an OpenAPI document.",
    tags=["docs"],
    compress=True,
    responses={
        200: {
            "description": "The description of this API.",
            "content": {
                "text/html": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "object"}},
            },
        },
        **answers({}),
    },
)
def show_docs(
    format: Annotated[  # noqa: A002  as the query has it
        Literal["html", "json"], Query(description="As a page, or as JSON.")
    ] = "html",
) -> Response[Any]:
    """Return the page or the document."""
    found = document(router.api_resolver)
    if format == "json":
        return Response(200, content_type="application/json", body=found)
    headers = {"Content-Security-Policy": POLICY}
    return Response(
        200, content_type="text/html; charset=utf-8", headers=headers, body=_page(found)
    )


@cache
def document(api: ApiGatewayResolver) -> str:
    """Return the OpenAPI document of the routes."""
    found = json.loads(
        api.get_openapi_json_schema(
            title=TITLE,
            version=VERSION,
            openapi_version="3.1.0",
            summary=SUMMARY,
            description=DESCRIPTION,
            tags=[Tag(name=name, description=words) for name, words in TAGS.items()],
        )
    )
    schemas = found["components"]["schemas"]
    for name in FOREIGN & set(schemas):
        del schemas[name]
    found["components"]["securitySchemes"] = SCHEMES
    found["security"] = [{name: []} for name in SCHEMES]
    for operation in _operations(found):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "header":
                parameter["name"] = parameter["name"].title()
        operation["responses"]["500"] = {
            "description": MEANING[500],
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        operation["responses"] = dict(sorted(operation["responses"].items()))
    found["paths"] = {
        path: {method: operations[method] for method in METHODS if method in operations}
        for path, operations in sorted(found["paths"].items())
    }
    return json.dumps(_plain(found) | {"info": found["info"]}, indent=2, ensure_ascii=False) + "\n"


def _page(found: str) -> str:
    """Return the page with the document inside.

    Powertools' own page requests the document separately, and a browser cannot sign that request.
    """
    return PAGE.format(
        title=f"{TITLE}: the API",
        style=(ASSETS / "swagger-ui.min.css").read_text("utf-8"),
        script=(ASSETS / "swagger-ui-bundle.min.js").read_text("utf-8"),
        document=found.replace("</", "<\\/"),
    )


def _plain(value: Any) -> Any:
    """Return the value without generated titles and empty defaults, and with whole numbers as integers."""
    match value:
        case dict():
            noise = {"title"} if isinstance(value.get("title"), str) else set()
            noise |= {"default"} if value.get("default") in ("", []) else set()
            return {key: _plain(one) for key, one in value.items() if key not in noise}
        case list():
            return [_plain(one) for one in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _operations(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in found["paths"].values():
        yield from path.values()
