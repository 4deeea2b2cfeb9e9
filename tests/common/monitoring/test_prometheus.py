"""What a scraper reads: the text parses, two servers do not add up, and an unlogged impression is counted."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from common.contract import StageTiming
from common.monitoring.prometheus import LOG_STAGE, Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return None


def stage(name: str, status: str) -> StageTiming:
    return StageTiming(name=name, start=0.0, end=1.0, status=status)


def test_an_answer_is_counted_once_with_what_it_lost() -> None:
    metrics, other = Metrics(), Metrics()
    metrics.answered("toy", 0.004, ["model", "user"], [stage("model", "late"), stage("rules", "ok")])
    assert value(metrics, "mlsd_requests_total", case="toy", status="200") == 1
    assert value(metrics, "mlsd_request_seconds_bucket", case="toy", le="0.005") == 1
    assert value(metrics, "mlsd_request_seconds_bucket", case="toy", le="0.0025") == 0
    assert value(metrics, "mlsd_degraded_total", case="toy", stage="user") == 1
    assert value(metrics, "mlsd_stage_missed_total", case="toy", stage="model", status="late") == 1
    assert value(metrics, "mlsd_stage_missed_total", case="toy", stage="rules", status="ok") is None
    assert value(metrics, "mlsd_impressions_unconfirmed_total", case="toy") is None
    assert value(other, "mlsd_requests_total", case="toy", status="200") is None


def test_impressions_that_were_not_logged_in_time_are_counted() -> None:
    metrics = Metrics()
    metrics.answered("toy", 0.004, [LOG_STAGE], [stage(LOG_STAGE, "late")])
    assert value(metrics, "mlsd_impressions_unconfirmed_total", case="toy") == 1
