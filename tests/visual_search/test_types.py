"""mypy checks each module of the case against its protocol. Nothing runs: the assignments are the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common import contract as k
    from visual_search import (
        baseline,
        config,
        data,
        drills,
        evaluate,
        experiments,
        features,
        model,
        monitor,
        pipeline,
        policy,
        schema,
        serve,
        simulate,
        world,
    )
    from visual_search.model import joint, parts

    a1: k.WorldStage[config.Config, world.World] = world
    a2: k.DataStage[config.Config, schema.Dataset, schema.Judgments, schema.Live] = data
    a3: k.FeaturesStage[schema.Dataset, config.Config, k.Features[schema.Rows, features.Inputs]] = features
    a4: k.FitStage[schema.Dataset, features.Features, config.Config, k.Ranker[schema.Requests]] = baseline
    a5: k.FitStage[schema.Dataset, features.Features, config.Config, k.Ranker[schema.Requests]] = model
    a6: k.PolicyStage[k.Ranking, schema.Rows, config.Config, policy.Policy] = policy
    a7: k.EvaluateStage[k.Ranking, schema.Judgments, config.Config] = evaluate
    a8: k.ServeStage[schema.Request, schema.Answer] = serve
    a9: k.MonitorStage[k.Ranking, schema.Rows, schema.Live, config.Config] = monitor
    a10: k.SimulateStage[config.Config] = simulate
    a11: k.ExperimentsStage = experiments
    a12: k.DrillsStage = drills
    a13: k.PipelineStage[config.Config] = pipeline

    def is_an_encoder(made: joint.Joint) -> parts.Encoder:
        return made
