"""Calls and runs for the tests of this folder."""

from decimal import Decimal

from orchestrator_nb.calls import Cost, Params, Request, Response, Usage
from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import RateLimited
from orchestrator_nb.messages import Message, Text, Thinking
from orchestrator_nb.runs import Call, Item, Run

LAB = Vendor("lab", "openai", "http://127.0.0.1:1")
PLAIN = Params()
ONE, TWO = ModelSpec(LAB, "one"), ModelSpec(LAB, "two")


def item(prompt="hi", model=ONE, *, row=0, repeat=0, inputs=None, params=None, mode=None):
    request = Request(
        model, (Message.user(prompt),), params=params or PLAIN, sample=repeat, tags={"mode": mode} if mode else {}
    )
    return Item(request, row, repeat, inputs or {})


def answer(text="hello", *, model="one-2026", usd="0.01", thinking="", **more):
    parts = (*((Thinking(thinking),) if thinking else ()), Text(text))
    cost = Cost(Decimal(usd), "user") if usd else Cost()
    return Response(model, parts, usage=more.pop("usage", Usage(3, 4)), cost=cost, **more)


def call(place=None, response=None, error=None, **more):
    done = {"started_at": 1_700_000_000.25, "latency_s": 1.5, "ttft_s": 0.5, "attempts": 1, **more}
    return Call(place or item(), done.pop("id", "c0"), response if response or error else answer(), error, **done)


def failed(place=None, message="slow down", **more):
    return call(place, error=RateLimited(message, kind="rate_limit", vendor="lab", request_id="req_9"), **more)


def run(*calls, **more):
    return Run(more.pop("id", "20261122-101010-abcdef"), tuple(calls), **more)
