"""GET /visual_search/look: the gallery to look at and to search in, one page over the same public routes as everybody's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import HTMLResponse

PATH = "/visual_search/look"


def router() -> APIRouter:
    made = APIRouter()

    @made.get(PATH, include_in_schema=False)
    async def look() -> HTMLResponse:
        return HTMLResponse(_page())

    return made


@cache
def _page() -> str:
    return Path(__file__).with_name("look.html").read_text()
