"""The page for looking: it asks nobody but this server, and the status page leads to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.checks import Trial
from visual_search import serve
from visual_search.serve import look, thumbnails

PAGE = Path(look.__file__).with_name("look.html").read_text()


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert not re.search(r"(https?:)?//[a-z]", PAGE)


def test_it_asks_the_public_routes() -> None:
    asked = set(re.findall(r"/visual_search/[a-z_]+", PAGE))
    assert asked == {serve.ROUTE, thumbnails.PATH.split("/{")[0]}


@pytest.mark.slow
def test_it_is_served_and_the_status_page_leads_to_it(trial: Trial) -> None:
    client = trial.served.client
    assert client.get(look.PATH).text == PAGE
    assert f'href="{look.PATH}"' in client.get("/").text
