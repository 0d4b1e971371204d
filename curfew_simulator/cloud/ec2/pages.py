"""Split a listing into pages. A valid page may be empty, or shorter than asked for, and have a token for more.

A token keeps the ids that were left when it was made: later pages leave out instances launched since then, and show
the others as they are now. Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..call import ApiCall
from ..faults import FaultKind
from ..protocols import ApiError

if TYPE_CHECKING:
    from .region import Region

LEAST, MOST = 5, 1_000


def page(region: "Region", call: ApiCall, found: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """Return one page of the found ids, and the token for the next or None. Raise ApiError for an unknown token."""
    token = call.arguments.get("NextToken")
    if token:
        if token not in region.cursors:
            raise ApiError("InvalidParameterValue", "Unable to parse pagination token")
        there = set(found)
        found = [id_ for id_ in region.cursors[token] if id_ in there]
    elif FaultKind.SHUFFLED in call.faults:
        found = list(found)
        region.rng.of("order").shuffle(found)
    if FaultKind.TWICE in call.faults:
        found = [*found, *found]
    size = _size(call)
    if size is None and not token:
        return found, None
    size = min(size or MOST, region.page_size)
    if FaultKind.SHORT_PAGE in call.faults:
        size = region.rng.of("pages").randint(1, size)
    if FaultKind.EMPTY_PAGE in call.faults:
        size = 0
    shown, left = found[:size], found[size:]
    if token and FaultKind.SAME_TOKEN in call.faults:
        return shown, token
    if not left and FaultKind.EMPTY_PAGE not in call.faults:
        return shown, None
    following = region.rng.id("token", 32)
    region.cursors[following] = tuple(left)
    return shown, following


def _size(call: ApiCall) -> int | None:
    text = call.arguments.get("MaxResults")
    if text is None:
        return None
    size = int(text)
    if not LEAST <= size <= MOST:
        wanted = f"greater than {LEAST}" if size < LEAST else f"smaller than or equal to {MOST}"
        said = f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value {wanted}."
        raise ApiError("InvalidParameterValue", said)
    return size
