"""The torch rungs: NN, two-tower, FM, DeepFM, DCN, DCN-V2. One embedding table and one training loop; a rung is what it does with them.

In:     Seen; a class of module; a Setting.
Out:    Net, a Scorer.
Choice: every column a field with an embedding (Fields), so that a rung is the ten lines in which it differs from its sisters.
Else:   each rung with the tricks of its paper: then a table compares tricks.
Breaks: rare ids learned by heart within an epoch or two (the penalty on embeddings, early stopping on validation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ad_click.features import Inputs
from ad_click.model.fields import Fields, Seen
from common.contract import Floats
from common.eval import classification
from common.features.encoders import hash_bucket
from common.training import loop

AD_SIDE = ("ad.", "ad_id", "campaign", "advertiser", "topic.", "topic_id")
PAIR = ("user_topic.", "user_ad.")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """penalty: half of it times the squared norm of all embeddings is added to the mean loss of a batch."""

    size: int = 10
    hidden: tuple[int, ...] = (128, 128)
    cross_layers: int = 3
    dropout: float = 0.2
    penalty: float = 0.05
    learning_rate: float = 1e-3
    batch_size: int = 4096
    epochs: int = 40
    patience: int = 1
    drops: int = 1  # times that the learning rate falls to a tenth, each when validation stops improving
    spread: float = 0.01  # standard deviation of the embeddings at the start
    by: str = "log_loss"  # or auc: what validation stops by
    bins: int = 16  # of a number; 0 leaves the numbers out
    rare: int = 1  # the values of a category seen fewer times than this share one embedding
    buckets: int = 0  # ids hashed into so many rows of the table; 0: each has its own
    seed: int = 0


def fit(seen: Seen, kind: type[Embedded], setting: Setting) -> Net:
    """Adam until validation stops improving, then on from the best epoch at a tenth of the learning rate: the schedule of BARS, half of
    what its deep models reach on Frappe. Nothing but `setting.penalty` holds weights back: the decay of AdamW would be a second penalty on
    the embeddings. `Net.history` is the plateau, one dict an epoch."""
    fields = Fields.fit(seen.inputs, setting.bins, setting.rare)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        module = kind(fields, setting)
    net = Net(fields, setting, module, [])
    with torch.no_grad():  # start from the click rate, or the first epochs go into finding it
        module.bias.fill_(float(np.log(seen.label.mean() / (1 - seen.label.mean()))))
    with _quick():
        descend(net, seen)
    return net


@contextmanager
def _quick() -> Iterator[None]:
    """One thread: matrices this small gain little by a second one, and on a busy machine lose many times as much. And embeddings held back to
    nothing leave Adam sums below 1e-38, which are many times slower to add than zeros."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


def descend(net: Net, seen: Seen) -> None:
    """Fills the history and leaves the weights of the best epoch."""
    setting, module = net.setting, net.module
    columns = {"places": net.places(seen.inputs), "label": torch.as_tensor(seen.label, dtype=torch.float32)}
    held_out = net.places(seen.held_out)

    def loss(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        fitted = nn.functional.binary_cross_entropy_with_logits(module(batch["places"]), batch["label"])
        held_back = torch.stack([(weight**2).sum() for weight in net.module.tables()]).sum()
        return fitted + setting.penalty / 2 * held_back

    def validate(module: nn.Module) -> float:
        found = _probabilities(module, held_out)
        if setting.by == "auc":
            return -classification.auc(seen.held_label, found)
        return classification.log_loss(seen.held_label, found)

    best, kept = np.inf, module.state_dict()
    for drop in range(setting.drops + 1):
        history = loop.train(
            module,
            columns,
            loss,
            epochs=setting.epochs,
            batch_size=setting.batch_size,
            learning_rate=setting.learning_rate / 10**drop,
            weight_decay=0.0,
            seed=setting.seed,
            validate=validate,
            patience=setting.patience,
            name=type(module).__name__,
        )
        net.history.extend(history)
        if (value := min(row["valid"] for row in history)) < best:
            best, kept = value, {name: weight.clone() for name, weight in module.state_dict().items()}
    module.load_state_dict(kept)


@dataclass(frozen=True, eq=False)
class Net:
    fields: Fields
    setting: Setting
    module: Embedded
    history: list[dict[str, float]]

    def score(self, inputs: Inputs) -> Floats:
        """[n] probabilities of a click."""
        return _probabilities(self.module, self.places(inputs))

    def num_bytes(self) -> int:
        return sum(weight.nbytes for weight in self.module.state_dict().values())

    def places(self, inputs: Inputs) -> Tensor:
        """[n, f] rows of the embedding table."""
        found = self.fields.places(inputs)
        return torch.from_numpy(hash_bucket(found, self.setting.buckets) if self.setting.buckets else found)


class Embedded(nn.Module):
    """What all rungs share: a table [width, size] of embeddings, and the intercept."""

    def __init__(self, fields: Fields, setting: Setting) -> None:
        super().__init__()
        self.width = setting.buckets or fields.width
        self.flat = len(fields.sizes) * setting.size
        self.table = nn.Embedding(self.width, setting.size)
        nn.init.normal_(self.table.weight, std=setting.spread)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, places: Tensor) -> Tensor:
        """places [n, f] -> [n] logits."""
        return self.logit(places, self.table(places)) + self.bias

    def logit(self, places: Tensor, embedded: Tensor) -> Tensor:
        raise NotImplementedError

    def tables(self) -> list[Tensor]:
        """What the penalty holds back."""
        return [self.table.weight]


class NN(Embedded):
    """One network over all embeddings side by side."""

    def __init__(self, fields: Fields, setting: Setting) -> None:
        super().__init__(fields, setting)
        self.deep = mlp(self.flat, setting.hidden, setting.dropout, out=1)

    def logit(self, places: Tensor, embedded: Tensor) -> Tensor:
        found: Tensor = self.deep(embedded.flatten(1)).squeeze(1)
        return found


class TwoTower(Embedded):
    """The inner product of a vector of the user's side and one of the ad's. What only both together say, such as the counts of the pair,
    it cannot see: the price of an ad's vector that can be computed before anybody asks."""

    def __init__(self, fields: Fields, setting: Setting) -> None:
        super().__init__(fields, setting)
        self.sides = [tower_fields(fields.names, ad) for ad in (False, True)]
        self.towers = nn.ModuleList(
            mlp(len(side) * setting.size, setting.hidden, setting.dropout, out=32) for side in self.sides
        )

    def logit(self, places: Tensor, embedded: Tensor) -> Tensor:
        user, ad = (tower(embedded[:, side].flatten(1)) for tower, side in zip(self.towers, self.sides, strict=True))
        found: Tensor = (user * ad).sum(dim=1)
        return found


class FM(Embedded):
    """One weight a value, and the inner product of every pair of embeddings: Rendle 2010 (Factorization Machines), equation 1."""

    def __init__(self, fields: Fields, setting: Setting) -> None:
        super().__init__(fields, setting)
        self.weight = nn.Embedding(self.width, 1)
        nn.init.zeros_(self.weight.weight)

    def logit(self, places: Tensor, embedded: Tensor) -> Tensor:
        found: Tensor = self.weight(places).sum(dim=(1, 2)) + pairwise(embedded)
        return found

    def tables(self) -> list[Tensor]:
        return [self.table.weight, self.weight.weight]


class DeepFM(FM):
    """The machine and a network over the same embeddings, trained as one: Guo et al. 2017 (DeepFM), equation 1."""

    def __init__(self, fields: Fields, setting: Setting) -> None:
        super().__init__(fields, setting)
        self.deep = mlp(self.flat, setting.hidden, setting.dropout, out=1)

    def logit(self, places: Tensor, embedded: Tensor) -> Tensor:
        found: Tensor = super().logit(places, embedded) + self.deep(embedded.flatten(1)).squeeze(1)
        return found


class DCN(Embedded):
    """Cross layers beside a network, both over x0, all embeddings side by side: Wang et al. 2017 (Deep & Cross Network), figure 1."""

    def __init__(self, fields: Fields, setting: Setting) -> None:
        super().__init__(fields, setting)
        self.crosses = nn.ModuleList(Cross(self.flat) for _ in range(setting.cross_layers))
        self.deep = mlp(self.flat, setting.hidden, setting.dropout)
        self.out = nn.Linear(self.flat + setting.hidden[-1], 1)

    def logit(self, places: Tensor, embedded: Tensor) -> Tensor:
        x0 = x = embedded.flatten(1)
        for layer in self.crosses:
            x = layer(x0, x)
        found: Tensor = self.out(torch.cat([x, self.deep(x0)], dim=1)).squeeze(1)
        return found


class DCNV2(DCN):
    """The same with a matrix in each cross layer: Wang et al. 2021 (DCN V2), figure 1, parallel."""

    def __init__(self, fields: Fields, setting: Setting) -> None:
        super().__init__(fields, setting)
        self.crosses = nn.ModuleList(CrossV2(self.flat) for _ in range(setting.cross_layers))


class Cross(nn.Module):
    """x0 (x . w) + b + x: Wang et al. 2017, equation 3. One order of interaction more a layer, at d weights."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(size) / size**0.5)
        self.b = nn.Parameter(torch.zeros(size))

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        return x0 * (x @ self.w)[:, None] + self.b + x


class CrossV2(nn.Module):
    """x0 * (W x + b) + x: Wang et al. 2021, equation 1. Every pair of coordinates has its weight, at d^2 of them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, size)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        found: Tensor = x0 * self.linear(x) + x
        return found


KINDS: Mapping[str, type[Embedded]] = {
    "NN": NN,
    "two-tower": TwoTower,
    "FM": FM,
    "DeepFM": DeepFM,
    "DCN": DCN,
    "DCN-V2": DCNV2,
}


def pairwise(embedded: Tensor) -> Tensor:
    """[n, f, size] -> [n] the sum of <v_i, v_j> over all pairs of fields in O(f size), as half of (sum v)^2 - sum v^2: Rendle 2010, lemma 3.1."""
    return 0.5 * (embedded.sum(dim=1) ** 2 - (embedded**2).sum(dim=1)).sum(dim=1)


def mlp(width: int, hidden: tuple[int, ...], dropout: float, out: int = 0) -> nn.Sequential:
    """Linear layers, each with batch normalisation, ReLU and dropout; then a bare one of `out` outputs, if any."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.BatchNorm1d(size), nn.ReLU(), nn.Dropout(dropout)]
        width = size
    return nn.Sequential(*layers, *([nn.Linear(width, out)] if out else []))


def tower_fields(names: tuple[str, ...], ad: bool) -> list[int]:
    """Which fields a tower sees: the ad's, or all others but those of the pair."""
    here = [name.startswith(AD_SIDE) for name in names]
    return [place for place, name in enumerate(names) if here[place] == ad and not name.startswith(PAIR)]


def _probabilities(module: nn.Module, places: Tensor) -> Floats:
    with torch.no_grad():
        logits = torch.cat([module(part) for part in torch.split(places, 16_384)])
    found: Floats = torch.sigmoid(logits.double()).numpy()
    return found
