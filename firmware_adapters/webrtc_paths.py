"""Bind media sockets within a range of ports and on chosen addresses.

Guarantees: a port outside the range is never bound; a taken port is passed over; without a free one the refusal says so. Media
packets are told from STUN by their first byte. Imports aioice only.
"""

import asyncio
import errno
import random
import socket
from functools import partial
from typing import Any, TypeAlias

import aioice.ice
from aioice.candidate import Candidate, candidate_foundation, candidate_priority

from protocol.errors import UnavailableError

Foreign: TypeAlias = Any  # an object of the library, reached by private names


class MediaProtocol(aioice.ice.StunProtocol):
    """Tells media from STUN by the first byte (RFC 7983) instead of parsing each packet as STUN first."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Take one datagram."""
        if isinstance(data, bytes) and data and 127 < data[0] < 192:
            self.receiver.data_received(data, self.local_candidate.component)
        else:
            super().datagram_received(data, addr)


def bind_within(connection: Foreign, hosts: tuple[str, ...], ports: tuple[int, int] | None) -> None:
    """Make one ICE connection gather its candidates on the set addresses (none: all) and ports (none: any).

    Gathering raises UnavailableError when every port is taken.
    """
    gather = partial(aioice.ice.Connection.get_component_candidates, connection)  # the class's: this may run twice on one object

    async def get_component_candidates(component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        chosen = list(hosts) or addresses or ["127.0.0.1"]
        protocols = [protocol for host in chosen if (protocol := await _bind(connection, component, host, ports)) is not None]
        if not protocols:
            raise UnavailableError(f"no free media port in {ports} on {', '.join(chosen)}", where="media ports")
        connection._protocols += protocols
        candidates = [protocol.local_candidate for protocol in protocols]
        if connection.stun_server:
            asked = (aioice.ice.server_reflexive_candidate(each, connection.stun_server) for each in protocols)
            answers = await asyncio.gather(*(asyncio.wait_for(each, timeout) for each in asked), return_exceptions=True)
            candidates += [answer[0] for answer in answers if not isinstance(answer, BaseException)]
        return candidates + list(await gather(component, [], timeout))  # the TURN server, by the library's own way

    connection.get_component_candidates = get_component_candidates


async def _bind(connection: Foreign, component: int, host: str, ports: tuple[int, int] | None) -> Foreign:
    """Bind one socket, starting anywhere in the range; None when the address or every port is taken."""
    loop = asyncio.get_running_loop()
    first, last = ports or (0, 0)
    count = last - first + 1
    start = random.randrange(count)  # noqa: S311 - spreads load, hides nothing
    for step in range(count):
        port = first + (start + step) % count
        try:
            transport, protocol = await loop.create_datagram_endpoint(lambda: MediaProtocol(connection), local_addr=(host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            return None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 << 20)
        address = transport.get_extra_info("sockname")
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", address[0]),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=address[0],
            port=address[1],
            type="host",
        )
        return protocol
    return None
