"""AsOfStore: what a view would have said at any moment of the past. Trains."""

from __future__ import annotations

from common.contract import Events, Floats, Ints
from common.features.views import View


class AsOfStore:
    """Reads any view at any moment, from the events alone. Indexes a view the first time it is read."""

    def __init__(self, events: Events) -> None:
        self.events = events

    def read(self, view: View, keys: Ints, moments: Ints) -> Floats:
        """keys [n], moments [n] -> [n, view.width]: only events with position < moment, none a FORGET has erased."""
        raise NotImplementedError
