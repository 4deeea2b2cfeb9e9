"""Checks of a case whose items come and go while it is served: a put is seen, a delete holds at once, whatever fails or restarts.

A case without schema.Item takes no items, and is not asked. What an answer shows is read off it: every value of a field named as the id is,
which is schema.Item's first field. Where the request names the item (a Scorer's), a 200 shows it and a 4xx does not.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import count
from typing import Any

import numpy as np

from common.checks.door import MARK, Table, raw, refused
from common.checks.trial import NotHere, Running, Trial, want
from common.serving.current import ITEMS, VISIBLE_SECONDS
from common.serving.deadline import Fault
from common.serving.items import MAX_BATCH

OPERATIONS, THREADS, SEED = 1_000, 4, 7
NUM_IDS = 3  # that training does not know, and as many that it does
NEWCOMER = 10**6  # the first who asks. Everybody asks once, so that no rule hides what they have seen
FAULTS = ("fail", "hang")


def an_item_put_is_shown_and_a_deleted_one_is_gone_at_once(trial: Trial) -> None:
    """A put is in an answer within five seconds; a delete holds from the first answer on, until the item is put again. So it is with an item
    that the artifact was trained with, too."""
    with shop(trial, "put") as asked:
        asked.put(asked.new)
        for item_id in (asked.new, asked.trained()):
            want(asked.sees(item_id), f"item {item_id} is not shown, {VISIBLE_SECONDS:g} seconds after it was put")
            asked.delete(item_id)
            want(item_id not in asked.ask(item_id), f"item {item_id} is in the first answer after it was deleted")
            time.sleep(0.05)
            want(item_id not in asked.ask(item_id), f"item {item_id} was deleted and gone, and came back")
            asked.put(item_id)
            want(asked.sees(item_id), f"item {item_id} was deleted and put again, and is not shown")


def no_deleted_item_is_in_an_answer_that_began_later(trial: Trial) -> None:
    """1,000 random puts, deletes and questions over a handful of items, four at a time: no answer holds an item whose delete was acknowledged
    before the question was sent and that nobody has put since. The clock of the clients is the judge."""
    with shop(trial, "interleaved") as asked:
        ids = [asked.new + at for at in range(NUM_IDS)]
        ids += [asked.trained()] if asked.is_named else sorted(asked.ask() - set(ids))[:NUM_IDS]
        writes, answers = interleaved(asked, ids)
        wrong = [(item_id, answer) for answer in answers for item_id in answer.ids if is_gone(item_id, answer, writes)]
        want(not wrong, f"{len(wrong)} of {len(answers)} answers hold an item that was deleted before: {wrong[:1]}")
        shown = Counter(item_id for answer in answers for item_id in answer.ids if item_id in ids)
        want(len(shown) > 1, f"of {ids} only {dict(shown)} were shown: nothing is proved. Choose another schema.ITEM.")


def a_restart_forgets_no_item(trial: Trial) -> None:
    """What was put is shown and what was deleted is gone in the first answers of another server of the same folder: both are on disk."""
    with shop(trial, "restart") as asked:
        trained = asked.trained()
        asked.put(asked.new)
        asked.delete(trained)
    with shop(trial, "restart") as asked:
        want(asked.shows_at_once(asked.new), f"item {asked.new} was put, and is not shown after a restart")
        want(trained not in asked.ask(trained), f"item {trained} was deleted, and is shown after a restart")


def no_failure_brings_a_deleted_item_back(trial: Trial) -> None:
    """Every drill, a live store that does not open, items that cannot be looked up: what answers instead leaves out what is gone as well.
    And an answer that could not look says so."""
    with shop(trial, "failures") as asked:
        asked.put(asked.new)
        want(asked.sees(asked.new), f"item {asked.new} was put and is not shown")
        gone = [asked.new, asked.trained()]
        asked.delete(*gone)
        for what, fault in broken(trial, asked.served):
            with fault:
                back = {item_id for item_id in gone if item_id in asked.ask(item_id)}
            want(not back, f"{what}: the answer holds {sorted(back)}, deleted before")
        kept = asked.new + 1
        asked.put(kept)
        want(asked.sees(kept), f"item {kept} was put and is not shown")
        with faulty(asked.served, ITEMS, "fail", 0.0):
            answer = asked.send("POST", asked.served.route, {**asked.served.example, **asked.person(kept)}).json()
        want(
            ITEMS in answer.get("degraded", ()),
            f"items could not be looked up, and the answer does not say so: {answer}",
        )


def bad_items_are_refused_and_nothing_is_written(trial: Trial) -> None:
    """A batch with one bad item is refused whole: half of it would be shown and nobody would know which. So is a batch of ids."""
    with shop(trial, "door") as asked:
        for method, table in (("PUT", bad_items(asked)), ("DELETE", bad_ids())):
            for what, body in table.items():
                refused(asked.served, asked.path, f"{method} {what}", body, method)


# ---------------------------------------------------------------------------------------------------------------- what the checks do


@contextmanager
def shop(trial: Trial, name: str) -> Iterator[Asked]:
    """The case served apart from other checks, to be asked about its items. NotHere where it takes none."""
    schema = trial.stage("schema")
    if not hasattr(schema, "Item"):
        raise NotHere("there is no schema.Item: this case takes no items while it is served")
    want(is_dataclass(schema.Item), "schema.Item is no dataclass. See the same class in tests/toy/.")
    id_name, item = fields(schema.Item)[0].name, getattr(schema, "ITEM", {})
    want(
        id_name.endswith("_id"), f"schema.Item begins with {id_name!r}, expected its id: an int whose name ends in _id"
    )
    want(
        isinstance(item.get(id_name), int),
        f"schema.ITEM is not there or has no {id_name}. Add an item as JSON that training does not know and the answer to EXAMPLE shows.",
    )
    with trial.apart(f"items-{name}") as served:
        yield Asked(served, id_name, dict(item))


@dataclass
class Asked:
    served: Running
    id_name: str
    item: dict[str, Any]
    people: Iterator[int] = field(default_factory=lambda: count(NEWCOMER))

    @property
    def path(self) -> str:
        return f"/{self.served.name}/items"

    @property
    def new(self) -> int:
        return int(self.item[self.id_name])

    @property
    def is_named(self) -> bool:
        """Does a request name the item it asks about?"""
        return self.id_name in self.served.example

    def trained(self) -> int:
        """The item of the artifact's own that most of ten people are shown. What one of them alone is shown may be a lot's or a taste's."""
        if self.is_named:
            return int(self.served.example[self.id_name])
        shown = Counter(item_id for _ in range(10) for item_id in self.ask() - {self.new})
        want(
            bool(shown), f"the answer to schema.EXAMPLE shows no {self.id_name} that training knows: nothing to delete"
        )
        return max(shown, key=lambda item_id: (shown[item_id], -item_id))

    def put(self, *ids: int) -> None:
        self.change("PUT", {"items": [{**self.item, self.id_name: item_id} for item_id in ids]})

    def delete(self, *ids: int) -> None:
        self.change("DELETE", {"ids": list(ids)})

    def change(self, method: str, body: Any) -> None:
        answer = self.send(method, self.path, body)
        want(answer.status_code == 200, f"{method} {self.path} answered {answer.status_code}: {answer.text[:300]}")

    def send(self, method: str, path: str, body: Any) -> Any:
        return self.served.client.request(method, path, json=body)

    def ask(self, item_id: int | None = None) -> set[int]:
        """-> the items in one answer. `item_id`: the one to ask about, where a request names one."""
        return self.answered(item_id)[0]

    def answered(self, item_id: int | None) -> tuple[set[int], bool]:
        """-> the items in one answer, and whether every stage of it came in time."""
        body = {**self.served.example, **self.person(item_id)}
        answer = self.send("POST", self.served.route, body)
        refused_it = self.is_named and 400 <= answer.status_code < 500
        want(answer.status_code == 200 or refused_it, f"asked {body}: {answer.status_code}, {answer.text[:300]}")
        if refused_it:
            return set(), True
        told = answer.json()
        whole = all(stage["status"] == "ok" for stage in told["timings_ms"]["stages"])
        return {int(body[self.id_name])} if self.is_named else set(values(told, self.id_name)), whole

    def person(self, item_id: int | None) -> dict[str, int]:
        named = {self.id_name: item_id} if self.is_named and item_id is not None else {}
        return {"user_id": next(self.people), **named}

    def shows_at_once(self, item_id: int) -> bool:
        """Is it in the first answer to which every stage came in time? A busy machine may cut some short: fifty, and no more."""
        answers = (self.answered(item_id) for _ in range(50))
        return next((item_id in items for items, whole in answers if whole or item_id in items), False)

    def sees(self, item_id: int) -> bool:
        """Is it shown before the time a put may take is over?"""
        end = time.monotonic() + VISIBLE_SECONDS
        while time.monotonic() < end:
            if item_id in self.ask(item_id):
                return True
            time.sleep(0.01)
        return False


def values(answer: Any, name: str) -> list[int]:
    """Of every field of this name, however deep."""
    if isinstance(answer, dict):
        own = [answer[name]] if isinstance(answer.get(name), int) else []
        return own + [one for part in answer.values() for one in values(part, name)]
    return [one for part in answer for one in values(part, name)] if isinstance(answer, list) else []


@dataclass(frozen=True)
class Write:
    item_id: int
    is_put: bool
    began: float
    ended: float


@dataclass(frozen=True)
class Given:
    """An answer: when it was asked for, when it came, what it shows."""

    began: float
    ended: float
    ids: frozenset[int]


def interleaved(asked: Asked, ids: Sequence[int]) -> tuple[list[Write], list[Given]]:
    """OPERATIONS drawn from SEED, by THREADS clients of one server; half of them ask."""
    asked.put(*(item_id for item_id in ids if item_id - asked.new in range(NUM_IDS)))
    writes, answers = list[Write](), list[Given]()

    def client(seed: int) -> None:
        rng = np.random.default_rng([SEED, seed])
        for what, at in zip(
            rng.random(OPERATIONS // THREADS), rng.integers(0, len(ids), OPERATIONS // THREADS), strict=True
        ):
            item_id, began = ids[at], time.monotonic()
            if what < 0.5:
                shown = frozenset(asked.ask(item_id))
                answers.append(Given(began, time.monotonic(), shown))
            else:
                (asked.put if what < 0.75 else asked.delete)(item_id)
                writes.append(Write(item_id, what < 0.75, began, time.monotonic()))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(client, range(THREADS)))
    return writes, answers


def is_gone(item_id: int, answer: Given, writes: Sequence[Write]) -> bool:
    """Was it deleted before the answer began, for certain? No put that could have come after that delete began before the answer was there."""
    mine = [write for write in writes if write.item_id == item_id]
    puts = [write for write in mine if write.is_put and write.began < answer.ended]
    deletes = [write for write in mine if not write.is_put and write.ended < answer.began]
    return any(all(put.ended < delete.began for put in puts) for delete in deletes)


def broken(trial: Trial, served: Running) -> Iterator[tuple[str, Any]]:
    """Everything that can be broken on purpose -> what, and a context in which it is."""
    limit = trial.config.deadline_ms
    for name, drill in trial.stage("drills").DRILLS.items():
        yield f"drill {name!r}", faulty(served, drill.stage, drill.fault, 2 * limit)
    for fault in FAULTS:
        yield f"the items {fault}", faulty(served, ITEMS, fault, 2 * limit)
        yield f"the store's opening {fault}s", served.recorder.broken("open", fault)


@contextmanager
def faulty(served: Running, stage: str, fault: str, ms: float) -> Iterator[None]:
    served.service.stages.faults[stage] = Fault(fault, ms=ms)
    try:
        yield
    finally:
        del served.service.stages.faults[stage]


def bad_items(asked: Asked) -> Table:
    good, name = asked.item, asked.id_name
    other = {**good, name: asked.new + 1}
    table: dict[str, Any] = {
        "no items": {},
        "an empty batch": {"items": []},
        "a huge batch": {"items": [{**good, name: at} for at in range(MAX_BATCH + 1)]},
        "an item that is a word": {"items": [MARK]},
        "an id that is a word": {"items": [{**good, name: MARK}]},
        "a negative id": {"items": [{**good, name: -1}]},
        "an id beyond 64 bits": {"items": [{**good, name: 2**70}]},
        "an item without its id": {"items": [{key: value for key, value in good.items() if key != name}]},
        "an unknown field of an item": {"items": [{**good, "no_such_field": MARK}]},
        "an unknown field": {"items": [good], "no_such_field": MARK},
        "one id twice": {"items": [other, good, other]},
        "one bad item after a good one": {"items": [good, {**other, "no_such_field": MARK}]},
    }
    table |= {f"a list for {key}": {"items": [{**good, key: [MARK]}]} for key in good}
    return raw(table, json.dumps({"items": [{**good, name: "NUMBER"}]}))


def bad_ids() -> Table:
    table: dict[str, Any] = {
        "no ids": {},
        "an empty batch": {"ids": []},
        "a huge batch": {"ids": list(range(MAX_BATCH + 1))},
        "an id that is a word": {"ids": [1, MARK]},
        "a negative id": {"ids": [1, -1]},
        "an unknown field": {"ids": [1], "no_such_field": MARK},
    }
    return raw(table, '{"ids": ["NUMBER"]}')
