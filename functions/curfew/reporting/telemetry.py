"""The logger and the metrics.

Events are never logged whole. Of an instance's tags, a line has only the name and those that the policy selects by.
"""

import logging

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ..core.report import Report, Status
from . import render

# Not by POWERTOOLS_SERVICE_NAME, which would become a dimension of every metric.
logger = Logger(service="curfew")
NAMESPACE = "Curfew"
# At DEBUG the SDK logs whole requests, at INFO where it found its credentials.
logging.getLogger("botocore").setLevel(logging.WARNING)
# A refused role is reported to the caller, too, without a traceback.
logging.getLogger("botocore.credentials").setLevel(logging.ERROR)


def publish(report: Report) -> None:
    """Log one line per verdict that matters and one for the sweep, and publish its metrics by policy and region."""
    about = {
        "sweep_id": report.sweep_id,
        "policy": report.policy,
        "account": report.target.account,
        "region": report.target.region,
    }
    for row in filter(render.matters, render.rows(report)):
        bad = row["outcome"] in {"failed", "unknown"}
        log = logger.error if bad else logger.info
        words = "; ".join(filter(None, (row["reason"], row.get("detail"))))
        log(
            f"{row['verdict']} {row['id']}: {row['outcome']}: {words}",
            extra={**about, "verdict": row},
        )
    for line in report.resolved_intents:
        logger.warning(line, extra=about)
    log = logger.error if report.failed else logger.info
    log(
        render.sentence(report),
        extra={"sweep_id": report.sweep_id, "sweep": render.summary(report)},
    )
    _count(report)
    _count_sweep(report)


def count(name: str) -> None:
    """Publish a metric with the value 1 that belongs to no sweep."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()


def _count(report: Report) -> None:
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    # The policy that ends one fleet has the fleet's name, and each value of a dimension costs money.
    metrics.add_dimension(name="policy", value=report.policy.partition(":")[0])
    metrics.add_dimension(name="region", value=report.target.region)
    for name, value in render.metrics(report).items():
        unit = MetricUnit.Seconds if name.endswith("Seconds") else MetricUnit.Count
        metrics.add_metric(name=name, unit=unit, value=value)
    metrics.flush_metrics()


def _count_sweep(report: Report) -> None:
    """Publish by policy alone, for alarms, whether the sweep completed and whether an operator has to look."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_dimension(name="policy", value=report.policy.partition(":")[0])
    done = report.status in {Status.COMPLETED, Status.DUPLICATE}
    metrics.add_metric(name="Completed", unit=MetricUnit.Count, value=int(done))
    metrics.add_metric(name="Troubled", unit=MetricUnit.Count, value=int(report.failed))
    metrics.flush_metrics()
