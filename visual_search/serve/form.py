"""A search as a form with a file, for a page or a phone that has the photo and not its base64: the same fields, the same checks, the same answer.

A page from elsewhere can have a browser post a form here, as it cannot JSON: it then leaves impressions, which a click alone does not, and reads nothing.
"""

from __future__ import annotations

import base64

import orjson
from fastapi import Request
from starlette.datastructures import UploadFile

from common.serving import guards
from common.serving.requests import parsed

MULTIPART = "multipart/form-data"
KINDS = ("application/json", MULTIPART)
MOST_FIELDS = 10
TEXTS = ("text",)


async def read(request: Request) -> bytes:
    """The body as JSON, whether it came as JSON or as a form: `image` is a file there, `text` is text, and any other field is JSON in itself."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != MULTIPART:
        return await guards.json_body(request)
    found: dict[str, object] = {}
    limit = guards.MAX_BODY_BYTES
    async with request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=limit) as form:
        for name, value in form.multi_items():
            if name in found:
                raise guards.refused_fields([{"loc": (name,), "msg": "each field once in a form"}])
            if isinstance(value, UploadFile):
                found[name] = base64.b64encode(await value.read()).decode()
            else:
                found[name] = value if name in TEXTS else parsed(value)
    return orjson.dumps(found)
