"""What happens to a removal afterwards, and what removals that stand mean for their author.

    removed -> appealed -> upheld | reversed         every other move is refused

A strike is a removal that somebody has looked at and that stands: a reviewer removed it, an appeal was upheld, or the time to appeal is over. While an
appeal is open it does not count, and one that was granted never did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from common.errors import InputError
from harmful_content.config import Config

DAY = 86_400
State = Literal["removed", "appealed", "upheld", "reversed"]
MOVES: Mapping[str, tuple[State, ...]] = {"removed": ("appealed",), "appealed": ("upheld", "reversed")}
STANDINGS = ("good", "warn", "limit", "suspend")
"""Of an author, from the mildest. suspend: an account is suspended by a person, who sees it because of this."""


@dataclass(frozen=True, kw_only=True)
class Removal:
    """One post that was removed. Times in seconds, UTC. `by_reviewer`: a person removed it, not a machine."""

    post_id: int
    user_id: int
    policy: int
    removed_at: int
    by_reviewer: bool
    state: State = "removed"
    moved_at: int = 0


def move(removal: Removal, to: State, now: int, config: Config) -> Removal:
    """The removal in its next state. InputError where there is no such move, or where the time to appeal is over."""
    allowed = MOVES.get(removal.state, ())
    if to not in allowed:
        may = f"it can become {' or '.join(allowed)}" if allowed else "that is final"
        raise InputError(f"The removal of post {removal.post_id} cannot become {to!r}: it is {removal.state}, {may}.")
    if now < max(removal.removed_at, removal.moved_at):
        raise InputError(f"The removal of post {removal.post_id} cannot become {to!r} before it was {removal.state}.")
    if to == "appealed" and not may_appeal(removal, now, config):
        raise InputError(
            f"Post {removal.post_id} was removed {(now - removal.removed_at) / DAY:.0f} days ago; appeals are heard for {config.appeal_days}."
        )
    return replace(removal, state=to, moved_at=now)


def may_appeal(removal: Removal, now: int, config: Config) -> bool:
    return removal.state == "removed" and now - removal.removed_at <= config.appeal_days * DAY


def is_strike(removal: Removal, now: int, config: Config) -> bool:
    """Whether it stands, and somebody has had the chance to say that it should not."""
    if removal.state == "removed":
        return removal.by_reviewer or not may_appeal(removal, now, config)
    return removal.state == "upheld"


def strikes(removals: Sequence[Removal], now: int, config: Config) -> float:
    """Strikes of one author, each half as heavy every `strike_days`. Posts removed within an hour count once: one evening is one mistake."""
    standing = sorted(one.removed_at for one in removals if one.removed_at <= now and is_strike(one, now, config))
    total, last = 0.0, -DAY
    for removed_at in standing:
        if removed_at - last >= 3600:
            total += 0.5 ** ((now - removed_at) / DAY / config.strike_days)
            last = removed_at
    return total


def standing(removals: Sequence[Removal], now: int, config: Config) -> str:
    """Of STANDINGS, what follows from the strikes."""
    total = strikes(removals, now, config)
    reached = sum(total >= least for least in (config.warn_at, config.limit_at, config.suspend_at))
    return STANDINGS[reached]
