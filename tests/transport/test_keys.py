"""Keys: where they come from, where they may go, and where they never show up."""

import asyncio
import copy
import gc
import json
import pickle
import traceback
from base64 import b64encode
from urllib.parse import quote

import httpx2
import pytest

from orchestrator_nb import errors
from orchestrator_nb.catalog import Vendor
from orchestrator_nb.providers import PROVIDERS, auth, http
from orchestrator_nb.providers.keys import EnvironmentKeys, StaticKeys, origin
from orchestrator_nb.providers.network import Network
from orchestrator_nb.secret import Secret
from orchestrator_nb.types import AuthStyle


def run(work):
    return asyncio.run(work)


# Where keys come from


def key(environ, name, kind="anthropic", url="https://api.example.com/v1"):
    return EnvironmentKeys(environ).key_for(Vendor("lab", kind, url, name))


def test_a_key_is_read_from_its_variable_when_it_is_released_and_not_before():
    environ = {"LAB_KEY": "first"}
    handle = key(environ, "LAB_KEY")
    environ["LAB_KEY"] = "second"
    assert handle.release("https://api.example.com:443") == "second"


@pytest.mark.parametrize(
    ("name", "environ", "value"),
    [
        ("ANTHROPIC_API_KEY", {"ANTHROPIC_AUTH_TOKEN": "token"}, "token"),
        ("ANTHROPIC_API_KEY", {"ANTHROPIC_AUTH_TOKEN": "token", "ANTHROPIC_API_KEY": "key"}, "key"),
        ("GEMINI_API_KEY", {"GEMINI_API_KEY": "gemini"}, "gemini"),
        ("GEMINI_API_KEY", {"GEMINI_API_KEY": "gemini", "GOOGLE_API_KEY": "google"}, "google"),
        ("GEMINI_API_KEY", {"GEMINI_API_KEY": "gemini", "GOOGLE_API_KEY": ""}, "gemini"),
    ],
)
def test_the_vendors_own_second_names_are_looked_at_in_their_order(name, environ, value):
    assert key(environ, name).release("https://api.example.com:443") == value


@pytest.mark.parametrize("environ", [{}, {"LAB_KEY": ""}, {"OTHER": "x"}])
def test_a_missing_key_is_one_sentence_that_names_the_ways_out(environ):
    with pytest.raises(errors.KeyMissing) as caught:
        key(environ, "LAB_KEY")
    for way in ("'lab'", "LAB_KEY", "%llm simulate on", "Ollama needs none"):
        assert way in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keys", [EnvironmentKeys({}), StaticKeys()])
def test_a_vendor_without_a_key_name_needs_none(keys):
    assert keys.key_for(Vendor("local", "ollama", "http://127.0.0.1:11434")) is None


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "api.example.com",
        "ftp://x/",
        "https://",
        "https://[::1",
        "https://h:99999/",
        "https://u:p@h/",
        "https://h/?k=v",
    ],
)
def test_a_base_url_that_is_no_address_or_holds_a_password_is_a_clear_error(bad):
    with pytest.raises(errors.ConfigError, match=r"lab\.base_url") as caught:
        key({"LAB_KEY": "x"}, "LAB_KEY", url=bad)
    assert "u:p" not in str(caught.value)


# Where keys may go


ODD = [
    "http://127.0.0.1:{port}", "http://127.0.0.1:{port}/", "HTTP://127.0.0.1:{port}", "http://127.0.0.1:0{port}",
    "http://127.0.0.1:{other}", "https://127.0.0.1:{port}", "http://127.0.0.1", "http://127.0.0.2:{port}",
    "http://localhost:{port}", "http://LOCALHOST:{port}", "http://localhost.:{port}", "http://127.1:{port}",
    "http://2130706433:{port}", "http://0x7f.1:{port}", "http://0177.0.0.1:{port}", "http://0.0.0.0:{port}",
    "http://[::1]:{port}", "http://[::ffff:127.0.0.1]:{port}", "http://127.0.0.1:{port}@evil.test", "http://evil.test@127.0.0.1:{port}",
    "http://127.0.0.1:{port}.evil.test", "http://evil.test#@127.0.0.1:{port}", "http://evil.test?@127.0.0.1:{port}",
    "http://evil.test\\@127.0.0.1:{port}", "http://127.0.0.1%2eevil.test:{port}", "http://127.0.0.1\t:{port}", " http://127.0.0.1:{port}",
    "http://127。0。0。1:{port}", "http://①27.0.0.1:{port}", "http:127.0.0.1:{port}", "http:/127.0.0.1:{port}", "//127.0.0.1:{port}",
    "http:///127.0.0.1:{port}", "http://127.0.0.1:{port}:80", "javascript:http://127.0.0.1:{port}", "http://evil.test/http://127.0.0.1:{port}",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "openai", "openai-compatible"])
def test_of_many_odd_addresses_only_the_right_origin_gets_the_key(far, kind, bound):
    async def main():
        got_it = []
        async with far.serve(far.OK) as there, far.serve(far.OK) as other:
            keys = bound(far.KEY, f"http://127.0.0.1:{there.port}")
            for odd in ODD:
                url = odd.format(port=there.port, other=other.port)
                for one in (there, other):
                    one.requests.clear()
                await far.ask(url, keys=keys, kind=kind, network=Network(connect_s=0.2))
                assert not any(far.KEY.encode() in request for request in other.requests), odd
                if any(far.KEY.encode() in request for request in there.requests):
                    got_it.append(odd)
        return got_it

    assert len(ODD) >= 30
    got_it = run(main())
    same = [*ODD[:4], "http://127。0。0。1:{port}"]  # IDNA's full stops are dots: this is where the request really goes
    assert set(got_it) <= set(same)
    assert "http://127.0.0.1:{port}" in got_it


def released(url, *origins):
    """Whether the key stands in the request that would go to ``url``."""
    request = httpx2.Request("POST", url)
    flow = auth.KeyAuth(Secret("lab", "value", frozenset(origins)), AuthStyle()).auth_flow(request)
    try:
        return "authorization" in next(flow).headers
    except (errors.VaultError, errors.ConfigError):
        return False


REAL = "https://api.anthropic.com:443"


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://api.anthropic.com/v1/messages", True),
        ("https://API.Anthropic.com:443/v1", True),
        ("https://user@api.anthropic.com/v1", True),
        ("http://api.anthropic.com/v1", False),
        ("https://api.anthropic.com:8443/v1", False),
        ("https://api.anthropic.com./v1", False),
        ("https://api.anthropic.com.evil.test/v1", False),
        ("https://api.anthropic.com@evil.test/v1", False),
        ("https://evil.test/api.anthropic.com", False),
        ("https://api-anthropic.com/v1", False),
        ("https://аpi.anthropic.com/v1", False),  # a Cyrillic а
        ("https://api。anthropic。com/v1", False),
        ("https://xn--api.anthropic.com/v1", False),
        ("wss://api.anthropic.com/v1", False),
    ],
)
def test_a_public_key_is_released_for_its_origin_and_for_no_look_alike(url, may):
    try:
        assert released(url, REAL) is may or (may is False and httpx2.URL(url).host == "api.anthropic.com")
    except httpx2.InvalidURL:
        assert not may


def test_plain_http_carries_a_key_to_this_machine_only():
    assert released("http://localhost:1/", "http://localhost:1")
    assert released("http://127.8.9.1:1/", "http://127.8.9.1:1")
    assert released("http://[::1]:1/", "http://[::1]:1")
    assert not released("http://10.0.0.5:1/", "http://10.0.0.5:1")
    assert not released("http://localhost.evil.test:1/", "http://localhost.evil.test:1")


def test_a_path_can_not_move_the_request_to_another_host(far):
    class Sly(type(PROVIDERS["openai-compatible"])):
        def encode(self, request):
            wire = super().encode(request)
            return type(wire)("@evil.test/v1", wire.body)

    async def main():
        sly = http.Exchange({"openai-compatible": Sly()}, StaticKeys(far.KEY), Network(), far.Clock())
        with pytest.raises((errors.VaultError, errors.ConfigError)):
            await sly(far.question("http://127.0.0.1:1"), lambda _event: None)
        await sly.aclose()

    run(main())


CODES = [301, 302, 303, 307, 308]
KINDS = ["anthropic", "gemini", "openai", "openai-compatible", "mistral"]


@pytest.mark.parametrize(
    "where", ["same", "other host", "other port", "scheme", "relative", "userinfo", "garbage", "none"]
)
@pytest.mark.parametrize("code", CODES)
def test_no_redirect_is_followed_and_its_error_names_the_origin_only(far, code, where, tmp_path):
    async def main():
        seen = []
        async with far.serve(far.OK) as other:

            async def answer(_request, writer):
                here = there.url
                target = {
                    "same": f"location: {here}/elsewhere?token=t0ken",
                    "other host": f"location: http://localhost:{other.port}/x?token=t0ken",
                    "other port": f"location: {other.url}/x?token=t0ken",
                    "scheme": f"location: https://127.0.0.1:{other.port}/x?token=t0ken",
                    "relative": "location: /x?token=t0ken",
                    "userinfo": f"location: http://t0ken:t0ken@127.0.0.1:{other.port}/",
                    "garbage": "location: http://[t0ken",
                    "none": "x-nothing: t0ken",
                }[where]
                writer.write(far.http(b"t0ken", f"{code} Moved", "text/plain", target))

            async with far.serve(answer) as there:
                keys = far.VaultKeys(tmp_path / "vault", far.KEY, f"http://127.0.0.1:{there.port}")
                for kind in KINDS:
                    for transport in ("thin", "httpx2"):
                        error = await far.ask(there.url, kind=kind, keys=keys, network=Network(transport=transport))
                        seen.append((type(error), error.verdict.again, "t0ken" in str(error), str(error)))
                assert all(far.KEY.encode() in request for request in there.requests)
                return seen, len(there.requests), other.requests, (there.port, other.port)

    seen, asked, elsewhere, (here, there) = run(main())
    assert {found[:3] for found in seen} == {(errors.UnexpectedRedirect, False, False)}
    assert asked == len(KINDS) * 2
    assert elsewhere == []
    port = {"same": here, "relative": here, "garbage": None, "none": None}.get(where, there)
    assert all(f":{port}" in message for *_, message in seen if port)


@pytest.mark.parametrize("host", [str.lower, lambda key: f"a.{key[:20]}.{key[20:]}.example", "x{}y".format])
def test_a_redirect_to_a_host_that_is_made_of_the_key_does_not_name_it(far, host):
    key = "Sk-Canary-7f3a91C2d8E4b605-mixedCASE"

    async def main():
        async with far.serve(far.http(b"", "302 Found", "text/plain", f"location: https://{host(key)}/")) as there:
            return await far.ask(there.url, keys=StaticKeys(key))

    error = run(main())
    assert type(error) is errors.UnexpectedRedirect
    assert "another place" in str(error)
    assert "canary" not in str(error).lower()


# Where keys never show up


def needles(value):
    raw = value.encode()
    return [
        value,
        quote(value),
        json.dumps(value)[1:-1],
        raw.hex(),
        *(b64encode(b"x" * n + raw).decode()[4:-4] for n in range(3)),
    ]


def echo(form):
    """A server that repeats the key it was sent in its error, in some form."""

    async def answer(request, writer):
        sent = request.lower().partition(b"bearer ")[2]
        start = len(request) - len(sent)
        value = request[start:].partition(b"\r")[0].decode()
        body = json.dumps({"error": {"message": f"bad key {form(value)} given"}}).encode()
        writer.write(
            b"HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )

    return answer


FORMS = {
    "plain": str,
    "quoted": lambda value: quote(value, safe=""),
    "hex": lambda value: value.encode().hex(),
    "base64": lambda value: b64encode(value.encode()).decode(),
    "basic": lambda value: b64encode(b"u:" + value.encode()).decode(),
    "inside": lambda value: b64encode(b"x" + value.encode() + b"yz").decode(),
    "at the cut": lambda value: "x" * 470 + value,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_server_that_echoes_the_key_does_not_put_it_into_our_error(far, form):
    odd = "Zq8/dsä"[:0] + "zQ8.plain-looking.9vT_w+k/=="  # no prefix that a pattern would know

    async def main():
        async with far.serve(echo(FORMS[form])) as there:
            return await far.ask(there.url, keys=StaticKeys(odd))

    error = run(main())
    assert type(error) is errors.BadRequest
    assert not [needle for needle in [*needles(odd), odd[:12]] if needle in str(error)]


def test_the_same_for_an_error_inside_a_stream(far):
    async def answer(request, writer):
        value = request.decode().split("Bearer ")[1].split("\r")[0]
        writer.write(
            far.sse(b"data: " + json.dumps({"error": {"message": f"no {value}", "code": 401}}).encode() + b"\n\n")
        )
        writer.close()

    async def main():
        async with far.serve(answer) as there:
            return await far.ask(there.url, stream=True, keys=StaticKeys("unlike.any.pattern.93"))

    error = run(main())
    assert type(error) is errors.AuthFailed
    assert "unlike" not in str(error)


@pytest.mark.parametrize(
    "bad", ["with\nnewline", "with\r\nheader: x", "with blank", "nul\0", "ümlaut", '"quoted key"', "tab\t"]
)
def test_a_value_that_can_not_stand_in_a_header_is_refused_without_being_shown(far, bad):
    async def main():
        async with far.serve(far.OK) as there:
            return await far.ask(there.url, keys=StaticKeys(bad)), there.requests

    error, requests = run(main())
    assert type(error) is errors.AuthFailed
    assert requests == []
    assert bad not in "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


FAULTS = {
    "refused": None,
    "hang up": b"",
    "garbage": b"\0\0\0",
    "500": b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
    "html": b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1\r\n\r\nx",
    "bad json": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n{",
    "redirect": b"HTTP/1.1 302 Found\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
    "cut": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx",
    "slow": "slow",
    "cancelled": "slow",
}


async def fail(far, fault, transport, monkey=None):
    """The exception of a failing call with the canary, as a notebook would keep it in ``sys.last_value``."""

    async def answer(_request, writer):
        if FAULTS[fault] == "slow":
            await asyncio.Event().wait()
        writer.write(FAULTS[fault])
        await writer.drain()
        writer.close()

    async with far.serve(answer) as there:
        url = there.url if FAULTS[fault] is not None else "http://127.0.0.1:9"
        one = far.exchange(Network(transport=transport, first_byte_s=0.1 if fault == "slow" else 5))
        call = asyncio.ensure_future(one(far.question(url), lambda _event: None))
        if fault == "cancelled":
            await there.asked(1)
            call.cancel()
        try:
            await call
        except BaseException as error:  # noqa: BLE001 - a notebook keeps any
            return error
        finally:
            await one.aclose()
    raise AssertionError("nothing failed")


def holders(error, value):
    """Every frame on the error and its causes that holds the value: in a local, or one attribute or item below one."""
    found = []
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            for name, local in trace.tb_frame.f_locals.items():
                if name not in {"far", "there"} and holds(local, value):  # the far side does know it
                    found.append(f"{code.co_filename}:{code.co_name}:{name}")
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return found


def holds(thing, value, depth=3):
    if isinstance(thing, str):
        return value in thing
    if isinstance(thing, bytes | bytearray):
        return value.encode() in thing
    if isinstance(thing, Secret | StaticKeys) or depth == 0:
        return False
    inner = (
        list(thing.values())
        if isinstance(thing, dict)
        else list(thing)
        if isinstance(thing, list | tuple | set | frozenset)
        else []
    )
    if isinstance(thing, httpx2.Request | httpx2.Headers | auth.KeyAuth):
        inner += (
            [repr(thing), *getattr(thing, "headers", thing).__dict__.values()]
            if not isinstance(thing, auth.KeyAuth)
            else []
        )
    inner += list(getattr(thing, "__dict__", {}).values())
    return any(holds(one, value, depth - 1) for one in inner)


@pytest.mark.parametrize("transport", ["thin", "httpx2"])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_failure_leaves_the_key_in_a_frame_a_cause_or_a_text(far, fault, transport):
    error = run(fail(far, fault, transport))
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert far.KEY not in "\n".join(line for line in shown.splitlines() if not line.strip().startswith("far ="))
    assert holders(error, far.KEY) == []


def test_the_search_finds_a_key_that_is_passed_as_an_ordinary_header(far):
    """The control: the way a plain client is used leaks, and this search sees it."""

    async def main():
        headers = {"authorization": f"Bearer {far.KEY}"}
        async with httpx2.AsyncClient(trust_env=False) as client:
            try:
                await client.post("http://127.0.0.1:9/", headers=headers)
            except httpx2.ConnectError as error:
                return error

    error = run(main())
    assert len(holders(error, far.KEY)) >= 3
    assert far.KEY in "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def test_after_a_call_no_request_that_is_still_alive_holds_the_key(far):
    value = "sk-another-1234567890"

    async def main():
        async with far.serve(far.OK) as there:
            one = far.exchange(keys=StaticKeys(value))
            await one(far.question(there.url), lambda _event: None)
            alive = [thing for thing in gc.get_objects() if isinstance(thing, httpx2.Request | httpx2.Headers)]
            await one.aclose()
            assert value.encode() in there.requests[0]
            return [thing for thing in alive if value in str(getattr(getattr(thing, "headers", thing), "raw", ""))]

    assert run(main()) == []


def test_nothing_that_a_user_can_hold_shows_the_key(far):
    keys = [EnvironmentKeys({"LAB_KEY": far.KEY}), StaticKeys(far.KEY)]
    handles = [one.key_for(far.vendor("https://api.example.com")) for one in keys]
    auths = [auth.KeyAuth(handle, AuthStyle()) for handle in handles]

    async def exchange():
        return far.exchange()

    things = [*keys, *handles, *auths, run(exchange()), Network(proxy=f"http://u:{far.KEY}@p:1")]
    for thing in things:
        for view in (
            repr,
            str,
            "{}".format,
            lambda t: repr(dir(t)),
            lambda t: repr(getattr(t, "__dict__", "")).replace(repr({"LAB_KEY": far.KEY}), ""),
        ):
            assert far.KEY not in view(thing), (thing, view)
    for handle in handles:
        assert copy.deepcopy(handle) is handle
        with pytest.raises(TypeError):
            pickle.dumps(handle)
        with pytest.raises(TypeError):
            json.dumps(handle)
    with pytest.raises(TypeError):
        pickle.dumps(things[-2])


def test_the_origin_is_written_as_keys_are_bound():
    assert origin(httpx2.URL("HTTPS://API.example.com/v1")) == "https://api.example.com:443"
    assert origin(httpx2.URL("http://[::1]:8000/")) == "http://[::1]:8000"
    assert origin(httpx2.URL("http://bücher.example")) == "http://xn--bcher-kva.example:80"
