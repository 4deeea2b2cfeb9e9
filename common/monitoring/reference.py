"""The reference: what the columns and rates looked like when the model was trained, and whether they still do.

A column has drifted if the difference is both surely there (a two-sample chi-square test, corrected for rows that come in clusters, at
level `alpha`) and large enough to matter (PSI >= `min_psi`). Either alone misleads: at a million rows everything is significant, at two
hundred rows every PSI is large. References.check splits `alpha` over its columns (Bonferroni), so a monitor of any width raises a false
alarm in at most a share `alpha` of its checks, if the clusters are independent of each other.

Alarms at .01 a check leave 19 of 20 healthy weeks quiet in 98 of 100 monitors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from scipy.special import ndtri

from common.contract import Floats, Ints
from common.errors import InputError
from common.monitoring.alerts import ACTIONS, CONCEPT_DRIFT, DATA_DRIFT, PIPELINE_FAILED, Alert
from common.monitoring.drift import chi_square, design_effect, psi, sum_of_squares

ALPHA = 0.01
NUM_BINS = 10
MIN_PSI = 0.1  # the usual reading: below .1 no shift worth a look, above .25 a large one
MIN_MISSING = 0.02
MIN_STUCK = 0.3
FILE = "reference.json"


@dataclass(frozen=True, kw_only=True)
class NumberReference:
    """A numeric column as it was: quantile bins (each bin is value <= edge), the missing share, and how much one value dominates."""

    name: str
    edges: list[float]
    counts: list[int]
    missing: RateReference
    top_share: float
    effect: float

    @classmethod
    def of(cls, name: str, values: Floats, clusters: Ints | None = None, bins: int = NUM_BINS) -> NumberReference:
        """values [n], NaN where missing; clusters [n]: whose row it is (user, query), where rows are not independent."""
        there = np.isfinite(values)
        found = values[there]
        edges = np.zeros(0)
        if len(found):
            inner = np.quantile(found, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
            # two cells that were empty then: below everything seen, and above
            edges = np.unique([np.nextafter(found.min(), -np.inf), *inner, found.max()])
        cells = np.searchsorted(edges, found, side="left")
        return cls(
            name=name,
            edges=edges.tolist(),
            counts=np.bincount(cells, minlength=len(edges) + 1).tolist(),
            missing=missing_rate(name, there, clusters),
            top_share=top_share(found),
            effect=design_effect(cells, len(edges) + 1, None if clusters is None else clusters[there]),
        )

    def check(
        self, values: Floats, clusters: Ints | None = None, *, alpha: float = ALPHA, min_psi: float = MIN_PSI
    ) -> Alert | None:
        """Missing more often, then stuck at one value, then moved: the first that holds is the alert."""
        there = np.isfinite(values)
        gone = self.missing.check((~there).astype(float), np.ones(len(values)), clusters, alpha=alpha / 2)
        if gone:
            return gone
        found = values[there]
        cells = np.searchsorted(np.array(self.edges), found, side="left")
        alert = compare(self, cells, None if clusters is None else clusters[there], alpha / 2, min_psi)
        top = top_share(found)
        if alert and top > self.top_share + MIN_STUCK:
            return Alert(
                name=f"stuck.{self.name}",
                value=top,
                expected=f"one value in at most {self.top_share:.3f} of the rows",
                means=PIPELINE_FAILED,
                action=ACTIONS[PIPELINE_FAILED],
            )
        return alert


@dataclass(frozen=True, kw_only=True)
class CategoryReference:
    """A categorical column as it was: the shares of its frequent values, the rest as one, and the missing ("") share."""

    name: str
    values: list[str]
    counts: list[int]
    missing: RateReference
    effect: float

    @classmethod
    def of(cls, name: str, values: NDArray[np.str_], clusters: Ints | None = None, most: int = 20) -> CategoryReference:
        """values [n], "" where missing; ids work as well, as text. The `most` frequent values are kept apart."""
        values = values.astype(str)
        there = values != ""
        known, counts = np.unique(values[there], return_counts=True)
        kept = sorted(known[np.argsort(-counts, kind="stable")[:most]].tolist())
        cells = category_cells(kept, values[there])
        return cls(
            name=name,
            values=kept,
            counts=np.bincount(cells, minlength=len(kept) + 1).tolist(),
            missing=missing_rate(name, there, clusters),
            effect=design_effect(cells, len(kept) + 1, None if clusters is None else clusters[there]),
        )

    def check(
        self, values: NDArray[np.str_], clusters: Ints | None = None, *, alpha: float = ALPHA, min_psi: float = MIN_PSI
    ) -> Alert | None:
        values = values.astype(str)
        there = values != ""
        gone = self.missing.check((~there).astype(float), np.ones(len(values)), clusters, alpha=alpha / 2)
        cells = category_cells(self.values, values[there])
        return gone or compare(self, cells, None if clusters is None else clusters[there], alpha / 2, min_psi)


@dataclass(frozen=True, kw_only=True)
class RateReference:
    """A ratio of sums as it was (CTR = clicks / impressions, calibration ratio = predicted / observed) and how it varies from sample to
    sample. `min_change` is relative to `value`, or absolute where `absolute`; `means` is what a change of this rate says."""

    name: str
    value: float
    error: float  # standard error of `value`
    variance: float  # of one row's numerator - value * denominator, clusters taken into account
    means: str = CONCEPT_DRIFT
    min_change: float = 0.05
    absolute: bool = False

    @classmethod
    def of(
        cls,
        name: str,
        numerator: Floats,
        denominator: Floats,
        clusters: Ints | None = None,
        *,
        means: str = CONCEPT_DRIFT,
        min_change: float = 0.05,
        absolute: bool = False,
    ) -> RateReference:
        """numerator, denominator [n]; the error is the delta method's over clusters (Cochran 1977, 6.4)."""
        total = float(denominator.sum())
        if total == 0:
            raise InputError(
                f"The rate {name!r} has a denominator of 0 over {len(denominator)} rows. Give it rows to be a rate of."
            )
        value = float(numerator.sum()) / total
        squares = sum_of_squares(numerator - value * denominator, clusters)
        return cls(
            name=name,
            value=value,
            error=math.sqrt(squares) / abs(total),
            variance=squares / len(numerator),
            means=means,
            min_change=min_change,
            absolute=absolute,
        )

    def check(
        self, numerator: Floats, denominator: Floats, clusters: Ints | None = None, *, alpha: float = ALPHA
    ) -> Alert | None:
        """Two-sided; tests sum(numerator - value * denominator) = 0, which holds up where the denominator is small or 0 (Fieller 1954)."""
        if len(numerator) == 0:
            return None
        total = float(denominator.sum())
        excess = float(numerator.sum()) - self.value * total
        # few clicks make their own variance look small: take no less than the reference's
        variance = max(
            sum_of_squares(numerator - self.value * denominator, clusters, about=excess), self.variance * len(numerator)
        )
        sigma = math.sqrt(variance + (total * self.error) ** 2)
        margin = self.min_change * (1.0 if self.absolute else abs(self.value))
        surely = abs(excess) > sigma * -float(ndtri(alpha / 2))
        if not surely or abs(excess) <= margin * abs(total):
            return None
        reach = margin if total == 0 else max(margin, sigma * -float(ndtri(alpha / 2)) / abs(total))
        return Alert(
            name=self.name,
            value=float(numerator.sum()) / total if total else math.inf,
            expected=f"between {self.value - reach:.4g} and {self.value + reach:.4g}",
            means=self.means,
            action=ACTIONS.get(self.means, "Look at the rows behind it."),
        )


Reference = NumberReference | CategoryReference | RateReference


@dataclass(frozen=True)
class References:
    """Everything a monitor watches, by name. `save` and `load` keep it as one JSON file in a folder."""

    parts: Mapping[str, Reference]

    def check(
        self,
        live: Mapping[str, NDArray[Any] | tuple[Floats, Floats]],
        clusters: Ints | None = None,
        *,
        alpha: float = ALPHA,
        min_psi: float = MIN_PSI,
    ) -> list[Alert]:
        """live: name -> values, or (numerator, denominator) for a rate. All columns together raise a false alarm in a share `alpha` of checks.

        A column that is not there at all is missing in every row. A rate may be left out: its labels may not be in yet.
        """
        unknown = sorted(set(live) - set(self.parts))
        assert not unknown, f"no reference for {unknown}; known: {sorted(self.parts)}"
        each = alpha / max(1, len(self.parts))
        alerts: list[Alert | None] = []
        for name, part in self.parts.items():
            values = live.get(name)
            if values is None:
                alerts.append(None if isinstance(part, RateReference) else vanished(part))
            elif isinstance(part, RateReference):
                alerts.append(part.check(values[0], values[1], clusters, alpha=each))
            else:
                assert isinstance(values, np.ndarray)
                alerts.append(part.check(values, clusters, alpha=each, min_psi=min_psi))
        return [alert for alert in alerts if alert]

    def save(self, folder: Path) -> None:
        found = {name: {"kind": type(part).__name__, **asdict(part)} for name, part in self.parts.items()}
        (folder / FILE).write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))

    @classmethod
    def load(cls, folder: Path) -> References:
        found = orjson.loads((folder / FILE).read_bytes())
        return cls({name: from_json(part) for name, part in found.items()})


def from_json(found: Mapping[str, Any]) -> Reference:
    kinds = {kind.__name__: kind for kind in (NumberReference, CategoryReference, RateReference)}
    fields = {name: value for name, value in found.items() if name != "kind"}
    if isinstance(fields.get("missing"), dict):
        fields["missing"] = RateReference(**fields["missing"])
    made: Reference = kinds[found["kind"]](**fields)
    return made


def compare(
    reference: NumberReference | CategoryReference, cells: Ints, clusters: Ints | None, alpha: float, min_psi: float
) -> Alert | None:
    counts = np.array(reference.counts, np.int64)
    if len(cells) == 0 or counts.sum() == 0:
        return None
    now = np.bincount(cells, minlength=len(counts))
    effect = design_effect(cells, len(counts), clusters)
    distance = psi(counts / counts.sum(), now / now.sum())
    if distance < min_psi or chi_square(counts, now, reference.effect, effect) >= alpha:
        return None
    return Alert(
        name=f"drift.{reference.name}",
        value=distance,
        expected=f"PSI below {min_psi:g}",
        means=DATA_DRIFT,
        action=ACTIONS[DATA_DRIFT],
    )


def vanished(part: NumberReference | CategoryReference) -> Alert:
    return Alert(
        name=part.missing.name,
        value=1.0,
        expected=f"missing in {part.missing.value:.4g} of the rows",
        means=PIPELINE_FAILED,
        action=ACTIONS[PIPELINE_FAILED],
    )


def missing_rate(name: str, there: NDArray[np.bool_], clusters: Ints | None) -> RateReference:
    gone = (~there).astype(float)
    return RateReference.of(
        f"missing.{name}",
        gone,
        np.ones(len(gone)),
        clusters,
        means=PIPELINE_FAILED,
        min_change=MIN_MISSING,
        absolute=True,
    )


def category_cells(kept: list[str], values: NDArray[np.str_]) -> Ints:
    """Index into `kept` (sorted), or len(kept) for every other value."""
    known = np.array(kept, dtype=str)
    if len(known) == 0:
        return np.zeros(len(values), np.int64)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[at] == values, at, len(known)).astype(np.int64)


def top_share(values: Floats) -> float:
    """Share of the most frequent value."""
    if len(values) == 0:
        return 0.0
    return float(np.unique(values, return_counts=True)[1].max()) / len(values)
