"""Policies as questions. A policy is a question of its own, yes or no; policies named TASK=CLASS share one: of a post that is of any class of TASK,
exactly one class is true. Every scorer over text has the same outputs, so that two may be blended and a threshold means the same to both:

    [yes or no, a policy each | any class of the task? a task each | which class, a policy each, task after task]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from common.contract import Floats, Ints


def task_of(policy: str) -> str:
    """Of "TASK=CLASS" the task; a name without = is its own."""
    return policy.partition("=")[0]


@dataclass(frozen=True)
class Questions:
    """group [num_policies]: -1 asked alone, else the number of the task it is a class of."""

    group: tuple[int, ...]

    @classmethod
    def of(cls, policies: Sequence[str]) -> Questions:
        """A task of a single class is a question of yes or no."""
        tasks = [task_of(name) for name in policies]
        shared = [task for task in dict.fromkeys(tasks) if tasks.count(task) > 1]
        return cls(tuple(shared.index(task) if task in shared else -1 for task in tasks))

    @cached_property
    def alone(self) -> Ints:
        return np.flatnonzero(np.array(self.group) < 0)

    @cached_property
    def classes(self) -> list[Ints]:
        """Of each task its policies."""
        return [np.flatnonzero(np.array(self.group) == number) for number in range(max(self.group) + 1)]

    @property
    def num_yes(self) -> int:
        """Outputs that say yes or no; those of the classes come behind them."""
        return len(self.alone) + len(self.classes)

    @cached_property
    def parts(self) -> list[slice]:
        """Of each task the outputs of its classes."""
        ends = self.num_yes + np.cumsum([0, *map(len, self.classes)])
        return [slice(first, last) for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]

    @property
    def num_outputs(self) -> int:
        return len(self.group) + len(self.classes)

    def output(self, policy: int) -> int:
        """The output that tells this policy from its like."""
        if self.group[policy] < 0:
            return int(np.searchsorted(self.alone, policy))
        number = self.group[policy]
        return int(self.parts[number].start + np.searchsorted(self.classes[number], policy))

    def targets(self, label: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """[n, num_policies] each -> [n, num_outputs] each. Which class it is, is asked where one of them is known to be true; whether any is, where
        one is true or all are known not to be."""
        alone = self.alone
        answers, asked = [label[:, alone]], [weight[:, alone]]
        found = [((label * (weight > 0))[:, of].max(axis=1), weight[:, of]) for of in self.classes]
        for any_is, known in found:
            answers.append(any_is[:, None])
            asked.append(np.where(any_is > 0, known.max(axis=1), known.min(axis=1))[:, None])
        for of, (any_is, known) in zip(self.classes, found, strict=True):
            answers.append(label[:, of])
            asked.append(np.broadcast_to((any_is * known.max(axis=1))[:, None], known.shape))
        return np.concatenate(answers, axis=1), np.concatenate(asked, axis=1)

    def probabilities(self, logits: Floats) -> Floats:
        """[n, num_outputs] -> [n, num_policies]; of a class the chance that it is any times the chance that it is this one."""
        out = np.empty((len(logits), len(self.group)))
        yes = 1 / (1 + np.exp(-np.clip(logits[:, : self.num_yes], -50, 50)))
        out[:, self.alone] = yes[:, : len(self.alone)]
        for number, (of, part) in enumerate(zip(self.classes, self.parts, strict=True)):
            out[:, of] = yes[:, [len(self.alone) + number]] * np.exp(log_shares(logits[:, part]))
        return out


def log_shares(logits: Floats) -> Floats:
    """log softmax over the last axis."""
    from scipy.special import log_softmax

    found: Floats = log_softmax(logits, axis=-1)
    return found
