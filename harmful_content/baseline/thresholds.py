"""What is added to logits so that the likelier answer is the one that macro F1 wants, chosen on the validation rows.

Macro F1 pays as much for a rare class as for a common one, so the best threshold is not at one half (Lipton, Elkan, Narayanaswamy 2014). A question of
yes or no has a threshold of its own, read off a smooth curve of how likely yes is at each logit: a few hundred yes scatter, and the best threshold on
them alone is the best of that scatter. The classes of a task share one number, how much of their frequency is taken back (logit adjustment, Menon et
al. 2021, equation 9): a threshold a class would be chosen on a handful of posts each.
"""

from __future__ import annotations

import numpy as np

from common.contract import Floats
from common.eval.classification import macro_f1
from harmful_content.baseline.questions import Questions

TAUS = (0.0, 0.25, -0.25, 0.5, -0.5)  # the first of equals is kept
FEWEST = 20  # of the rarer answer on validation; below, nothing is chosen
HELD = 1e-2  # of the curve, against coefficients that run away where yes and no lie apart


def fit(logits: Floats, answer: Floats, asked: Floats, questions: Questions) -> Floats:
    """logits, answer and asked (0: unknown) [n, num_outputs] of validation rows -> [num_outputs] to be added."""
    added = np.zeros(questions.num_outputs)
    for at in range(len(questions.alone)):
        known = asked[:, at] > 0
        added[at] = -threshold(logits[known, at], answer[known, at])
    for part in questions.parts:
        known = asked[:, part.start] > 0
        added[part] = _frequency(logits[known, part], answer[known, part])
    return added


def threshold(logit: Floats, answer: Floats) -> float:
    """Where the macro F1 of yes and no that the curve expects is best; 0 where too few answers are known."""
    positives, n = float(answer.sum()), len(answer)
    if min(positives, n - positives) < FEWEST:
        return 0.0
    order = np.argsort(-logit, kind="stable")
    ranked, said = logit[order], np.arange(1, n + 1)
    found = np.cumsum(_chance(ranked, answer[order]))
    right_no = n - found[-1] - (said - found)
    curve = found / (found[-1] + said) + right_no / (n - found[-1] + n - said)
    best = int(np.where(np.append(np.diff(ranked) != 0, True), curve, -np.inf).argmax())  # equal scores go together
    return float(ranked[best] + ranked[min(best + 1, n - 1)]) / 2


def _chance(logit: Floats, answer: Floats) -> Floats:
    """[n] of yes: a logistic curve over the logit and its square (Platt 1999, bent). Its sum is the number of yes."""
    from sklearn.linear_model import LogisticRegression

    scaled = (logit - logit.mean()) / max(float(logit.std()), 1e-12)
    design = np.stack([scaled, scaled**2], axis=1)
    chance: Floats = LogisticRegression(C=1 / HELD, max_iter=1_000).fit(design, answer).predict_proba(design)[:, 1]
    return chance


def _frequency(logits: Floats, answer: Floats) -> Floats:
    """[num_classes]"""
    counts = answer.sum(axis=0)
    if len(answer) < FEWEST or not counts.all():
        return np.zeros(len(counts))
    prior, truth = np.log(counts / counts.sum()), answer.argmax(axis=1)
    worth = [macro_f1(truth, (logits - tau * prior).argmax(axis=1)) for tau in TAUS]
    added: Floats = -TAUS[int(np.argmax(worth))] * prior
    return added
