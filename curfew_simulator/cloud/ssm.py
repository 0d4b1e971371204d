"""The part of Systems Manager that a launch uses: read the value of one parameter.

Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from .call import ApiCall
from .protocols import ApiError


def get_parameter(parameters: Mapping[str, str], call: ApiCall) -> Mapping[str, Any]:
    """Return one parameter. A name with a version or a label is a separate key. Raise ApiError if there is none."""
    name = call.arguments.get("Name", "")
    arn = f"arn:aws:ssm:*:{call.principal.account}:parameter/{name.lstrip('/')}"
    call.principal.demand("ssm:GetParameter", arn, code="AccessDeniedException", status=400)
    if name not in parameters:
        raise ApiError("ParameterNotFound", "")
    value = {"Name": name, "Type": "String", "Value": parameters[name], "DataType": "text"}
    return {"Parameter": value}


OPERATIONS: Mapping[str, Callable[[Mapping[str, str], ApiCall], Mapping[str, Any]]] = {
    "GetParameter": get_parameter,
}
