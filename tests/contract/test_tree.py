"""Rules about the files themselves, read from their syntax trees: no library is asked, nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import common
from common import cases
from common.contract import STAGES

ROOT = Path(__file__).parents[2]
PACKAGES = ["common", "tests", "benchmarks", *cases.find()]
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

BANNED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
BANNED_CALLS = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "torch.load": "reads pickles",
    "torch.save": "writes pickles",
    "yaml.load": "builds any object: yaml.safe_load",
    "pandas.read_pickle": "reads pickles",
    "pd.read_pickle": "reads pickles",
    "os.system": "hands a string to a shell",
    "os.fork": "hangs after OpenMP has run: spawn",
    "to_pickle": "writes pickles",
}
BANNED_KEYWORDS = {"allow_pickle": "np.load reads pickles", "shell": "hands a string to a shell"}
ALLOWED = {("common/coverage_plugin.py", "exec"): "builds a function that raises, from the names of one of our own"}
VAGUE = {"utils", "util", "helpers", "helper", "misc", "manager"}


def calls(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, what, why not) of everything on the lists above."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
            yield from (
                (node.lineno, name, "is not safe to read") for name in names if name.split(".")[0] in BANNED_MODULES
            )
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            called = name if name in BANNED_CALLS else name.rpartition(".")[2] if name.endswith("pickle") else ""
            if called in BANNED_CALLS:
                yield node.lineno, name, BANNED_CALLS[called]
            for word in node.keywords:
                if word.arg in BANNED_KEYWORDS and not (isinstance(word.value, ast.Constant) and not word.value.value):
                    yield node.lineno, f"{name}({word.arg}=...)", BANNED_KEYWORDS[word.arg]
            if name.endswith("get_context") and any(
                isinstance(a, ast.Constant) and a.value == "fork" for a in node.args
            ):
                yield node.lineno, "fork", BANNED_CALLS["os.fork"]


def test_no_file_reads_code_from_data() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what} {why}"
        for path in SOURCES
        for line, what, why in calls(_parsed(path))
        if (str(path.relative_to(ROOT)), what) not in ALLOWED
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "torch.load(path)",
        "yaml.load(text)",
        "frame.to_pickle(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run('ls', shell=True)",
        "os.system('ls')",
        "multiprocessing.get_context('fork')",
    ],
)
def test_each_banned_thing_is_noticed(line: str) -> None:
    assert list(calls(ast.parse(line)))
    assert not list(
        calls(ast.parse("np.load(path, allow_pickle=False); yaml.safe_load(text); model.eval(); self.exec()"))
    )


def test_common_is_this_repository() -> None:
    """`common` is a taken name on the package index: the one imported must be ours."""
    assert Path(common.__file__).resolve() == ROOT / "common" / "__init__.py"


def test_no_name_says_nothing() -> None:
    vague = [str(path.relative_to(ROOT)) for path in SOURCES if path.stem in VAGUE or path.parent.name in VAGUE]
    assert not vague, f"name the thing: {', '.join(vague)}"


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


@pytest.mark.parametrize("case", ["tests/toy/scorer", "tests/toy/ranker", *cases.find()])
def test_a_case_has_the_same_files_as_its_sisters(case: str) -> None:
    folder = ROOT / case
    names = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert names == {*STAGES, "__init__", "__main__"}


@pytest.mark.parametrize("case", ["tests/toy/scorer", "tests/toy/ranker", *cases.find()])
def test_the_first_function_of_a_stage_is_its_verb(case: str) -> None:
    wrong = []
    for stage, verbs in STAGES.items():
        path = ROOT / case / f"{stage}.py"
        defined = (
            [node.name for node in _parsed(path).body if isinstance(node, ast.FunctionDef)] if path.exists() else []
        )
        wanted = [verb for verb in verbs if verb in defined]
        if wanted and defined[0] != wanted[0]:
            wrong.append(f"{path.relative_to(ROOT)}: {defined[0]} stands before {wanted[0]}")
    assert not wrong, "\n".join(wrong)


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
