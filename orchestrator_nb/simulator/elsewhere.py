"""Faults before an answer: a port where nobody listens, a name that does not exist, certificates that are not to be trusted."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

NO_SUCH_HOST = "http://no-such-host.invalid"
"""A base URL whose name never resolves (RFC 6761)."""

Flaw = Literal["self-signed", "expired", "wrong-host"]


def refused_url() -> str:
    """A base URL on loopback where connections are refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@contextlib.contextmanager
def tls_server(flaw: Flaw) -> Iterator[tuple[str, bytes]]:
    """A TLS server with a flawed certificate; gives its base URL and the certificate of its authority in PEM.

    A client that trusts that authority still has to refuse ``expired`` and ``wrong-host``; ``self-signed`` is refused by all who do not.
    """
    certificate, key = _certificate(flaw)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(key + certificate)
        context.load_cert_chain(pair)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        thread = threading.Thread(target=_shake_hands, args=(listener, context), name="onb-flawed-tls", daemon=True)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}", certificate
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Offer the certificate; whoever accepts it gets an answer that a test can recognise."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:  # the listener was shut down
            return
        with client, contextlib.suppress(OSError):
            client.settimeout(5)
            with context.wrap_socket(client, server_side=True) as secured:
                secured.recv(65_536)
                secured.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-simulated: 1\r\nconnection: close\r\n\r\n{}"
                )


def _certificate(flaw: Flaw) -> tuple[bytes, bytes]:
    """A self-signed certificate and its key in PEM."""
    from cryptography import x509  # only for the TLS faults: the simulator starts without it
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    start, end = (now - datetime.timedelta(days=60), now - datetime.timedelta(days=30 if flaw == "expired" else -30))
    host = x509.DNSName("example.org") if flaw == "wrong-host" else x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Simulated authority")]),
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
    )
    builder = (
        builder.not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private
