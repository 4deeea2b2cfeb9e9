"""How long a feed can be when videos of one creator must stand apart."""

from __future__ import annotations

from collections.abc import Mapping


def reach(left: Mapping[int, int], ready: Mapping[int, int], free: int, spacing: int, place: int, size: int) -> int:
    """Places filled in all, from `place` on, at most `size`: `left` videos of each creator, the next not before `ready` (0 unless said), the one
    after it `spacing` places later; `free` videos of nobody in particular stand anywhere.

    Whoever has most left goes first, a free one where nobody can: as for tasks with a cooldown, that leaves no gap that could be avoided
    (test_policy.py tries every order)."""
    left, ready = {creator: some for creator, some in left.items() if some}, dict(ready)
    while place < size:
        able = [creator for creator in left if ready.get(creator, 0) <= place]
        if able:
            most = max(able, key=left.__getitem__)
            left[most] -= 1
            ready[most] = place + spacing
            if not left[most]:
                del left[most]
        elif free:
            free -= 1
        else:
            break
        place += 1
    return place
