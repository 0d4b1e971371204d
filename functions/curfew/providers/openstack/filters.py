"""What of a selector is sent to Nova while finding: an optimisation, since ``decide`` applies the whole again.

Source: https://docs.openstack.org/api-ref/compute/#list-servers
"""

from ...core.instance import State
from ...core.policy import Selector
from .tags import text_of


def query(selector: Selector, *, narrow: bool) -> dict[str, str]:
    """The selector as a query of Nova's, as far as Nova can express it.

    Of several values of one tag Nova can ask for any, once; patterns and what does not fit into a tag are not sent.
    """
    wanted: dict[str, str] = {}
    if selector.states == {State.RUNNING}:
        wanted["status"] = "ACTIVE"
    if not narrow:
        return wanted
    every: list[str] = []
    for tag in selector.tags:
        texts = [text_of(tag.key, value) for value in tag.values]
        if tag.like or None in texts:
            continue
        values = [text for text in texts if text is not None]
        if len(values) == 1:
            every += values
        elif "any_tags" not in wanted:
            wanted["any_tags"] = ",".join(values)
    if every:
        wanted["tags"] = ",".join(every)
    return wanted
