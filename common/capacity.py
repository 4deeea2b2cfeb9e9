"""The capacity calculator: requests, storage, index memory, cores, money at a stated price per core-hour. Sums only: origin `calc`."""

from __future__ import annotations
