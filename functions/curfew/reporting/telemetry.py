"""The one logger and the one place that counts.

Events are never dumped. Of an instance's tags, a line has the name and those that the policy selects by.
"""

import logging

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ..core.report import Report, Status
from . import render

# The name is given here and not by POWERTOOLS_SERVICE_NAME, which would become a dimension of every metric.
logger = Logger(service="curfew")
NAMESPACE = "Curfew"
# At DEBUG the SDK would log whole requests, at INFO where it found its credentials.
logging.getLogger("botocore").setLevel(logging.WARNING)
# What it says of a role that refuses, whoever asked is told as well, and without a traceback.
logging.getLogger("botocore.credentials").setLevel(logging.ERROR)


def publish(report: Report) -> None:
    """One log line per verdict that matters, one for the sweep, and its metrics by policy and region."""
    about = {
        "sweep_id": report.sweep_id,
        "policy": report.policy,
        "account": report.target.account,
        "region": report.target.region,
    }
    for row in filter(render.matters, render.rows(report)):
        bad = row["outcome"] in {"failed", "unknown"}
        log = logger.error if bad else logger.info
        told = "; ".join(filter(None, (row["reason"], row.get("detail"))))
        log(
            f"{row['verdict']} {row['id']}: {row['outcome']}: {told}",
            extra={**about, "verdict": row},
        )
    for line in report.settled:
        logger.warning(line, extra=about)
    log = logger.error if report.failed else logger.info
    log(
        render.sentence(report),
        extra={"sweep_id": report.sweep_id, "sweep": render.summary(report)},
    )
    _count(report)
    _count_sweep(report)


def count(name: str) -> None:
    """Count something that concerns no sweep in particular."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()


def _count(report: Report) -> None:
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    # What ends one fleet is named after it, and a dimension for each fleet would cost more than the fleet.
    metrics.add_dimension(name="policy", value=report.policy.partition(":")[0])
    metrics.add_dimension(name="region", value=report.target.region)
    for name, value in render.metrics(report).items():
        unit = MetricUnit.Seconds if name.endswith("Seconds") else MetricUnit.Count
        metrics.add_metric(name=name, unit=unit, value=value)
    metrics.flush_metrics()


def _count_sweep(report: Report) -> None:
    """By policy alone, for alarms: how many sweeps completed, and how many somebody has to look at."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_dimension(name="policy", value=report.policy.partition(":")[0])
    done = report.status in {Status.COMPLETED, Status.DUPLICATE}
    metrics.add_metric(name="Completed", unit=MetricUnit.Count, value=int(done))
    metrics.add_metric(name="Troubled", unit=MetricUnit.Count, value=int(report.failed))
    metrics.flush_metrics()
