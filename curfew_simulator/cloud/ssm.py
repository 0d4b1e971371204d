"""Systems Manager, as far as a launch reads it: the value of one parameter.

Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from .call import Asked
from .protocols import ApiError


def get_parameter(parameters: Mapping[str, str], asked: Asked) -> Mapping[str, Any]:
    """One parameter. A name with a version or a label is a key of its own. Raises ApiError."""
    name = asked.arguments.get("Name", "")
    arn = f"arn:aws:ssm:*:{asked.principal.account}:parameter/{name.lstrip('/')}"
    asked.principal.demand("ssm:GetParameter", arn, code="AccessDeniedException", status=400)
    if name not in parameters:
        raise ApiError("ParameterNotFound", "")
    value = {"Name": name, "Type": "String", "Value": parameters[name], "DataType": "text"}
    return {"Parameter": value}


OPERATIONS: Mapping[str, Callable[[Mapping[str, str], Asked], Mapping[str, Any]]] = {
    "GetParameter": get_parameter,
}
