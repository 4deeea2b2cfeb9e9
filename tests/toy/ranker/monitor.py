"""What is watched: do people still read what they are shown?

In:     labelled rows at training time; later, served traffic.
Out:    alerts.
Choice: a floor: the share read under the incumbent, less four standard errors. Doing better than the incumbent is no alarm.
Else:   drift of topics, where a catalogue turns over.
Breaks: too few books to tell: below a hundred it stays quiet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from common.contract import Ranking
from common.monitoring.alerts import Alert
from tests.toy.ranker.config import Config
from tests.toy.ranker.schema import Live, Rows


def reference(predictions: Ranking, rows: Rows, config: Config) -> Reference:
    return Reference(float(rows.label.mean()))


def load(folder: Path) -> Reference:
    return Reference(json.loads((folder / "reference.json").read_text())["share"])


def check(reference: Reference, live: Live, config: Config) -> list[Alert]:
    num, share = len(live.rows), reference.share
    floor = share - 4 * (share * (1 - share) / max(num, 1)) ** 0.5
    if num < 100 or live.rows.label.mean() >= floor:
        return []
    seen = float(live.rows.label.mean())
    return [
        Alert(
            name="completion_rate",
            value=seen,
            expected=f"at least {floor:.3f}",
            means="reading events lost, or a page nobody wants",
            action="compare the log of reading with last week's",
        )
    ]


@dataclass(frozen=True)
class Reference:
    share: float

    def save(self, folder: Path) -> None:
        (folder / "reference.json").write_text(json.dumps({"share": self.share}))
