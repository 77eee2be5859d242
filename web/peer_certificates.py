"""Hand a verified client certificate to the application, and tell which box it names.

The transport has already checked the chain (CERT_REQUIRED); here the leaf is put into `scope["extensions"]["tls"]`, in the
shape of the ASGI TLS extension, because the server does not do so itself.
"""

from asyncio import Transport
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from protocol.certificates import Certificate, Identity
from protocol.errors import ForbiddenError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class PeerCertificateProtocol(HttpToolsProtocol):
    """HTTP/1.1 over TLS whose requests carry the client's certificate."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wrap the application so that each of this connection's requests sees the certificate."""
        super().connection_made(transport)
        session = transport.get_extra_info("ssl_object")
        der = session.getpeercert(True) if session else None
        extension = {"tls_version": session.version() if session else None, "client_cert_der": der}
        app = cast("App", self.app)

        async def with_certificate(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})["tls"] = extension
            await app(scope, receive, send)

        self.app = cast("Any", with_certificate)


def peer_certificate(scope: Scope) -> Certificate:
    """Give the client's certificate; raise ForbiddenError when there is none."""
    der = scope.get("extensions", {}).get("tls", {}).get("client_cert_der")
    if not der:
        raise ForbiddenError("no client certificate", where="tls")
    return Certificate.parse(der)


def peer_identity(certificate: Certificate) -> Identity:
    """Give the box a TLS certificate names; raise ForbiddenError when it is not meant for connecting."""
    if "client" not in certificate.usages:
        raise ForbiddenError("certificate is not for opening connections", where="tls")
    return certificate.identity
