"""A request's key is the hash of canonical JSON of its named fields, however quickly it is computed."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.calls import Params, Request
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.messages import Image, Message, Text

MODEL = ModelSpec(Vendor("lab", "openai", "http://127.0.0.1:1/v1"), "one")
texts = st.text(st.characters(codec=None, categories=None))


@given(st.lists(texts), st.none() | texts, st.none() | st.floats(0, 2), st.integers(0, 9))
def test_the_key_is_the_hash_of_canonical_json(said, system, temperature, sample):
    params = Params(temperature=temperature)
    content = {
        "v": 1,
        "origin": "http://127.0.0.1:1/v1",
        "kind": "openai",
        "model": "one",
        "system": system,
        "messages": [{"type": "Message", "role": "user", "parts": [{"type": "Text", "text": text}]} for text in said],
        "params": {"temperature": temperature} if temperature is not None else {},
        "sample": sample,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    request = Request(MODEL, tuple(map(Message.user, said)), system, params, sample)
    assert request.key == hashlib.sha256(canonical.encode()).hexdigest()


def test_different_questions_have_different_keys_and_stream_and_tags_do_not_count():
    text, picture = Message.user("hi"), Message("user", (Text("hi"), Image(b"x", "image/png")))
    asked = [
        Request(MODEL, (text,)),
        Request(MODEL, (picture,)),
        Request(MODEL, (text, text)),
        Request(MODEL, (text,), sample=1),
    ]
    asked += [Request(MODEL, (text,), params=Params(temperature=value)) for value in (0.0, 1.0)]
    assert len({request.key for request in asked}) == len(asked)
    assert Request(MODEL, (text,), stream=False, tags={"a": "b"}).key == asked[0].key


def test_thinking_switched_off_is_another_question_than_thinking_left_alone():
    assert Params(thinking=False).given == {"thinking": False}
    assert Params().given == {}
    assert Params(seed=0, temperature=0.0).given == {"seed": 0, "temperature": 0.0}
