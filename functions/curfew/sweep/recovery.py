"""*act*, first step: resolves the intents of interrupted sweeps."""

from datetime import datetime, timedelta

from ..core import audit
from ..core.instance import Instance
from ..core.report import Result
from ..ledger.protocols import Ledger
from ..providers.base import Provider

# No invocation lasts this long: an older intent belongs to a sweep that has ended.
LONGEST_SWEEP = timedelta(minutes=20)


def resolve_open_intents(provider: Provider, ledger: Ledger, now: datetime) -> tuple[str, ...]:
    """Describe the instances of open intents, record an outcome for each intent, and return one line for each.

    Raises LedgerError, ProviderError.
    """
    target = provider.target
    entries = [e for e in ledger.open_intents(target) if now - e.draft.at > LONGEST_SWEEP]
    if not entries:
        return ()
    seen = provider.describe([entry.draft.instance_id for entry in entries])
    drafts = [_resolution(entry, seen.get(entry.draft.instance_id), now) for entry in entries]
    ledger.append(target, drafts)
    return tuple(
        f"{d.body['action']} {d.instance_id} by sweep {d.sweep_id}: {d.body['result']}: {d.body['detail']}"
        for d in drafts
    )


def _resolution(entry: audit.Entry, instance: Instance | None, now: datetime) -> audit.Draft:
    if instance is None:
        result, detail = Result.UNKNOWN, "its sweep was interrupted; the cloud does not show it"
    elif instance.state in audit.intended(entry).ends:
        result, detail = (
            Result.VERIFIED,
            f"its sweep was interrupted; it was seen {instance.state} later",
        )
    else:
        result, detail = Result.UNKNOWN, f"its sweep was interrupted; it is still {instance.state}"
    return audit.resolution(entry, result, detail, at=now)
