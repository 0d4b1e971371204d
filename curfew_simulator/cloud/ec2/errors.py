"""EC2's errors, with EC2's codes and messages.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html; the messages are
copied from responses that users published.
"""

import re
from collections.abc import Mapping, Sequence

from ..protocols import ApiError

INSTANCE = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")
SPOT_REQUEST = re.compile(r"sir-[0-9a-z]{8}")


def invalid(message: str) -> ApiError:
    """Return the error for a parameter with an invalid value."""
    return ApiError("InvalidParameterValue", message)


def dry_run(arguments: Mapping[str, str]) -> None:
    """Raise ApiError if the call is a dry run, which only asks whether the call is allowed.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
    """
    if arguments.get("DryRun") == "true":
        said = "Request would have succeeded, but DryRun flag is set."
        raise ApiError("DryRunOperation", said, 412)


def known[T](ids: Sequence[str], things: Mapping[str, T]) -> list[T]:
    """Return the things with these ids, without duplicates. Raise ApiError for no id, a malformed or an unknown one."""
    if not ids:
        raise ApiError("MissingParameter", "The request must contain the parameter InstanceId")
    for id_ in ids:
        if not INSTANCE.fullmatch(id_):
            hint = "" if id_.startswith("i-") else ' (expecting "i-...")'
            raise ApiError("InvalidInstanceID.Malformed", f'Invalid id: "{id_}"{hint}')
    missing = [id_ for id_ in ids if id_ not in things]
    if len(missing) == 1:
        said = f"The instance ID '{missing[0]}' does not exist"
    else:
        said = f"The instance IDs '{', '.join(missing)}' do not exist"
    if missing:
        raise ApiError("InvalidInstanceID.NotFound", said)
    return [things[id_] for id_ in dict.fromkeys(ids)]
