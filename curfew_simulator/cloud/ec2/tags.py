"""The rules for tags, and the two operations that change tags.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import iam
from ..call import ApiCall
from ..history import Change
from ..protocols import ApiError
from . import errors
from .region import Region

MOST, LONGEST_KEY, LONGEST_VALUE = 50, 128, 256


def create_tags(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Add tags to resources or overwrite them: on all resources of the call, or on none.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html
    """
    new = checked(call.arguments.get("Tag", []))
    resources = _resources(region, call, "ec2:CreateTags", new)
    merged = {id_: {**tags, **new} for id_, tags in resources.items()}
    for tags in merged.values():
        _few(tags)
    for id_, tags in merged.items():
        _write(region, id_, tags, Change.TAGGED)
    return {"return": True}


def delete_tags(region: Region, call: ApiCall) -> Mapping[str, Any]:
    """Remove tags by key, or by key and value. A call without keys removes all tags except AWS's own.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
    """
    asked_for = {tag["Key"]: tag.get("Value") for tag in call.arguments.get("Tag", [])}
    _not_reserved(asked_for)
    resources = _resources(region, call, "ec2:DeleteTags", dict.fromkeys(asked_for, ""))
    for id_, tags in resources.items():
        left = {
            key: value
            for key, value in tags.items()
            if key.startswith("aws:")
            or (asked_for and (key not in asked_for or asked_for[key] not in {None, value}))
        }
        _write(region, id_, left, Change.UNTAGGED)
    return {"return": True}


def specified(
    specifications: Sequence[Mapping[str, Any]], kinds: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Return the tags for each kind of resource that a launch creates. Raise ApiError if they are invalid."""
    wanted: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    for one in specifications:
        kind = one.get("ResourceType", "")
        if kind not in wanted:
            raise errors.invalid(
                f"'{kind}' is not a valid taggable resource type for this operation."
            )
        wanted[kind] = checked(one.get("Tag", []))
        _few(wanted[kind])
    return wanted


def checked(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the tags as a dictionary. Raise ApiError for tags that a user may not write."""
    tags = {tag.get("Key", ""): tag.get("Value", "") for tag in given}
    _not_reserved(tags)
    for key, value in tags.items():
        if not 1 <= len(key) <= LONGEST_KEY:
            raise errors.invalid(f"Tag key exceeds the maximum length of {LONGEST_KEY} characters")
        if len(value) > LONGEST_VALUE:
            raise errors.invalid(
                f"Tag value exceeds the maximum length of {LONGEST_VALUE} characters"
            )
    return tags


def _not_reserved(tags: Mapping[str, Any]) -> None:
    if any(key.lower().startswith("aws:") for key in tags):
        raise errors.invalid("Tag keys starting with 'aws:' are reserved for internal use")


def _few(tags: Mapping[str, str]) -> None:
    """Raise ApiError for more tags than a resource may have. AWS's own tags do not count."""
    if sum(not key.startswith("aws:") for key in tags) > MOST:
        said = "The maximum number of Tags for a resource has been reached."
        raise ApiError("TagLimitExceeded", said)


def _resources(
    region: Region, call: ApiCall, action: str, tags: Mapping[str, str]
) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for id_ in call.arguments.get("ResourceId", []):
        if id_.startswith("i-"):
            (machine,) = errors.known([id_], region.machines)
            found[id_] = machine.tags
        elif id_ in region.spot_requests:
            found[id_] = region.spot_requests[id_].tags
        elif id_ in region.side_tags:
            found[id_] = region.side_tags[id_]
        else:
            raise ApiError("InvalidID", f"The ID '{id_}' is not valid")
    if call.principal.limited:
        for id_, there in found.items():
            arn, context = region.arn(_kind(id_), id_), _context(region, tags, there)
            call.principal.demand(action, arn, lambda context=context: context)  # type: ignore[misc]
    errors.dry_run(call.arguments)
    return found


def _kind(id_: str) -> str:
    kinds = {"i": "instance", "vol": "volume", "eni": "network-interface"}
    return kinds.get(id_.partition("-")[0], "spot-instances-request")


def _context(region: Region, new: Mapping[str, str], there: Mapping[str, str]) -> iam.Context:
    return {
        "aws:requestedregion": region.name,
        **iam.tagged("aws:ResourceTag", there.items()),
        **iam.tagged("aws:RequestTag", new.items()),
        **({"aws:tagkeys": tuple(new)} if new else {}),
    }


def _write(region: Region, id_: str, tags: dict[str, str], change: Change) -> None:
    if id_ in region.machines:
        region.record(change, id_, region.machines[id_])
        region.put(replace(region.machines[id_], tags=tags))
    elif id_ in region.spot_requests:
        region.record(change, id_, region.spot_requests[id_])
        region.spot_requests[id_] = replace(region.spot_requests[id_], tags=tags)
    else:
        region.record(change, id_, region.side_tags[id_])
        region.side_tags[id_] = tags
