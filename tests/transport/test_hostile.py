"""A far side that means harm: bombs, endless things, wrong certificates; and an environment that would lead astray."""

import asyncio
import datetime as dt
import gzip
import ipaddress
import itertools
import logging
import os
import socket
import ssl
import sys
import time
import zlib
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator_nb import errors
from orchestrator_nb.providers.network import Network
from orchestrator_nb.providers.transport import trusted

MIB = 2**20


def run(work):
    return asyncio.run(work)


# Bombs


def zeros_packed(mebibytes):
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(mebibytes)) + packer.flush()


def packed(encoding, body):
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def endless(head, piece):
    """A server that sends ``piece`` for as long as somebody reads."""

    async def answer(_request, writer):
        writer.write(head)
        for _ in range(200 * MIB // len(piece)):
            writer.write(piece)
            await writer.drain()

    return answer


def of(head, pieces):
    async def answer(_request, writer):
        writer.write(head)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()

    return answer


JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
SSE_HEAD = JSON_HEAD.replace(b"application/json", b"text/event-stream")
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DEEP = b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
DIGITS = (
    b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":' + b"9" * 5000 + b"}}"
)

BOMBS = {
    "gzip": (packed("gzip", zeros_packed(64)), errors.ResponseTooLarge),
    "double gzip": (packed("gzip, gzip", gzip.compress(zeros_packed(200))), errors.ResponseTooLarge),
    "deflate": (packed("deflate", zlib.compress(bytes(8 * MIB))), errors.ResponseTooLarge),
    "br": (packed("br", b"\x5b\xff\xff\x7f" * 100), errors.ResponseTooLarge),
    "zstd": (packed("zstd", b"\x28\xb5\x2f\xfd" * 100), errors.ResponseTooLarge),
    "unknown encoding": (packed("x-new", b"?"), errors.ResponseTooLarge),
    "endless line": (endless(SSE_HEAD, b"data: " + b"x" * 65536), errors.ResponseTooLarge),
    "endless plain body": (endless(JSON_HEAD, b" " * 65536), errors.ResponseTooLarge),
    "endless header": (endless(b"HTTP/1.1 200 OK\r\nx: ", b"x" * 4096), errors.ResponseTooLarge),
    "endless headers": (endless(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n" * 512), errors.ResponseTooLarge),
    "endless status line": (endless(b"HTTP/1.1 200 ", b"O" * 4096), errors.ResponseTooLarge),
    "endless interim answers": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 200), errors.ResponseTooLarge),
    "endless trailers": (endless(CHUNKED + b"0\r\n", b"x-a: b\r\n" * 512), errors.OrchestratorError),
    "endless chunk extension": (endless(CHUNKED + b"1;", b"x" * 65536), errors.ResponseTooLarge),
    "a million tiny events": (of(SSE_HEAD, itertools.repeat(b"data: {}\n\n" * 1000, 1000)), errors.ResponseTooLarge),
    "a million tiny chunks": (of(CHUNKED, itertools.repeat(b"1\r\n\n\r\n" * 1000, 1000)), errors.OrchestratorError),
    "2 GiB announced": (
        JSON_HEAD.replace(b"connection: close", b"content-length: 2147483648"),
        errors.ResponseTooLarge,
    ),
    "a length of 400 digits": (
        JSON_HEAD.replace(b"connection: close", b"content-length: " + b"9" * 400),
        errors.BadResponse,
    ),
    "deep JSON": (of(JSON_HEAD, [DEEP]), errors.ResponseTooLarge),
    "deep event": (of(SSE_HEAD, [b"data: " + DEEP + b"\n\n"]), errors.ResponseTooLarge),
    "many digits": (of(JSON_HEAD, [DIGITS]), errors.ResponseTooLarge),
    "many digits in an event": (of(SSE_HEAD, [b"data: " + DIGITS + b"\n\n"]), errors.ResponseTooLarge),
}


PROC = Path("/proc/self")


def peak_kib():
    lines = (PROC / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def forget_peak():
    (PROC / "clear_refs").write_text("5")


@pytest.mark.skipif(not (PROC / "clear_refs").exists(), reason="peak memory is read as Linux tells it")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_a_typed_error_within_seconds_and_64_mebibytes(far, bomb):
    answer, kind = BOMBS[bomb]

    async def main():
        async with far.serve(answer) as there:
            forget_peak()
            before, started = peak_kib(), time.monotonic()
            error = await far.ask(there.url, stream=True)
            return error, time.monotonic() - started, peak_kib() - before, await there.all_closed()

    error, took_s, grown_kib, closed = run(main())
    assert isinstance(error, kind), repr(error)
    assert not isinstance(error, errors.ResponseTooLarge) or not error.verdict.again
    assert took_s < 20
    assert grown_kib < 64 * 1024
    assert closed


def test_a_compressed_error_keeps_its_status_and_is_not_unpacked(far):
    body = zeros_packed(64)
    head = (
        b"HTTP/1.1 429 Slow\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
        % len(body)
    )

    async def main():
        async with far.serve(head + body) as there:
            return await far.ask(there.url)

    assert type(run(main())) is errors.RateLimited


def test_text_that_came_before_a_cap_is_kept(far):
    events = far.event("So far") + b"data: {}\n\n" * 250_000

    async def main():
        async with far.serve(of(SSE_HEAD, [events])) as there:
            return await far.ask(there.url, stream=True)

    error = run(main())
    assert type(error) is errors.ResponseTooLarge
    assert (error.partial, error.billed) == ("So far", "yes")


# Certificates


def certificate(name, *, issuer=None, hosts=("127.0.0.1",), days=(-1, 1), ca=False):
    """A certificate and its key, signed by ``issuer`` or itself."""
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signing = issuer or (None, own)
    now = dt.datetime.now(dt.UTC)
    names = [x509.IPAddress(ipaddress.ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
    public = own.public_key()
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.subject if signer else subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .sign(signing, hashes.SHA256())
    )
    return built, own


@pytest.fixture(scope="module")
def authority():
    return certificate("Test authority", ca=True)


@pytest.fixture
def tls(authority, tmp_path):
    """A function: a server's context with such a certificate. `tls.ca` is the file of the authority."""

    def context(**how):
        cert, key = certificate("far", issuer=None if how.pop("self_signed", False) else authority, **how)
        chain = tmp_path / "chain.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain.write_bytes(cert.public_bytes(serialization.Encoding.PEM) + private)
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(chain)
        return made

    context.ca = str(tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_bytes(authority[0].public_bytes(serialization.Encoding.PEM))
    return context


async def over_tls(far, context, **network):
    async with far.serve(far.OK, tls=context) as there:
        return await far.ask(there.url, network=Network(**network)), there.requests


BOTH = pytest.mark.parametrize("transport", ["thin", "httpx2"])


@BOTH
def test_a_certificate_of_the_users_own_authority_is_trusted(far, tls, transport):
    answer, _ = run(over_tls(far, tls(), ca_file=tls.ca, transport=transport))
    assert getattr(answer, "text", answer) == "Hello."


@BOTH
@pytest.mark.parametrize(
    "how",
    [{"self_signed": True}, {"days": (-3, -1)}, {"days": (1, 3)}, {"hosts": ("example.com",)}],
    ids=["self-signed", "expired", "not yet", "wrong host"],
)
def test_a_bad_certificate_is_refused_before_anything_is_sent_and_never_tried_again(far, tls, how, transport):
    error, requests = run(over_tls(far, tls(**how), ca_file=tls.ca, transport=transport))
    assert type(error) is errors.TLSFailure
    assert (error.verdict.again, error.billed) == (False, "no")
    assert requests == []


@BOTH
def test_an_unknown_authority_is_refused(far, tls, transport):
    error, requests = run(over_tls(far, tls(), transport=transport))
    assert type(error) is errors.TLSFailure
    assert requests == []


@BOTH
def test_a_server_that_speaks_plain_http_where_tls_is_asked_is_refused(far, tls, transport):
    async def main():
        async def plain(_reader, writer):
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        async with server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await far.ask(url, network=Network(ca_file=tls.ca, transport=transport))

    assert type(run(main())) is errors.TLSFailure


def test_no_setting_turns_the_check_off():
    context = trusted(Network())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not [name for name in Network.__dataclass_fields__ if "verify" in name or "insecure" in name]


def test_a_stream_over_tls_arrives_piece_by_piece_and_cancelling_closes_it(far, tls):
    async def main():
        async def answer(_request, writer):
            writer.write(far.STREAM_HEAD + far.chunk(far.event("Hel")))
            await asyncio.Event().wait()

        async with far.serve(answer, tls=tls()) as there:
            one, heard = far.exchange(Network(ca_file=tls.ca)), asyncio.Event()
            call = asyncio.ensure_future(
                one(far.question(there.url, stream=True), lambda event: "text" in dir(event) and heard.set())
            )
            await asyncio.wait_for(heard.wait(), 5)
            call.cancel()
            await asyncio.wait([call])
            closed = await there.all_closed()
            await one.aclose()
            return call.cancelled(), closed

    assert run(main()) == (True, True)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_from_https_to_plain_http_takes_no_key_along(far, tls, tmp_path, code):
    """With each vendor's way to send a key; the key is a vault's, and it did reach the place that it is for."""

    async def main():
        async with far.serve(far.OK) as plain:
            moved = far.http(b"", f"{code} Moved", "text/plain", f"location: {plain.url}/x")
            async with far.serve(moved, tls=tls()) as there:
                keys = far.VaultKeys(tmp_path / "vault", far.KEY, f"https://127.0.0.1:{there.port}")
                how = {"keys": keys, "network": Network(ca_file=tls.ca)}
                kinds = ["anthropic", "gemini", "openai", "openai-compatible", "mistral"]
                told = [type(await far.ask(there.url, kind=kind, **how)) for kind in kinds]
                return told, there.requests, plain.requests

    told, asked, elsewhere = run(main())
    assert set(told) == {errors.UnexpectedRedirect}
    assert [far.KEY.encode() in request for request in asked] == [True] * 5
    assert elsewhere == []


@pytest.mark.parametrize("flaw", ["self-signed", "expired", "wrong host", "plain http"])
def test_a_vault_s_key_is_not_sent_where_the_far_side_is_not_who_it_should_be(far, tls, tmp_path, flaw):
    how = {
        "self-signed": {"self_signed": True},
        "expired": {"days": (-3, -1)},
        "wrong host": {"hosts": ("example.com",)},
    }
    context = tls(**how[flaw]) if flaw in how else None

    async def main():
        async with far.serve(far.OK, tls=context) as there:
            url = f"https://127.0.0.1:{there.port}"
            keys = far.VaultKeys(tmp_path / "vault", far.KEY, url)
            asked = url if context else f"http://127.0.0.1:{there.port}"
            network = Network(ca_file=tls.ca)
            return await far.ask(asked, keys=keys, network=network), there.requests

    error, requests = run(main())
    assert type(error) is (errors.TLSFailure if context else errors.VaultError)
    assert requests == []


# The environment


ASTRAY = """
import asyncio, sys
sys.path[:0] = {path!r}
from tests_transport import conftest as far
from orchestrator_nb.providers.network import Network

async def main():
    for transport in ("thin", "httpx2"):
        answer = await far.ask({url!r}, network=Network(transport=transport, connect_s=2, ca_file={ca!r}))
        print(getattr(answer, "text", None) or type(answer).__name__)

asyncio.run(main())
"""


def proxy_counting():
    """A listener that only counts who comes."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


def visitors(listener):
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


@pytest.mark.parametrize("trust", ["env", "file"])
def test_proxies_certificates_and_logs_named_in_the_environment_have_no_effect(far, tls, tmp_path, trust):
    """Also the other way round: an authority that only ``SSL_CERT_FILE`` names is not trusted."""
    here = Path(__file__).parent
    package = tmp_path / "tests_transport"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "conftest.py").write_text((here / "conftest.py").read_text())
    keylog, netrc = tmp_path / "keys.log", tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\n")

    async def main(proxy):
        at = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        environ = {name: at for base in ("http_proxy", "https_proxy", "all_proxy") for name in (base, base.upper())}
        environ |= {"SSL_CERT_FILE": tls.ca, "SSLKEYLOGFILE": str(keylog), "NETRC": str(netrc), "no_proxy": ""}
        async with far.serve(far.OK, tls=tls()) as there:
            code = ASTRAY.format(path=[str(tmp_path), *sys.path], url=there.url, ca=tls.ca if trust == "file" else None)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, env={**os.environ, **environ}, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await process.communicate()
            return said.decode().split(), there.requests

    with proxy_counting() as proxy:
        said, requests = run(main(proxy))
        assert visitors(proxy) == 0
    assert said == (["Hello."] * 2 if trust == "file" else ["TLSFailure"] * 2)
    assert not keylog.exists()
    assert not any(b"basic" in request.lower() for request in requests)


BEYOND = "http://api.example"
"""Never looked up: the proxy would."""


def test_a_proxy_of_the_users_own_configuration_is_used(far):
    async def main():
        async with far.serve(far.OK) as proxy:
            answer = await far.ask(BEYOND, key_name=None, network=Network(proxy=proxy.url))
            return answer.text, proxy.requests[0]

    text, request = run(main())
    assert text == "Hello."
    assert request.startswith(b"POST http://api.example/chat/completions")


@BOTH
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_key_for_this_machine_does_not_go_through_the_proxy(far, transport, host):
    """Plain HTTP is allowed there, so the proxy could read it."""

    async def main():
        async with far.serve(far.OK) as there, far.serve(far.OK) as proxy:
            network = Network(proxy=proxy.url, transport=transport)
            answer = await far.ask(f"http://{host}:{there.port}", network=network)
            return answer, there.requests, proxy.accepted

    answer, requests, visitors = run(main())
    assert answer.text == "Hello."
    assert far.KEY.encode() in requests[0]
    assert visitors == 0


def test_a_proxy_that_is_not_there_is_named(far):
    error = run(far.ask(BEYOND, key_name=None, network=Network(proxy="http://127.0.0.1:1")))
    assert type(error) is errors.ProviderUnreachable


@pytest.mark.parametrize("how", [{}, {"self_signed": True}, {"hosts": ("example.com",)}], ids=["good", "own", "other"])
def test_a_proxy_over_tls_is_told_nothing_before_it_has_shown_a_good_certificate(far, tls, how):
    async def main():
        async with far.serve(far.OK, tls=tls(**how)) as proxy:
            network = Network(proxy=proxy.url, ca_file=tls.ca)
            return await far.ask(BEYOND, key_name=None, network=network), proxy.requests

    answer, requests = run(main())
    assert bool(requests) == (not how)
    assert getattr(answer, "text", type(answer)) == (errors.TLSFailure if how else "Hello.")


@BOTH
def test_a_key_that_a_server_repeats_in_a_header_is_in_no_log(far, transport, caplog):
    async def main():
        async with far.serve(far.http(far.chat(), "200 OK", "application/json", f"x-echo: {far.KEY}")) as there:
            return await far.ask(there.url, network=Network(transport=transport))

    with caplog.at_level(logging.DEBUG):
        assert run(main()).text == "Hello."
    assert far.KEY not in caplog.text


def test_the_control_the_library_alone_logs_it_and_may_go_on_doing_so(far, caplog):
    async def main():
        async with far.serve(far.http(far.chat(), "200 OK", "application/json", f"x-echo: {far.KEY}")) as there:
            await far.ask(there.url, network=Network(transport="httpx2"))
            async with httpx2.AsyncHTTPTransport() as plain:
                answer = await plain.handle_async_request(httpx2.Request("GET", there.url))
                await answer.aread()

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert far.KEY in caplog.text


def test_the_client_of_httpx2_would_have_followed_the_environment(monkeypatch):
    """The control: what this guards against does happen elsewhere."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    client = httpx2.AsyncClient()
    assert client._mounts
