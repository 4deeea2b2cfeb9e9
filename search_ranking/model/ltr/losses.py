"""What a ranker may be trained to make small: of one row, of two, of a whole answer.

    pointwise  bce, mse      one row at a time: the level of the grade. Cheap; spends itself on queries that are good or bad as a whole
    pairwise   ranknet       each pair of unequal grades: the right one first, wherever in the list the pair stands
               lambdarank    the same pairs, each worth what swapping it now would change in NDCG
    listwise   listnet       the chance of standing first, against the same chance by the grades
               approx_ndcg   NDCG itself, with places softened until they have a slope

A loss takes scores, grades, mask and weights, all [q, m]: q queries padded to m rows, `mask` True where there is a row, and returns [q], which
the trainer averages: a query counts the same however many rows it has, as in NDCG. Pairs are O(m^2) in time and memory. The weight of a row goes
with its being relevant: it weighs the pairs in which the row is the better one, and the row's own term of a list (Joachims, Swaminathan and
Schnabel 2017, arXiv:1608.04468). A query without two grades is worth 0 to all but bce, mse and listnet. Adding a number to all scores of a query
changes nothing in any but bce and mse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from search_ranking.model.ltr import TOP_GRADE

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

TEMPERATURE = 0.1  # of approx_ndcg: Bruch et al.'s alpha of 10


def bce(scores: Tensor, grades: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy against grade / 4 as a chance: least where sigmoid(score) is the expected grade / 4 (so is a binary label's)."""
    each = F.binary_cross_entropy_with_logits(scores, grades / TOP_GRADE, reduction="none")
    return _mean(each * weights, mask)


def mse(scores: Tensor, grades: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Least at the expected grade, the best score there is for linear gains (Cossock and Zhang 2008, Statistical Analysis of Bayes Optimal
    Subset Ranking)."""
    return _mean((scores - grades) ** 2 * weights, mask)


def ranknet(scores: Tensor, grades: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Mean of log(1 + exp(-(s_i - s_j))) over pairs where i is the better (Burges et al. 2005, Learning to Rank using Gradient Descent,
    equation 3 with a target of 1; pairs of one grade are left out, as in Burges 2010)."""
    pairs = _pairs(grades, mask)
    cost = _pair_cost(scores) * weights[:, :, None]
    return torch.where(pairs, cost, 0.0).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1)


def lambdarank(scores: Tensor, grades: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Sum over the same pairs of |change of NDCG if i and j swapped places| log(1 + exp(-(s_i - s_j))), whose gradient is the lambda of Burges
    2010 (From RankNet to LambdaRank to LambdaMART, MSR-TR-2010-82, section 4). The change is taken as a constant: places have no slope."""
    pairs = _pairs(grades, mask)
    with torch.no_grad():
        gain, discount = _gain(grades, mask), 1 / torch.log2(1 + _places(scores, mask))
        swap = (gain[:, :, None] - gain[:, None]).abs() * (discount[:, :, None] - discount[:, None]).abs()
        swap = swap / _best(gain)[:, None, None]
    cost = swap * _pair_cost(scores) * weights[:, :, None]
    return torch.where(pairs, cost, 0.0).sum(dim=(1, 2))


def listnet(scores: Tensor, grades: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of the top-one chances, softmax of the grades against softmax of the scores (Cao et al. 2007, Learning to Rank: From Pairwise
    Approach to Listwise Approach, equation 4 and section 5). Least at scores = grades + any number, not at scores far apart."""
    nowhere = torch.finfo(scores.dtype).min
    wanted = grades.masked_fill(~mask, nowhere).softmax(dim=1)
    found = scores.masked_fill(~mask, nowhere).log_softmax(dim=1)
    return -torch.where(mask, weights * wanted * found, 0.0).sum(dim=1)


def approx_ndcg(
    scores: Tensor, grades: Tensor, mask: Tensor, weights: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """1 - NDCG with place_i = 1 + sum over j of sigmoid((s_j - s_i) / temperature) and gains 2^g - 1 (Qin, Liu and Li 2010, A General Approximation
    Framework for Direct Optimization of Information Retrieval Measures, section 4; Bruch et al. 2019, Revisiting Approximate Metric Optimization in
    the Age of Deep Neural Networks). Below every gap of the scores the temperature makes it exact, and flat."""
    behind = torch.sigmoid((scores[:, None] - scores[:, :, None]) / temperature) * mask[:, None]
    place = 0.5 + behind.sum(dim=2)  # a row stands half behind itself
    gain = _gain(grades, mask)
    found = torch.where(mask, weights * gain / torch.log2(1 + place), 0.0).sum(dim=1)
    mixed = torch.where(_pairs(grades, mask).any(dim=2).any(dim=1), 1.0, 0.0)
    return mixed * (1 - found / _best(gain))


LOSSES: Mapping[str, Loss] = {
    "bce": bce,
    "mse": mse,
    "ranknet": ranknet,
    "lambdarank": lambdarank,
    "listnet": listnet,
    "approx_ndcg": approx_ndcg,
}


def _mean(each: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, each, 0.0).sum(dim=1) / mask.sum(dim=1)


def _pairs(grades: Tensor, mask: Tensor) -> Tensor:
    """[q, m, m]: row i is worth more than row j."""
    return (grades[:, :, None] > grades[:, None]) & mask[:, :, None] & mask[:, None]


def _pair_cost(scores: Tensor) -> Tensor:
    return F.softplus(scores[:, None] - scores[:, :, None])


def _gain(grades: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, 2**grades - 1, 0.0)


def _places(scores: Tensor, mask: Tensor) -> Tensor:
    """[q, m]: 1 for the highest score, padding last; ties in the order they stand."""
    order = scores.masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).to(scores.dtype) + 1


def _best(gain: Tensor) -> Tensor:
    """[q]: DCG of the best order, 1 where nothing is worth anything."""
    place = torch.arange(2, gain.shape[1] + 2, dtype=gain.dtype)
    best = (gain.sort(dim=1, descending=True).values / torch.log2(place)).sum(dim=1)
    return torch.where(best > 0, best, 1.0)
