"""What crafted input costs the server of harmful_content: bombs, torn pictures, floods of marks; a part of benchmarks/moderation.py."""

from __future__ import annotations

import base64
import io
import json
import struct
import time
import zlib
from typing import Any

from benchmarks.harness import Row, quantile
from common.serving.app import Server
from harmful_content.schema import EXAMPLE, MOST_CHARS
from harmful_content.serve import ROUTE


def crafted(server: Server, times: int) -> list[Row]:
    """From the bytes of the request to its answer or refusal, in process, the door included."""
    from starlette.testclient import TestClient

    client, rows = TestClient(server.app, raise_server_exceptions=False), list[Row]()
    headers = {"content-type": "application/json"}
    for what, changed in inputs_to_fear().items():
        body, ms, answer = as_json({**EXAMPLE, **changed}), list[float](), None
        for _ in range(times):
            begin = time.perf_counter()
            answer = client.post(ROUTE, content=body, headers=headers)
            ms.append((time.perf_counter() - begin) * 1e3)
        assert answer is not None
        told = answer.json()
        rows.append(
            {
                "what": f"crafted: {what}", "kb": len(body) / 1e3, "status": answer.status_code, "action": told.get("action", ""),
                "p50_ms": quantile(ms, 0.5), "worst_ms": max(ms), "said": told.get("error", {}).get("why", "")[:80],
            }
        )  # fmt: skip
    return rows


def as_json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def inputs_to_fear() -> dict[str, dict[str, Any]]:
    letters = MOST_CHARS
    pictures = {
        "a plain post": "",
        "PNG that says 17,000 x 17,000 (900 MB)": png_of_zeros(17_000, 17_000),
        "PNG of 1,000 x 1,000 zeros, the most that is unfolded": png_of_zeros(1_000, 1_000),
        "PNG of 2,000 x 2,000": png_of_zeros(2_000, 2_000),
        "JPEG of 1,000 x 1,000": saved("RGB", (1_000, 1_000), "JPEG"),
        "PNG, torn": saved("RGB", (400, 400), "PNG", noise=True)[:4_000],
        "PNG with a palette and transparency": saved("RGBA", (300, 300), "PNG"),
        "JPEG in CMYK": saved("CMYK", (300, 300), "JPEG"),
        "GIF": saved("P", (300, 300), "GIF"),
        "SVG": base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'>" + b"<g>" * 9_000).decode(),
        "PNG by its name, zeros behind": base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(200_000)).decode(),
    }
    words = {
        "text of 1 MB": "a" * 999_000,
        "text of 2 MB": "a" * 2_000_000,
        "one word without end": "a" * letters,
        "zero-width flood": "\u200b" * letters,
        "combining marks on one letter": "a" + "\u0301" * (letters - 1),
        "marks of falling class, unsorted": ("\u0345\u0301\u0327\u0315" * letters)[:letters],
        "right-to-left overrides": "\u202e" * (letters // 2) + "abc " * (letters // 8),
        "control characters": "\x01\x02" * (letters // 2),
        "words spaced out, letter by letter": "s m a s h " * (letters // 10),
        "ligatures that become eighteen letters": "\ufdfa" * letters,
        "scripts without spaces": "動画" * (letters // 2),
    }
    return {name: {"image": image} for name, image in pictures.items()} | {
        name: {"text": text} for name, text in words.items()
    }


def png_of_zeros(width: int, height: int) -> str:
    """Rows of zeros, squeezed a thousandfold: as many as it says, or 20 MB of them."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = zlib.compress(bytes(min(height * (3 * width + 1), 20_000_000)), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return base64.b64encode(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    ).decode()


def saved(mode: str, size: tuple[int, int], kind: str, noise: bool = False) -> str:
    from PIL import Image

    file = io.BytesIO()
    made = Image.effect_noise(size, 90).convert("RGB") if noise else Image.new(mode, size)
    made.save(file, format=kind)
    return base64.b64encode(file.getvalue()).decode()
