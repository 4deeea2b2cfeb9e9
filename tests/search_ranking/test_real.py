"""Judged sets run through the same pipeline as the world: BEIR folders, LETOR folders, tables of one's own; and none of them tells the ranker what
it will be asked."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightgbm
import numpy as np
import pytest

from common import events
from common.contract import Event, Result
from common.data import columns
from common.errors import InputError
from common.eval import intervals
from common.eval.ranking import ndcg
from common.eval.report import is_better
from common.features.asof import AsOfStore
from common.features.views import pair
from common.lifecycle.registry import Registry
from common.training import pretrained
from search_ranking import baseline, data, evaluate, features, model, pipeline, serve
from search_ranking.baseline import single
from search_ranking.config import OVERRIDES, SMOKE, Config
from search_ranking.data import collection, letor
from search_ranking.model import given
from search_ranking.model.ltr import trees
from search_ranking.model.retrieval import dense
from search_ranking.schema import Dataset, Queries

TOPICS, EACH = 25, 8
HISTORY = ("pair_coec", "pair_satisfied", "title_other", "description_other", "any_match")


def folder_of_beir(folder: Path) -> Path:
    """A topic has twelve words of its own. Its documents say four to nine of them among words of all; a query says three, and the document that
    says most of all its topic's words answers it: more than the words of the query alone can tell."""
    rng, (train, test) = np.random.default_rng(0), (120, 60)
    own = [[f"w{topic}x{at}" for at in range(12)] for topic in range(TOPICS)]
    common = [f"common{at}" for at in range(60)]
    corpus: list[dict[str, str]] = []
    for topic, words in enumerate(own):
        for at in range(EACH):
            said = rng.permutation(words)[: 4 + (5 if at == 0 else int(rng.integers(0, 4)))].tolist()
            filler = rng.choice(common, 20).tolist()
            corpus.append(
                {
                    "_id": f"d{topic}.{at}",
                    "title": " ".join(said[:2]),
                    "text": " ".join(rng.permutation([*said, *filler])),
                }
            )
    queries, lines = [], {"train": [], "test": []}  # type: ignore[var-annotated]
    for at in range(train + test):
        topic = int(rng.integers(TOPICS))
        queries.append({"_id": f"q{at}", "text": " ".join([*rng.permutation(own[topic])[:3], *rng.choice(common, 3)])})
        lines["train" if at < train else "test"].append(f"q{at}\td{topic}.0\t1")
    lines["train"].append(lines["test"][0])  # somebody judged it twice
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, judged in lines.items():
        (folder / "qrels" / f"{name}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\n")
    return folder


def folder_of_letor(folder: Path, informative: bool = True) -> Path:
    """Grades of five features by a product, a step and noise; best first in the file, as sets are written that nobody has mixed."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, count in (("train.txt", 150), ("vali.txt.gz", 50), ("test.txt.gz", 80)):
        sizes = rng.integers(8, 25, count)
        table = np.round(rng.random((sizes.sum(), 5)), 4)
        worth = 2 * table[:, 0] * table[:, 1] + (table[:, 2] > 0.7) + rng.normal(0, 0.2, len(table))
        worth = worth if informative else rng.normal(0.8, 0.6, len(table))
        grades = np.clip(np.floor(1.3 * worth), 0, 4)
        order = np.lexsort((-grades, np.repeat(np.arange(count), sizes)))
        split = letor.Split(features=table[order], grades=grades[order], sizes=sizes, query_id=np.arange(count) + 7)
        letor.write(folder / name, split)
    return folder


def config_of(name: str, folder: Path, **changes: Any) -> Config:
    return replace(SMOKE, data=f"{name}:{folder}", **dict(OVERRIDES[name]) | changes)


@pytest.fixture(scope="module")
def beir_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_beir(tmp_path_factory.mktemp("beir") / "set")


@pytest.fixture(scope="module")
def searched(beir_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Without the wheel: nothing that is downloaded decides a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "installed", lambda: False)
        config = config_of("beir", beir_folder, num_candidates=30, num_trees=40, min_leaf=20)
        return pipeline.run(config, Registry(tmp_path_factory.mktemp("registry")))


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Result]:
    config = config_of("letor", folder_of_letor(tmp_path_factory.mktemp("letor") / "set"), num_trees=150)
    return config, pipeline.run(config, Registry(tmp_path_factory.mktemp("registry")))


@pytest.mark.slow
def test_a_beir_folder_is_learnt_from_and_judged_as_the_world_is(searched: Result) -> None:
    reports = searched.reports
    assert {"baseline", "model"} <= reports.keys() and reports["model"].primary == "ndcg@10"
    assert is_better(searched.paired["model-baseline"], "ndcg@10"), searched.paired
    assert reports["model"].metrics["ndcg@10"].low is not None and reports["model"].metrics["ndcg@10"].n == 60
    assert any(name.startswith("words=") for name in reports["model"].slices)
    loaded = model.load(searched.artifact.folder / "model")
    assert set(loaded.columns) == set(model.JUDGED) and loaded.legs.fusion == "rrf"


def learnt(dataset: Dataset, config: Config) -> tuple[dict[str, Any], Any]:
    """-> each column the ranker learns from, and the grades."""
    fitted = features.fit(dataset, config)
    own, vectors, rows = model.meaning(dataset, config)
    legs = model.Legs(
        baseline.fit(dataset, fitted, config), own, dense.build(dataset.catalog.doc_id, vectors, own.fingerprint)
    )
    groups = model.graded(rows, legs, fitted, dataset, config)
    return dict(zip(model.JUDGED, groups.features.T, strict=True)), groups.grades


@pytest.mark.slow
def test_a_judged_pair_does_not_see_itself(beir_folder: Path) -> None:
    """Control: a log that holds the judgments as clicks, whose pairs the store does tell apart: the ranker's rows still do not."""
    config = config_of("beir", beir_folder, encoder="own", num_candidates=30)
    dataset = data.load(config)
    columns, grades = learnt(dataset, config)
    for name in HISTORY[:-1]:
        assert np.ptp(columns[name]) == 0, name
    rows = dataset.train
    said = [
        Event(
            event_id=str(at), kind="click", event_time=0, moment=0, values={"satisfied": 1},
            keys={"request_id": at, "user_id": 0, "query_id": int(rows.query_id[at]), "doc_id": int(rows.doc_id[at])},
        )
        for at in range(len(rows))
    ]  # fmt: skip
    log = events.of(said, values=collection.nothing().values)
    pairs = pair(rows.query_id, rows.doc_id)
    asked = np.full(len(rows), len(said))
    assert (AsOfStore(log).read(features.QUERY_DOC, pairs, asked)[:, 1] > 0).all(), "the log would have told"
    told = replace(dataset, history=AsOfStore(log))
    for name in HISTORY[:2]:
        assert np.ptp(learnt(told, config)[0][name]) == 0, "and judged rows are read as of its beginning"
    assert (grades > 0).any() and (grades == 0).any()


@pytest.mark.slow
def test_judgments_dealt_to_other_queries_teach_nothing(
    beir_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = config_of("beir", beir_folder, encoder="own", num_candidates=30, num_trees=40, min_leaf=20)
    dataset, judgments = data.load(config), data.judgments(config)
    rows = dataset.train
    dealt = replace(
        dataset, train=replace(rows, doc_id=np.random.default_rng(3).integers(0, len(dataset.catalog), len(rows)))
    )
    monkeypatch.setattr(pipeline, "data", SimpleNamespace(load=lambda _: dealt, judgments=lambda _: judgments))
    result = pipeline.run(config, Registry(tmp_path))
    assert not is_better(result.paired["model-baseline"], "ndcg@10"), result.paired


def test_a_query_of_the_test_is_no_row(beir_folder: Path) -> None:
    dataset = data.load(config_of("beir", beir_folder))
    assert len(dataset.train) == 120 and not np.isin(dataset.train.query_id, dataset.test.query_id).any()
    assert not len(dataset.history.events) and not dataset.train.moment.any() and "clicked" not in dataset.train.labels


def test_a_text_of_the_test_is_unknown_wherever_else_it_stands(beir_folder: Path, tmp_path: Path) -> None:
    """A training query of the same words goes with its judgments, and a table of queries may say more than its rows."""
    folder = tmp_path / "set"
    shutil.copytree(beir_folder, folder)
    lines = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    lines[0]["text"] = lines[-1]["text"].upper()
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, lines)))
    before, after = (data.load(config_of("beir", one)) for one in (beir_folder, folder))
    assert not np.isin(before.test.query_id, before.queries.query_id).any()
    assert not np.isin(after.test.query_id, after.queries.query_id).any()
    assert len(after.queries.query_id) == len(before.queries.query_id) - 1
    assert np.array_equal(
        after.queries.query_id, np.unique(np.concatenate([after.train.query_id, after.valid.query_id]))
    )
    more = Queries(
        query_id=np.append(before.queries.query_id, before.test.query_id),
        text=np.append(before.queries.text, before.test.query),
    )
    data.write(replace(before, queries=more), data.judgments(config_of("beir", beir_folder)), tmp_path / "tables")
    again, _ = collection_of(tmp_path / "tables")
    assert np.array_equal(again.queries.query_id, before.queries.query_id)


def test_a_set_without_training_judgments_says_so(tmp_path: Path) -> None:
    folder = folder_of_beir(tmp_path / "set")
    (folder / "qrels" / "train.tsv").unlink()
    config = config_of("beir", folder, encoder="own")
    dataset = data.load(config)
    with pytest.raises(InputError, match="none of 0 judged training queries"):
        model.fit(dataset, features.fit(dataset, config), config)


@pytest.mark.slow
def test_given_lists_are_ranked_not_below_lightgbm_as_it_comes(ranked: tuple[Config, Result]) -> None:
    config, result = ranked
    assert is_better(result.paired["model-baseline"], "ndcg@10"), result.paired
    dataset, key = data.load(config), data.judgments(config)
    table, rows = given.features(dataset.catalog), dataset.train
    sizes = np.unique(rows.request_id, return_counts=True)[1]
    foil = lightgbm.LGBMRanker(n_jobs=1, verbose=-1).fit(
        table[rows.doc_id], rows.labels["grade"].astype(int), group=sizes
    )
    lists = dataset.candidates
    assert lists is not None
    scores = np.where(
        lists.ids >= 0, cast(Any, foil).predict(table[lists.ids.ravel()]).reshape(lists.ids.shape), -np.inf
    )
    best = np.take_along_axis(lists.ids, np.argsort(-scores, axis=1, kind="stable"), 1)[:, :10]
    other = ndcg(key.gain(key.requests, best), key.grades, 10)
    mine = result.reports["model"].units
    difference = intervals.mean(mine - other, np.arange(len(mine)))

    assert difference.high is not None and difference.high > 0, difference


def test_the_order_of_the_file_says_nothing(tmp_path: Path) -> None:
    """Best first in the file: a feature that is always the same would be perfect if equals stayed where they stood."""
    dataset, key = collection.read_letor(folder_of_letor(tmp_path / "set", informative=False))
    lists = dataset.candidates
    assert lists is not None
    constant = replace(dataset, catalog=replace(dataset.catalog, numbers={"1": np.zeros(len(dataset.catalog))}))
    page = single.fit(constant).rerank(dataset.test, lists).ids[:, :10]
    worth = ndcg(key.gain(key.requests, page), key.grades, 10).mean()
    perfect = ndcg(key.gain(key.requests, key.relevant[:, :10]), key.grades, 10).mean()
    assert worth < 0.75 and perfect == pytest.approx(1.0)


@pytest.mark.slow
def test_what_is_given_is_saved_and_not_served(ranked: tuple[Config, Result], tmp_path: Path) -> None:
    config, result = ranked
    dataset, folder = data.load(config), result.artifact.folder
    one, ranker = single.fit(dataset), given.fit(dataset, config)
    assert json.loads((folder / "baseline" / single.FILE).read_text()) == {"feature": one.feature, "sign": one.sign}
    assert np.array_equal(columns.read(folder / "baseline" / single.COLUMN)["score"], one.score)
    saved = columns.read(folder / "model" / given.FILE)
    table = np.stack([saved[str(at)] for at in range(1, len(saved) + 1)], axis=1).astype(float)
    assert np.array_equal(trees.load(folder / "model").score(table), ranker.ranker.score(ranker.table))
    for stage in (one, ranker):
        with pytest.raises(InputError, match="no text to search"):
            stage.retrieve(dataset.test, 10)
    with pytest.raises(InputError, match="no text in it to search"):
        serve.Service(result.artifact, cast(Any, None))
    with pytest.raises(InputError, match="letor:DIR"):
        data.write(dataset, data.judgments(config), tmp_path / "tables")


def test_judgments_of_ones_own_come_back_from_tables(beir_folder: Path, tmp_path: Path) -> None:
    before = data.load(config_of("beir", beir_folder))
    key = data.judgments(config_of("beir", beir_folder))
    data.write(before, key, tmp_path)
    assert not (tmp_path / "events.csv").exists()
    after, again = collection_of(tmp_path)
    assert np.array_equal(after.train.doc_id, before.train.doc_id) and np.array_equal(
        after.train.query_id, before.train.query_id
    )
    assert np.array_equal(after.train.labels["grade"], before.train.labels["grade"])
    assert np.array_equal(again.relevant, key.relevant) and np.array_equal(after.catalog.title, before.catalog.title)


@pytest.mark.slow
def test_a_plain_table_of_judgments_runs_from_end_to_end(beir_folder: Path, tmp_path: Path) -> None:
    """Queries, documents and grades, and nothing else: no user, no time, no page, no log."""
    import pandas as pd

    dataset, key = collection.read_beir(beir_folder)
    rows, folder = dataset.train, tmp_path / "own"
    folder.mkdir()
    tables = {
        "rows": {"query_id": rows.query_id, "doc_id": rows.doc_id, "split": np.full(len(rows), "train"), "grade": rows.labels["grade"]},
        "catalog": {"doc_id": dataset.catalog.doc_id, "title": dataset.catalog.title, "description": dataset.catalog.description},
        "queries": {"query_id": dataset.queries.query_id, "query": dataset.queries.text},
        "requests": {"query_id": dataset.test.query_id, "query": dataset.test.query},
        "relevant": {"request": np.arange(len(key.relevant)), "doc_id": key.relevant[:, 0], "grade": key.grades[:, 0]},
    }  # fmt: skip
    schema = ["[file]", *(f'{name} = "{name}.csv"' for name in tables)]
    for name, table in tables.items():
        pd.DataFrame(table).to_csv(folder / f"{name}.csv", index=False)
        schema += [f"[{name}.roles]", *(f'{role} = "{role}"' for role in table)]
    (folder / "schema.toml").write_text("\n".join(schema))
    changes = dict(OVERRIDES["beir"]) | {"encoder": "own", "num_candidates": 30, "num_trees": 40, "min_leaf": 20}
    result = pipeline.run(replace(SMOKE, data=f"csv:{folder}", **changes), Registry(tmp_path / "registry"))
    assert is_better(result.paired["model-baseline"], "ndcg@10"), result.paired
    frame = pd.read_csv(folder / "rows.csv")
    frame.assign(grade=0.5).to_csv(folder / "rows.csv", index=False)
    with pytest.raises(InputError, match="no whole number"):
        data.load(replace(SMOKE, data=f"csv:{folder}"))


def test_an_unknown_data_set_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'beir'\? Known: beir, csv, letor, parquet, world"):
        data.load(replace(SMOKE, data="bier:x"))


def collection_of(folder: Path) -> tuple[Dataset, Any]:
    config = replace(SMOKE, data=f"csv:{folder}")
    return data.load(config), data.judgments(config)


def test_the_published_figures_stand_beside_scifact_alone(beir_folder: Path) -> None:
    assert data.load(config_of("beir", beir_folder)).published == "", "of another set of this form they say nothing"
    root = os.environ.get("MLSD_DATA")
    if not root:
        pytest.skip("MLSD_DATA is not set: no SciFact here")
    (folder,) = Path(root).glob("search_ranking/scifact/beir*")
    assert data.load(config_of("beir", folder)).published in evaluate.PUBLISHED
