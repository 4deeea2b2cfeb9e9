"""The desk over HTTP: who sees what next, what may follow what, what an author is told; and all of it again after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from common.checks import Trial
from common.checks.trial import TOKEN, Running
from harmful_content.schema import POLICIES
from harmful_content.serve.desk import ASSIGNED_SECONDS
from harmful_content.serve.posts import DAY

pytestmark = pytest.mark.slow
NOBODY_ASKED = -1


class Desk:
    """What people do, by their names for it."""

    def __init__(self, served: Running) -> None:
        self.served = served

    def post(self, path: str, body: dict[str, Any], token: str = TOKEN) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.served.client.post(f"/harmful_content/{path}", json=body, headers=headers)

    def next(self, reviewer: int = 1) -> dict[str, Any]:
        answer = self.post("review/next", {"reviewer_id": reviewer})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def verdict(self, post_id: int, policy: str, reviewer: int = 1) -> Any:
        return self.post("review/verdict", {"reviewer_id": reviewer, "post_id": post_id, "policy": policy})

    def author(self, path: str, post_id: int, user_id: int = 42) -> Any:
        return self.post(path, {"post_id": post_id, "user_id": user_id}, token="")

    def until(self, post_id: int, reviewer: int = 1) -> dict[str, Any]:
        """Works the queue until this post comes; all others are cleared."""
        for _ in range(2_000):
            case = self.next(reviewer)
            if case["post_id"] in (post_id, NOBODY_ASKED):
                assert case["post_id"] == post_id, "it never came"
                return case
            assert self.verdict(case["post_id"], "", reviewer).status_code == 200
        raise AssertionError("the queue has no end")

    def held(self, post_id: int, text: str, user_id: int = 42) -> None:
        """A post that waits: most of its characters hide it."""
        hidden = text + "\u200b" * (60 + len(text))
        answer = self.served.ask(post_id=post_id, user_id=user_id, text=hidden, image="")
        assert answer["action"] == "queue", answer


def looked(answer: dict[str, Any]) -> bool:
    return any("a reviewer" in why["evidence"] for why in answer["why"])


@pytest.fixture(scope="module")
def desk(trial: Trial) -> Iterator[Desk]:
    with trial.apart("desk") as served:
        yield Desk(served)


def test_a_reviewer_needs_the_token_and_an_author_does_not(desk: Desk) -> None:
    for token in ("", "wrong"):
        for path, body in (
            ("review/next", {"reviewer_id": 1}),
            ("review/verdict", {"reviewer_id": 1, "post_id": 1, "policy": ""}),
        ):
            assert desk.post(path, body, token).status_code == 401
    assert desk.post("strikes", {"user_id": 7}, "").status_code == 200


def test_removed_appealed_reversed(desk: Desk) -> None:
    desk.held(5_000_101, "so here is what we think of that", 7_000_009)
    told = desk.author("notice", 5_000_101, 7_000_009).json()
    assert told["state"] == "waiting" and told["policy"] == "" and told["appeal_until"] == 0
    case = desk.until(5_000_101)
    assert (
        case["user_id"] == 7_000_009
        and case["state"] == "waiting"
        and case["until"] == desk.served.clock.now() + ASSIGNED_SECONDS
    )
    assert desk.verdict(5_000_101, "hate").json()["state"] == "removed"

    told = desk.author("notice", 5_000_101, 7_000_009).json()
    assert (told["state"], told["policy"], told["decided_by"]) == ("removed", "hate", "reviewer")
    assert "hate" in told["text"] and told["version"] == desk.served.service.version
    assert not {"score", "probability", "words"} & told.keys(), "nothing to get below, nothing to spell otherwise"
    assert desk.post("strikes", {"user_id": 7_000_009}).json()["strikes"] == 1

    assert desk.author("appeal", 5_000_101, 7_000_009).json()["state"] == "appealed"
    counted = desk.post("strikes", {"user_id": 7_000_009}).json()
    assert (counted["strikes"], counted["open_appeals"]) == (0, 1), "while it is open it does not count"
    assert desk.next(1)["post_id"] != 5_000_101, "not heard by who decided"
    assert desk.until(5_000_101, reviewer=2)["state"] == "appealed"
    assert desk.verdict(5_000_101, "", 2).json()["state"] == "reversed"
    counted = desk.post("strikes", {"user_id": 7_000_009}).json()
    assert counted == {"user_id": 7_000_009, "strikes": 0, "standing": "good", "open_appeals": 0, "posts": []}


def test_removed_appealed_upheld(desk: Desk) -> None:
    desk.held(5_000_102, "another matter of taste altogether", 7_000_010)
    desk.until(5_000_102)
    desk.verdict(5_000_102, "spam")
    desk.author("appeal", 5_000_102, 7_000_010)
    desk.until(5_000_102, 2)
    assert desk.verdict(5_000_102, "spam", 2).json()["state"] == "upheld"
    assert desk.post("strikes", {"user_id": 7_000_010}).json()["posts"] == [5_000_102]


def test_every_illegal_move_is_refused_and_changes_nothing(desk: Desk) -> None:
    desk.held(5_000_103, "some say this and some say that", 7_000_011)
    end = desk.served.platform.log.end

    def refused(answer: Any, status: int, *said: str) -> None:
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert all(error[part] for part in ("what", "why", "next")) and all(word in error["why"] for word in said)
        assert desk.served.platform.log.end == end

    refused(desk.author("appeal", 5_000_103, 7_000_011), 409, "is waiting")
    refused(desk.verdict(5_000_103, "hate"), 409, "nobody's")
    refused(desk.author("notice", 5_000_103, 7_000_012), 404)
    refused(desk.author("appeal", 999_999, 7_000_011), 404)
    refused(desk.verdict(999_999, "hate"), 404)
    refused(desk.verdict(5_000_103, "hatred"), 404, "hate")
    refused(desk.post("appeal", {"post_id": -1, "user_id": 1}), 422)
    refused(desk.post("review/next", {"reviewer_id": 1, "zebra": 1}), 422)

    desk.until(5_000_103)
    end = desk.served.platform.log.end
    refused(desk.verdict(5_000_103, "hate", 2), 409, "another reviewer's")
    desk.served.clock.set(desk.served.clock.now() + ASSIGNED_SECONDS)
    refused(desk.verdict(5_000_103, "hate"), 409, "too long ago")
    desk.until(5_000_103)
    assert desk.verdict(5_000_103, "hate").status_code == 200
    end = desk.served.platform.log.end
    refused(desk.verdict(5_000_103, "hate"), 409, "is removed")
    desk.served.clock.set(desk.served.clock.now() + desk.served.service.config.appeal_days * DAY + 1)
    refused(desk.author("appeal", 5_000_103, 7_000_011), 409, "days ago")


def test_two_reviewers_are_handed_two_posts(desk: Desk) -> None:
    for post_id in (5_000_111, 5_000_112):
        desk.held(post_id, f"the {post_id}th word on it", 7_000_013)
    first, second = desk.next(1), desk.next(2)
    assert first["post_id"] != second["post_id"]
    assert desk.next(3)["post_id"] not in (first["post_id"], second["post_id"])
    desk.served.clock.set(desk.served.clock.now() + ASSIGNED_SECONDS)


def test_what_a_person_removed_stands_and_so_do_its_copies(desk: Desk) -> None:
    words = "we have seen this bread before and it was lovely"
    desk.held(5_000_121, words, 7_000_014)
    desk.until(5_000_121)
    desk.verdict(5_000_121, "drugs")
    hidden = words + "\u200b" * 60
    again = desk.served.ask(post_id=5_000_121, user_id=7_000_014, text=hidden, image="")
    assert again["action"] == "remove" and "a reviewer has looked" in again["why"][0]["evidence"]
    copy = desk.served.ask(post_id=5_000_122, user_id=7_000_015, text=words.upper() + " !!", image="")
    assert (copy["action"], copy["policy"]) == ("remove", "drugs") and "post 5000121" in copy["why"][1]["evidence"]
    edited = desk.served.ask(post_id=5_000_121, user_id=7_000_014, text=words + " really", image="")
    assert edited["action"] == "remove" and looked(edited), "nobody edits a strike away"
    desk.author("appeal", 5_000_122, 7_000_015)
    desk.until(5_000_122, 2)
    desk.verdict(5_000_122, "", 2)
    assert not looked(desk.served.ask(post_id=5_000_123, text=words, image="")), "reversed: its like is known no more"


NEARLY = " ".join(
    f"{number} loaves of bread we baked and ate at the harbour" for number in ("two", "five", "nine", "ten")
)


def matched(answer: dict[str, Any]) -> list[str]:
    return [why["evidence"] for why in answer["why"] if why["stage"] == "match"]


def test_what_nearly_is_a_post_taken_down_waits_for_a_person(desk: Desk) -> None:
    def ask(post_id: int, text: str) -> dict[str, Any]:
        answer = desk.served.ask(post_id=post_id, user_id=7_000_018, text=text, image="")
        assert "match" not in answer["degraded"]
        return dict(answer)

    assert not matched(ask(5_000_151, f"{NEARLY} today")), "nobody has looked at any such post"
    desk.held(5_000_152, NEARLY, 7_000_019)
    desk.until(5_000_152)
    desk.verdict(5_000_152, "hate")
    near = ask(5_000_153, f"{NEARLY} today")
    assert (near["action"], near["policy"]) == ("queue", "hate")
    assert matched(near) == ["nearly the words and picture of post 5000152, which a reviewer found to violate"]
    assert not matched(ask(5_000_154, "so i tried this bread and it was lovely")), "the control: another post"
    desk.until(5_000_153)
    assert desk.verdict(5_000_153, "").json()["state"] == "cleared"
    assert not matched(ask(5_000_155, f"{NEARLY} today")), "a person found that one fine"
    assert ask(5_000_156, NEARLY)["action"] == "remove", "and the other one is what it was"
    desk.author("appeal", 5_000_152, 7_000_019)
    desk.until(5_000_152, 2)
    desk.verdict(5_000_152, "", 2)
    assert not matched(ask(5_000_157, NEARLY)), "reversed"


def test_what_was_cleared_stands_until_the_post_is_another(desk: Desk) -> None:
    words = "yesterday we baked another bread and ate it"
    desk.held(5_000_125, words, 7_000_017)
    desk.until(5_000_125)
    assert desk.verdict(5_000_125, "").json()["state"] == "cleared"
    again = desk.served.ask(post_id=5_000_125, user_id=7_000_017, text=words + "\u200b" * 60, image="")
    assert again["action"] == "allow" and looked(again)
    edited = desk.served.ask(post_id=5_000_125, user_id=7_000_017, text=words + " in secret" + "\u200b" * 60, image="")
    assert edited["action"] == "queue" and not looked(edited)


def test_reports_bring_a_post_to_a_person_and_never_remove_it(desk: Desk) -> None:
    now = desk.served.clock.now()
    fine = desk.served.ask(
        post_id=5_000_131, user_id=7_000_016, text="so i tried this bread and it was lovely", image=""
    )
    reports = [
        {"event_id": f"r{at}", "kind": "report", "event_time": now, "keys": {"post_id": 5_000_131, "user_id": 7_000_016}, "values": {"policy": POLICIES.index("hate")}}
        for at in range(200)
    ]  # fmt: skip
    desk.served.post(*reports)
    told = desk.author("notice", 5_000_131, 7_000_016).json()
    assert told["state"] == ("waiting" if fine["action"] in ("allow", "demote", "queue") else "removed")
    if told["state"] == "waiting":
        assert desk.until(5_000_131)["reports"] == 200
        assert desk.verdict(5_000_131, "").json()["state"] == "cleared"
        desk.served.post(*({**report, "event_id": f"more-{report['event_id']}"} for report in reports))
        assert desk.author("notice", 5_000_131, 7_000_016).json()["state"] == "cleared", (
            "once a person has looked, reports are done"
        )


def test_a_restart_loses_nothing(trial: Trial) -> None:
    with trial.apart("restart") as served:
        desk = Desk(served)
        for post_id, user_id, policy in ((5_000_201, 7_000_021, "nudity"), (5_000_202, 7_000_022, "spam")):
            desk.held(post_id, f"words of {post_id} and no others", user_id)
            desk.until(post_id)
            desk.verdict(post_id, policy)
        desk.author("appeal", 5_000_202, 7_000_022)
        desk.held(5_000_203, "and these are of yet another post", 7_000_023)
        handed = desk.until(5_000_203, 5)
        before = _told(desk)
        posts, shelf = dict(served.service.docket._posts), served.service.docket.shelf
        assert len(shelf) > len(served.service.features.reviewed), "the log says more than training knew"
    with trial.apart("restart") as served:
        desk = Desk(served)
        assert served.service.docket._posts == posts and _told(desk) == before
        again = vars(served.service.docket.shelf)
        assert all(np.array_equal(again[name], column) for name, column in vars(shelf).items())
        assert desk.verdict(handed["post_id"], "hate", 5).status_code == 200, "still theirs"
        assert served.ask(post_id=5_000_299, text="words of 5000201 and no others", image="")["policy"] == "nudity"


def _told(desk: Desk) -> list[Any]:
    notices = [
        desk.author("notice", post_id, user_id).json()
        for post_id, user_id in ((5_000_201, 7_000_021), (5_000_202, 7_000_022), (5_000_203, 7_000_023))
    ]
    return [
        *notices,
        desk.post("strikes", {"user_id": 7_000_021}).json(),
        desk.post("strikes", {"user_id": 7_000_022}).json(),
    ]


def test_a_forgotten_author_has_no_strikes(desk: Desk) -> None:
    desk.held(5_000_141, "what nobody will remember of me", 7_000_031)
    desk.until(5_000_141)
    desk.verdict(5_000_141, "spam")
    assert desk.post("strikes", {"user_id": 7_000_031}).json()["strikes"] == 1
    desk.served.post(
        {"event_id": "f-31", "kind": "forget", "event_time": desk.served.clock.now(), "keys": {"user_id": 7_000_031}}
    )
    assert desk.post("strikes", {"user_id": 7_000_031}).json()["strikes"] == 0
    assert desk.author("notice", 5_000_141, 7_000_031).status_code == 404
