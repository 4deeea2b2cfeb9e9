"""What the reports of a post are worth. They may hurry a reviewer along; whatever their number, they remove and demote nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.contract import Bools, Floats, Ints
from harmful_content.config import Config


@dataclass(frozen=True, kw_only=True)
class Reports:
    """Of one post, in the order in which they came, [m] each: who reports, under which policy, how many of that person's earlier reports were
    upheld and rejected by reviewers, how old the account is."""

    reporter_id: Ints
    policy: Ints
    upheld: Ints
    rejected: Ints
    account_days: Floats


@dataclass(frozen=True, kw_only=True)
class Trust:
    """How far reports are believed. See config for each number."""

    push: float
    prior: float
    strength: float
    untested_most: float
    tested_reports: int
    tested_days: int

    @classmethod
    def of(cls, config: Config) -> Trust:
        return cls(
            push=config.report_push,
            prior=config.reporter_prior,
            strength=config.reporter_strength,
            untested_most=config.untested_most,
            tested_reports=config.tested_reports,
            tested_days=config.tested_days,
        )

    def weight(self, reports: Reports) -> Floats:
        """[m] the share of a person's reports that is upheld, shrunk to the prior (the mean of a beta posterior); 0 for a second one by the same
        person."""
        share = (reports.upheld + self.prior * self.strength) / (reports.upheld + reports.rejected + self.strength)
        first = np.zeros(len(share), dtype=bool)
        first[np.unique(reports.reporter_id, return_index=True)[1]] = True
        return np.where(first, share, 0.0)

    def is_tested(self, reports: Reports) -> Bools:
        """[m] whether somebody has a past: an old account, and reports that were decided."""
        decided = reports.upheld + reports.rejected
        tested: Bools = (decided >= self.tested_reports) & (reports.account_days >= self.tested_days)
        return tested

    def pushes(self, reports: Reports, num_policies: int) -> Floats:
        """[num_policies] in [0, push): push (1 - exp(-weight)) of the summed weights under each policy. All who have no past weigh `untested_most`
        together, over all policies: ten thousand new accounts are less than one good reporter."""
        weight, tested = self.weight(reports), self.is_tested(reports)
        known = np.bincount(reports.policy, weight * tested, num_policies)
        unknown = np.bincount(reports.policy, weight * ~tested, num_policies).astype(float)
        unknown *= min(1.0, self.untested_most / max(float(unknown.sum()), 1e-12))
        found: Floats = self.push * -np.expm1(-(known + unknown))
        return found

    def most_untested(self) -> float:
        """The stated bound: what any number of reporters without a past can add, of what is missing to certainty."""
        return float(self.push * -np.expm1(-self.untested_most))


def pushed(probability: Floats, push: Floats) -> Floats:
    """The probability by which a post comes to the queue: p + (1 - p) push. Same shapes, or such as broadcast."""
    found: Floats = probability + (1 - probability) * push
    return found
