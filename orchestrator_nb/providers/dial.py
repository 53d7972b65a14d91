"""A TCP connection to the first address of a host that answers, whose socket is closed whenever anything goes wrong.

`loop.create_connection` with ``happy_eyeballs_delay`` would race the addresses, but before Python 3.12 it forgets the winner's socket when the
caller is cancelled in the same moment, which a fan-out that is interrupted does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any, Final

PATIENCE_S: Final = 1.0
"""How long an address may keep the next one waiting: a TCP handshake that takes longer is one that goes nowhere."""


async def dial(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket. Raises `OSError`, of which `socket.gaierror` is one, for the last address."""
    *others, last = await _addresses(host, port)
    for address in others:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await _connected(*address)
        except OSError:  # the next one; TimeoutError is one of them
            continue
    return await _connected(*last)


async def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    """Families and addresses, in the system's order of preference. A number is not looked up: that would cost a thread."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(family, address) for family, *_, address in found]
    return [(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]


async def _connected(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
