"""Translates a selector into a query of Nova. An optimisation: ``decide`` applies the whole selector again.

Source: https://docs.openstack.org/api-ref/compute/#list-servers
"""

from ...core.instance import State
from ...core.policy import Selector
from .tags import text_of


def query(selector: Selector, *, narrow: bool) -> dict[str, str]:
    """Return the selector as a query, as far as Nova can express it.

    Nova can match one of several values for one tag only; patterns, and values too long for a tag, are not sent.
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
