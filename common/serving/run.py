"""A Server on a socket: on loopback unless told otherwise, in the foreground or beside the caller."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from common.errors import InputError
from common.serving.app import Server

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 5
SWITCH_SECONDS = 0.0002  # a stage that waits behind an abandoned busy one gets its turn in 0.2 ms and not in Python's 5


def run_server(server: Server, host: str = LOOPBACK, port: int = 8000) -> None:
    """Serves until interrupted; then no new request is taken and those in flight get a few seconds to end."""
    listener = listen(host, port)
    try:
        uvicorn.Server(settings(server)).run(sockets=[listener])
    finally:
        server.close()


@contextmanager
def running(server: Server, host: str = LOOPBACK, port: int = 0) -> Iterator[str]:
    """Serves in a thread while the block runs; -> its URL. Port 0 takes a free one."""
    listener = listen(host, port)
    inner = uvicorn.Server(settings(server))
    thread = threading.Thread(target=inner.run, kwargs={"sockets": [listener]}, name="server", daemon=True)
    thread.start()  # the socket is bound and listening already: the first request waits in its backlog
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        inner.should_exit = True
        thread.join(timeout=2 * GRACE_SECONDS)
        server.close()


def settings(server: Server) -> uvicorn.Config:
    sys.setswitchinterval(SWITCH_SECONDS)
    return uvicorn.Config(
        server.app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS, lifespan="off"
    )


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: asyncio switches Nagle's algorithm off only then, and with it on every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"Port {port} on {host} cannot be taken ({error.strerror}). Choose another with --port."
        ) from None
    listener.listen(128)
    return listener
