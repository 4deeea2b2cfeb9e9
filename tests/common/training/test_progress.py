"""Progress: on stderr alone, and silent when told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.training import progress


@pytest.fixture(autouse=True)
def spoken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MLSD_QUIET", raising=False)
    progress.quiet(False)
    yield
    progress.quiet(False)


def test_a_step_says_its_name_and_its_time_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("train"):
        pass
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("train ...\ntrain 0.") and err.endswith(" s\n")


def test_a_step_that_fails_says_so_and_raises(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), progress.step("train"):
        raise RuntimeError
    assert "train failed after" in capsys.readouterr().err


def test_a_bar_yields_what_it_was_given_and_logs_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(progress.bar(range(5), 5, "rows")) == list(range(5))
    assert capsys.readouterr() == ("", "")  # nothing yet: it took no ten seconds
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    assert list(progress.bar(iter(range(3)), None, "rows")) == [0, 1, 2]
    assert capsys.readouterr().err == "rows 0\nrows 1\nrows 2\n"


def test_on_a_terminal_the_bar_draws_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(progress.bar(range(3), 3, "rows")) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out == "" and "rows" in err


@pytest.mark.parametrize("how", ["switch", "environment"])
def test_quiet_is_quiet(how: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "switch":
        progress.quiet()
    else:
        monkeypatch.setenv("MLSD_QUIET", "1")
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with progress.step("train"):
        assert list(progress.bar(range(3), 3, "rows")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
