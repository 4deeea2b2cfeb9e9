"""Several posts in one: as rows of one table, and as one request with an answer for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from anyio import to_thread
from pydantic import ConfigDict, Field, TypeAdapter

from common.errors import InputError
from common.serving.app import case_of, json_post
from common.serving.deadline import Deadline
from harmful_content.features import Features
from harmful_content.schema import EXAMPLE, Answer, Images, Request, Rows

if TYPE_CHECKING:
    from fastapi import APIRouter

    from common.monitoring.prometheus import Metrics

A = TypeVar("A")
MOST_POSTS = 64
IN_FLIGHT = 2


@dataclass(frozen=True, kw_only=True)
class Posts:
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    posts: Annotated[list[Request], Field(min_length=1, max_length=MOST_POSTS)]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """In the order of the posts."""

    answers: list[Answer]


def router(path: str, respond: Callable[[Posts, Deadline], Answers], deadline_ms: float) -> APIRouter:
    async def endpoint(posts: Posts, metrics: Metrics) -> Answers:
        deadline, start = Deadline(deadline_ms), time.perf_counter()
        given = await to_thread.run_sync(respond, posts, deadline)
        metrics.answered(case_of(path), time.perf_counter() - start, deadline.degraded, deadline.timings().stages)
        return given

    return json_post(path, TypeAdapter(Posts), Answers, endpoint, IN_FLIGHT, {"posts": [EXAMPLE]})


def each(posts: Posts, deadline: Deadline, asked: Callable[[Request, Deadline], A]) -> list[A]:
    """Each post under a deadline of its own, of the time that is left to all."""
    found = []
    for at, post in enumerate(posts.posts):
        try:
            found.append(asked(post, Deadline(deadline.left_ms())))
        except InputError as error:
            raise InputError(f"posts.{at}.{error}") from None
    return found


def gather(deadline: Deadline, of_posts: Sequence[Deadline]) -> None:
    """Where the time of the first went, and what any of them lacked."""
    deadline.take(of_posts[0])
    known = set(deadline.reasons)
    deadline.reasons += [reason for one in of_posts[1:] for reason in one.reasons if reason not in known]


def rows(requests: Sequence[Request], images: Sequence[Images], features: Features, now: int, moment: int) -> Rows:
    """Only what the features know of numbers and categories: whatever else a request says names no column."""
    n, unknown = len(requests), np.full((len(requests), features.num_policies), np.nan)
    has = np.array([len(one) for one in images])
    return Rows(
        post_id=np.array([one.post_id for one in requests]),
        user_id=np.array([one.user_id for one in requests]),
        event_time=np.full(n, now),
        moment=np.full(n, moment),
        text=np.array([one.text for one in requests], dtype=np.str_),
        image=np.where(has > 0, np.cumsum(has) - 1, -1),
        images=Images(np.concatenate([one.pixels for one in images])),
        natural_label=unknown,
        hand_label=unknown,
        numbers={
            name: np.array([one.numbers.get(name, np.nan) for one in requests], dtype=np.float64)
            for name in features.number_names
        },
        categories={
            name: np.array([one.categories.get(name, "") for one in requests], dtype=np.str_)
            for name in features.vocabularies
        },
    )


def gaps(features: Features, request: Request) -> tuple[list[str], list[str]]:
    """Which numbers and categories are missing, and which categories hold a value training never saw."""
    said: dict[str, Any] = {**request.numbers, **{name: value for name, value in request.categories.items() if value}}
    missing = [name for name in (*features.number_names, *features.vocabularies) if name not in said]
    unknown = [
        name
        for name, known in features.vocabularies.items()
        if request.categories.get(name) and not known.encode(np.array([request.categories[name]]))[0]
    ]
    return missing, unknown
