"""The numbers a scraper reads, each defined once. One registry per server, so two servers in a process do not add up."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from common.contract import StageTiming

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
LOG_STAGE = "log"
"""The stage in which a service appends its impressions to the event log, in every case."""


class Metrics:
    """What a Server counts. Labels are names of cases, stages and statuses alone: never a user or an item, whose number has no bound."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "mlsd_requests", "Requests by case and HTTP status", ["case", "status"], registry=registry
        )
        self.seconds = Histogram(
            "mlsd_request_seconds", "Seconds from body read to answer", ["case"], buckets=BUCKETS_S, registry=registry
        )
        self.in_flight = Gauge("mlsd_in_flight", "Requests being answered now", ["case"], registry=registry)
        self.degraded = Counter(
            "mlsd_degraded", "Answers that lost quality, by the stage that did", ["case", "stage"], registry=registry
        )
        self.missed = Counter(
            "mlsd_stage_missed", "Stage calls that did not end ok", ["case", "stage", "status"], registry=registry
        )
        self.unlogged = Counter(
            "mlsd_impressions_unconfirmed",
            "Answers whose impressions were not durably logged in time: training will miss them",
            ["case"],
            registry=registry,
        )
        self.events = Counter("mlsd_events", "Events by case and outcome", ["case", "outcome"], registry=registry)

    def answered(self, case: str, seconds: float, degraded: Iterable[str], stages: Iterable[StageTiming]) -> None:
        self.requests.labels(case, "200").inc()
        self.seconds.labels(case).observe(seconds)
        for stage in degraded:
            self.degraded.labels(case, stage).inc()
        for timing in stages:
            if timing.status != "ok":
                self.missed.labels(case, timing.name, timing.status).inc()
                if timing.name == LOG_STAGE:
                    self.unlogged.labels(case).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
