"""GET /visual_search/images/ID.jpg: the gallery's pictures, as small as they are compared. What may not be shown has none."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from starlette.responses import Response

from common.serving import guards

PATH = "/visual_search/images/{image_id}.jpg"
MOST_ID = 2**31
SECONDS = 60  # a browser may keep one: a deleted image is gone from answers at once, and from there after this


def path(image_id: int, user_id: int, is_private: bool) -> str:
    """Where an image shown to this person is served: a private one to its owner alone."""
    return PATH.format(image_id=image_id) + (f"?user_id={user_id}" if is_private else "")


def router(find: Callable[[int, int], bytes | None]) -> APIRouter:
    """find(image_id, user_id) -> a JPEG, None where there is none for this person."""
    made = APIRouter()

    @made.get(PATH, responses={404: {"description": "There is no such image."}}, response_class=Response)
    def thumbnail(image_id: int, user_id: int = -1) -> Response:
        jpeg = find(image_id, user_id) if 0 <= image_id < MOST_ID else None
        if jpeg is None:
            raise guards.Refused(
                404,
                what="There is no such image.",
                why="None with this id is in the gallery, or none that may be shown.",
                next="Ask for an image that an answer shows.",
            )
        return Response(jpeg, media_type="image/jpeg", headers={"cache-control": f"max-age={SECONDS}"})

    return made
