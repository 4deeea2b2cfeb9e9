"""LeaveOneOutStore: stands in for the as-of store where a table has no clock."""

from __future__ import annotations

from common.contract import Events, Floats, Ints
from common.features.views import View


class LeaveOneOutStore:
    """Counts over every event except the row's own: those whose `moment` equals the row's moment. A row outside the table (test) has moment -1.

    Views keyed by an entity in `ordered` (say, ("user_id",): order is known within a user only) are read as of the moment instead.
    Unordered: windows count everything, Decayed is a plain sum, Last is NaN, Recent is -1.
    """

    def __init__(self, events: Events, ordered: tuple[str, ...] = ()) -> None:
        self.events = events
        self.ordered = ordered

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        raise NotImplementedError
