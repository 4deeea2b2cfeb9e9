"""mypy checks each module of the toys against its protocol. tests/CASE/test_types.py does the same for a case, and goes when the case goes.

Nothing here runs: the assignments are the test, and `make check` runs mypy over them. That they can fail is shown below, by mypy itself.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from common import contract as k
    from tests.toy.ranker import (
        baseline as r_baseline,
    )
    from tests.toy.ranker import (
        config as r_config,
    )
    from tests.toy.ranker import (
        data as r_data,
    )
    from tests.toy.ranker import (
        drills as r_drills,
    )
    from tests.toy.ranker import (
        evaluate as r_evaluate,
    )
    from tests.toy.ranker import (
        experiments as r_experiments,
    )
    from tests.toy.ranker import (
        features as r_features,
    )
    from tests.toy.ranker import (
        model as r_model,
    )
    from tests.toy.ranker import (
        monitor as r_monitor,
    )
    from tests.toy.ranker import (
        pipeline as r_pipeline,
    )
    from tests.toy.ranker import (
        policy as r_policy,
    )
    from tests.toy.ranker import (
        schema as r_schema,
    )
    from tests.toy.ranker import (
        serve as r_serve,
    )
    from tests.toy.ranker import (
        simulate as r_simulate,
    )
    from tests.toy.ranker import (
        world as r_world,
    )
    from tests.toy.scorer import (
        baseline as s_baseline,
    )
    from tests.toy.scorer import (
        config as s_config,
    )
    from tests.toy.scorer import (
        data as s_data,
    )
    from tests.toy.scorer import (
        drills as s_drills,
    )
    from tests.toy.scorer import (
        evaluate as s_evaluate,
    )
    from tests.toy.scorer import (
        experiments as s_experiments,
    )
    from tests.toy.scorer import (
        features as s_features,
    )
    from tests.toy.scorer import (
        model as s_model,
    )
    from tests.toy.scorer import (
        monitor as s_monitor,
    )
    from tests.toy.scorer import (
        pipeline as s_pipeline,
    )
    from tests.toy.scorer import (
        policy as s_policy,
    )
    from tests.toy.scorer import (
        schema as s_schema,
    )
    from tests.toy.scorer import (
        serve as s_serve,
    )
    from tests.toy.scorer import (
        simulate as s_simulate,
    )
    from tests.toy.scorer import (
        world as s_world,
    )

    s1: k.WorldStage[s_config.Config, s_world.World] = s_world
    s2: k.DataStage[s_config.Config, s_schema.Dataset, s_schema.Judgments, s_schema.Live] = s_data
    s3: k.FeaturesStage[s_schema.Dataset, s_config.Config, k.Features[s_schema.Rows, k.Floats]] = s_features
    s4: k.FitStage[s_schema.Dataset, s_features.Features, s_config.Config, k.Scorer[k.Floats]] = s_baseline
    s5: k.FitStage[s_schema.Dataset, s_features.Features, s_config.Config, k.Scorer[k.Floats]] = s_model
    s6: k.PolicyStage[k.Floats, s_schema.Rows, s_config.Config, s_policy.Policy] = s_policy
    s7: k.EvaluateStage[k.Floats, s_schema.Judgments, s_config.Config] = s_evaluate
    s8: k.ServeStage[s_schema.Request, s_schema.Answer] = s_serve
    s9: k.MonitorStage[k.Floats, s_schema.Rows, s_schema.Live, s_config.Config] = s_monitor
    s10: k.SimulateStage[s_config.Config] = s_simulate
    s11: k.ExperimentsStage = s_experiments
    s12: k.DrillsStage = s_drills
    s13: k.PipelineStage[s_config.Config] = s_pipeline
    s14: k.ItemsSchema = s_schema

    r1: k.WorldStage[r_config.Config, r_world.World] = r_world
    r2: k.DataStage[r_config.Config, r_schema.Dataset, r_schema.Judgments, r_schema.Live] = r_data
    r3: k.FeaturesStage[r_schema.Dataset, r_config.Config, k.Features[r_schema.Rows, k.Ints]] = r_features
    r4: k.FitStage[r_schema.Dataset, r_features.Features, r_config.Config, k.Ranker[r_schema.Requests]] = r_baseline
    r5: k.FitStage[r_schema.Dataset, r_features.Features, r_config.Config, k.Ranker[r_schema.Requests]] = r_model
    r6: k.PolicyStage[k.Ranking, r_schema.Rows, r_config.Config, r_policy.Policy] = r_policy
    r7: k.EvaluateStage[k.Ranking, r_schema.Judgments, r_config.Config] = r_evaluate
    r8: k.ServeStage[r_schema.Request, r_schema.Answer] = r_serve
    r9: k.MonitorStage[k.Ranking, r_schema.Rows, r_schema.Live, r_config.Config] = r_monitor
    r10: k.SimulateStage[r_config.Config] = r_simulate
    r11: k.ExperimentsStage = r_experiments
    r12: k.DrillsStage = r_drills
    r13: k.PipelineStage[r_config.Config] = r_pipeline
    r14: k.ItemsSchema = r_schema

ROOT = Path(__file__).parents[2]
WRONG = """
from common import contract as k
from tests.toy.scorer import config, evaluate, features, model, schema, serve

a: k.FitStage[schema.Dataset, features.Features, config.Config, k.Ranker[schema.Rows]] = model  # a Scorer is no Ranker
b: k.EvaluateStage[k.Ranking, schema.Judgments, config.Config] = evaluate  # takes probabilities
c: k.ServeStage[schema.Answer, schema.Request] = serve  # the wrong way round
"""


@pytest.mark.slow
def test_mypy_sees_a_module_that_breaks_its_protocol(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
        str(tmp_path / "wrong.py"),
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    wrong = sorted(
        {int(line.split(":")[1]) for line in ran.stdout.splitlines() if "wrong.py:" in line and ": error:" in line}
    )
    assert wrong == [5, 6, 7], f"mypy ended with {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
