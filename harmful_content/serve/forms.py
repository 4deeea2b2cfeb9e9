"""What reviewers and authors say at the desk, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field

from harmful_content.serve.posts import State

_STRICT = ConfigDict(extra="forbid", strict=True)
Id = Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True, kw_only=True)
class Reviewer:
    __pydantic_config__ = _STRICT
    reviewer_id: Id


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`policy`: the one that is violated, "" for none. Of an appeal: the policy as before upholds the removal, "" grants it."""

    __pydantic_config__ = _STRICT
    reviewer_id: Id
    post_id: Id
    policy: Annotated[str, Field(max_length=100)]


@dataclass(frozen=True, kw_only=True)
class OfAuthor:
    __pydantic_config__ = _STRICT
    post_id: Id
    user_id: Id


@dataclass(frozen=True, kw_only=True)
class Author:
    __pydantic_config__ = _STRICT
    user_id: Id


@dataclass(frozen=True, kw_only=True)
class Case:
    """A post as a reviewer sees it; the tool they use shows its text and picture, which are not kept here. `post_id` -1: nothing waits."""

    post_id: int
    user_id: int = -1
    state: str = ""
    policy: str = ""
    probability: float = 0.0
    by_words: bool = False
    reports: int = 0
    waiting_seconds: int = 0
    chosen: str = ""  # priority | oldest | lot | appeal
    until: int = 0  # seconds UTC: then another may have it


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What the author is told. `because`: words | more than words; `decided_by`: machine | reviewer."""

    post_id: int
    state: State
    policy: str
    text: str
    because: str
    decided_by: str
    version: str
    since: int
    appeal_until: int  # 0: no longer, or not at all


@dataclass(frozen=True, kw_only=True)
class Strikes:
    user_id: int
    strikes: float  # each half as heavy after a while, those of one evening one
    standing: str  # good | warn | limit | suspend
    open_appeals: int
    posts: list[int]  # whose removals count
