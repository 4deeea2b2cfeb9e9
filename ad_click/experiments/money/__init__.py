"""From probability to money: what auctions make of probabilities, of rules and of bids, in the auction lab.

`auction_lab(config).money(predictions)` says what any predictions earn; the files beside this one ask the questions.
"""

from __future__ import annotations

from collections.abc import Mapping

from ad_click.experiments.money import auctions, days, market, week
from ad_click.experiments.money.lab import Lab, auction_lab, compared, percent, revenue_per_mille
from common.contract import Experiment
from common.eval.chart import Chart

__all__ = ["CHARTS", "EXPERIMENTS", "Lab", "auction_lab", "compared", "percent", "revenue_per_mille"]

EXPERIMENTS: Mapping[str, Experiment] = {
    **auctions.EXPERIMENTS,
    **market.EXPERIMENTS,
    **days.EXPERIMENTS,
    **week.EXPERIMENTS,
}
CHARTS: Mapping[str, Chart] = {**market.CHARTS}
