"""Run the browser port and the device port in one event loop, with bounds on everything a stranger can hold open.

Guarantees: no listener beyond loopback without TLS; the device port requires a client certificate of the site CA; TLS 1.2
at least; a stop lets running requests end, then closes.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from protocol.errors import RefusedError, StorageError, UnavailableError
from web.peer_certificates import App, PeerCertificateProtocol

KEEP_ALIVE_S = 75
GRACE_S = 5
MAX_CONNECTIONS = 2048
MAX_HEADER_BYTES = 32_768


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """PEM files of one port: its chain, its key, and (device port) the authority that clients must come from."""

    certificate: Path
    key: Path
    clients: Path | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a port listens (port 0: any free one) and with which keys (None: plain HTTP, loopback only)."""

    name: str
    host: str
    port: int
    keys: ServerKeys | None


class _Server(uvicorn.Server):
    """A server that leaves signals to the program around it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Serving:
    """A running port: its address, and the way to stop it."""

    url: str
    server: uvicorn.Server
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """Let running requests end within the grace time and close."""
        self.server.should_exit = True
        await self.task
        await asyncio.sleep(0)  # what was accepted while it closed is a connection now
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


def is_loopback(host: str) -> bool:
    """Tell whether a bind address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_listener(listener: Listener) -> None:
    """Raise RefusedError when a port would speak plain HTTP to a network."""
    if listener.keys is None and not is_loopback(listener.host):
        raise RefusedError(
            f"will not listen on {listener.host} without TLS: set its certificate and key, or bind 127.0.0.1",
            where=listener.name,
        )


def tls_context(keys: ServerKeys) -> ssl.SSLContext:
    """Build the server side; raise StorageError naming the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(keys.certificate, keys.key)
        if keys.clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            # The boxes' site CA is the anchor we are given; its own root is offline and need not be here.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cafile=keys.clients)
    except (OSError, ssl.SSLError) as error:
        raise StorageError(f"cannot use the TLS files: {error}", where=str(keys.certificate)) from error
    return context


def bind(listener: Listener) -> socket.socket:
    """Open the listening socket; raise UnavailableError when the address is taken."""
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    # Named TCP, so that asyncio turns Nagle's delay off on what it accepts: each answer would wait 40 ms otherwise.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((listener.host, listener.port))
    except OSError as error:
        opened.close()
        raise UnavailableError(f"cannot listen on {listener.host}:{listener.port}: {error.strerror}", where=listener.name) from error
    return opened


async def serve(app: App, listener: Listener) -> Serving:
    """Start one port and wait until it accepts."""
    check_listener(listener)
    context = tls_context(listener.keys) if listener.keys else None
    opened = bind(listener)
    wants_clients = listener.keys is not None and listener.keys.clients is not None
    config = uvicorn.Config(
        app,
        http=PeerCertificateProtocol if wants_clients else "httptools",
        ws="none",
        ssl_context_factory=(lambda _config, _default: context) if context else None,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([opened]), name=f"port {listener.name}")
    while not server.started:
        if task.done():
            await task
            raise UnavailableError("the server ended before it began", where=listener.name)
        await asyncio.sleep(0.01)
    host, port = opened.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return Serving(f"{'https' if context else 'http'}://{shown}:{port}", server, task)


@contextlib.asynccontextmanager
async def serving(pairs: Sequence[tuple[App, Listener]]) -> AsyncIterator[list[Serving]]:
    """Run several ports until the block ends; stop them all, whichever fails."""
    running: list[Serving] = []
    try:
        for app, listener in pairs:
            running.append(await serve(app, listener))
        yield running
    finally:
        await asyncio.gather(*(port.stop() for port in running))
