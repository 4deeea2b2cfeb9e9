"""Words disguised as people disguise them: what it costs a filter that reads letters, and what undoing it costs everybody else."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from common.contract import Experiment, Table
from common.eval.report import paired
from common.features.text import words
from harmful_content import evaluate
from harmful_content.config import Config
from harmful_content.experiments.trained import Case, retold, share, trained
from harmful_content.features.spelling import Speller
from harmful_content.schema import MOST_CHARS, Rows
from harmful_content.world import KEYWORD_PARTS, make

FALSE_ALARMS, CODES = 0.05, 5_000
_LEET, _LOOKALIKES = str.maketrans("aeiost", "431057"), str.maketrans("aeopcx", "аеорсх")
_ROUNDS = {"hate": "h8", "to": "2", "for": "4"}

WAYS: Mapping[str, Callable[[str], str]] = {
    "as written": lambda word: word,
    "digits": lambda word: _ROUNDS.get(word, word.translate(_LEET)),
    "spaces": " ".join,
    "dots": ".".join,
    "look-alikes": lambda word: word.translate(_LOOKALIKES),
    "zero-width": "\u200b".join,
    "repeated": lambda word: word[:-1] + 4 * word[-1],
    "all at once": lambda word: "\u200b".join(word[:-1].translate(_LEET)) + 3 * word[-1],
    "letters swapped": lambda word: word[:2][::-1] + word[2:],
}
"""Of each word that carries the violation. The last one is not undone: the foil, which only a model of letters would read."""

HARMLESS = {
    "numbers": ("in 2025 we saw 101 trains", "mp3 and mp4 at 5 pm", "h2o and co2 in room 4b", "call 0800 1234 before 7", "win 3 to 1 in the 90th", "b2b sales up 10", "a4 paper 80g $5", "3d films from 1980"),
    "initials": ("the u s a and the u k", "a b c d e f g", "i p o of a b c", "dr j r brown", "e g or i e", "plan b or c", "x y z axes", "p s see you"),
    "cyrillic": ("мама мыла раму", "кот и пес на окне", "доброе утро всем", "сора нет в доме", "я еду в город", "хорошая погода", "роса на траве", "он поет песню"),
    "greek": ("καλημέρα σε όλους", "το σπίτι μου", "ένα ωραίο βιβλίο", "η γάτα κοιμάται", "πάμε στη θάλασσα", "ο φίλος μου", "νερό και ψωμί", "τρία παιδιά"),
    "lengthened": ("sooooo good", "yesss", "hmmmm maybe", "zzzz", "nooo way", "www", "ahhhh lovely", "aaah the sea"),
}  # fmt: skip
"""Texts that look disguised and are not."""


def obfuscation(config: Config) -> Table:
    """How much of the harm in words is still acted on when its words are disguised, as the words are read or undisguised first?

    Test posts whose harm is in their words, the words of the violation disguised in one way each. `recall`: share that the model puts above all but
    FALSE_ALARMS of the harmless validation posts, disguises undone first; `without`: of a model trained and asked without that; `more` is the
    difference with its interval over authors. `letters swapped`, which nothing undoes, should lose: what is still found of it without, is
    found because in this world an unknown word alone speaks of harm."""
    ours, plain = trained(config), trained(replace(config, undisguise=False))
    table: Table = []
    for name, way in WAYS.items():
        found, without = (_recalled(case, way) for case in (ours, plain))
        users = ours.posts.user_id[_in_words(ours)]
        more = share(found - without, users, "more")
        table.append({"words": name, "recall": float(found.mean()), "without": float(without.mean()), **more})
    return table


def obfuscation_cost(config: Config) -> Table:
    """What does undoing disguises do to texts that have none?

    `changed`: share of the words of harmless texts that are read as another word: planted test posts, and texts that only look disguised; `codes`
    are letters and digits by chance, as of products and seats; the last row is the control: posts with a disguised word, which should change.
    `false_alarms`: share of harmless test posts, as they are and with a word that nobody has seen, that reach the served threshold; `more` than of a model without it, its interval over authors."""
    ours, plain = trained(config), trained(replace(config, undisguise=False))
    harmless = (ours.judgments.label.max(axis=1) == 0) & (ours.posts.disguise == 0)
    rows = ours.dataset.test.take(np.flatnonzero(harmless))
    misspelt = retold(rows, np.array([_misspelt(text) for text in rows.text.tolist()]))
    speller = Speller(ours.features.words.tokens.tolist())
    table = [
        _changed(speller, name, some.text.tolist()) | _false_alarms(ours, plain, some)
        for name, some in (("harmless posts", rows), ("harmless posts, a word misspelt", misspelt))
    ]
    hidden = ours.dataset.test.text[ours.posts.disguise > 0].tolist()
    others = {**HARMLESS, "codes": _codes(config.seed), "disguised posts (control)": hidden}
    nothing = dict.fromkeys(("false_alarms", "more", "low", "high"))
    return table + [_changed(speller, name, texts) | nothing for name, texts in others.items()]


def undisguised(config: Config) -> Table:
    """What is undoing disguises worth on posts as they come?

    `pr_auc` of the test posts, mean over policies, and over (post, policy) pairs of posts with a disguised word and of the rest; `without`: trained
    and asked without it. `more`, on all: the paired difference, its interval over authors. The baseline, lines over words, is the row that should
    gain most: it has nothing but words."""
    ours, plain = trained(config), trained(replace(config, undisguise=False))
    table: Table = []
    for name in ours.scorers():
        reports = [
            evaluate.evaluate(case.score(case.scorers()[name], case.dataset.test), case.judgments, config)
            for case in (ours, plain)
        ]
        more = paired(*reports)
        row = {"scorer": name, "more": more.value, "low": more.low, "high": more.high}
        for of, slices in (("", ""), ("_disguised", "disguised=yes"), ("_open", "disguised=no")):
            values = [(report.slices[slices] if slices else report.metrics)["pr_auc"].value for report in reports]
            row |= {f"pr_auc{of}": values[0], f"without{of}": values[1]}
        table.append(row)
    return table


def disguise(text: str, telling: frozenset[str], way: Callable[[str], str]) -> str:
    """The telling words of a text, each disguised in this way."""
    return re.sub(r"[a-z]+", lambda found: way(found[0]) if found[0] in telling else found[0], text)


def _misspelt(text: str) -> str:
    """Two letters of the longest word change places: a word that nobody has seen, and no disguise."""
    longest = max(text.split(), key=len, default="")
    return text.replace(longest, longest[:1] + longest[1:3][::-1] + longest[3:], 1) if longest else text


def _false_alarms(ours: Case, plain: Case, rows: Rows) -> dict[str, float | None]:
    acted = [case.acted_on(case.model, case.score(case.model, rows)).any(axis=1) for case in (ours, plain)]
    return {"false_alarms": float(acted[0].mean())} | share(acted[0].astype(float) - acted[1], rows.user_id, "more")


def _codes(seed: int) -> list[str]:
    rng = np.random.default_rng([seed, 51])
    return [
        "".join(rng.choice([*string.ascii_lowercase, *string.digits], length)) for length in rng.integers(2, 8, CODES)
    ]


def _in_words(case: Case) -> NDArray[np.bool_]:
    """Harm that is in the words, in the first language, written openly."""
    posts = case.posts
    is_harm = case.judgments.label.max(axis=1) > 0
    found: NDArray[np.bool_] = (
        is_harm & (case.judgments.slices["modality"] == "text") & (posts.disguise == 0) & (posts.language == 0)
    )
    return found


def _recalled(case: Case, way: Callable[[str], str]) -> NDArray[np.float64]:
    rows = case.dataset.test.take(np.flatnonzero(_in_words(case)))
    texts = np.array([disguise(text, KEYWORD_PARTS, way) for text in rows.text.tolist()])
    found: NDArray[np.float64] = (case.score(case.model, retold(rows, texts)).max(axis=1) > _bar(case)).astype(
        np.float64
    )
    return found


def _bar(case: Case) -> float:
    """The score of the likeliest policy that FALSE_ALARMS of the harmless validation posts exceed."""
    valid = case.dataset.valid
    harmless = make(case.config).truth[valid.post_id].max(axis=1) == 0
    return float(
        np.quantile(case.score(case.model, valid.take(np.flatnonzero(harmless))).max(axis=1), 1 - FALSE_ALARMS)
    )


def _changed(speller: Speller, name: str, texts: list[str] | tuple[str, ...]) -> dict[str, object]:
    pairs = [(words(text, MOST_CHARS), speller.words(text, MOST_CHARS)) for text in texts]
    kept = sum(len(set(before) & set(after)) for before, after in pairs)
    total = sum(len(set(before)) for before, _ in pairs)
    return {"texts": name, "words": total, "changed": 1 - kept / max(total, 1)}


EXPERIMENTS: Mapping[str, Experiment] = {
    "obfuscation": obfuscation,
    "obfuscation_cost": obfuscation_cost,
    "undisguised": undisguised,
}
