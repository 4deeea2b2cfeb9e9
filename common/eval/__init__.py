"""Metrics, calibration, intervals and paired tests, the report, and the ledger that ties every number in a page to a run."""
