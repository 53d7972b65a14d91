"""A real IPython kernel in its own process, driven as a front end drives it."""

from __future__ import annotations

import os
import queue
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.manager import start_new_kernel


@dataclass
class Shown:
    """What one cell did: its outputs as a notebook would hold them, how it ended, and when."""

    status: str = ""
    error: str = ""
    told: str = ""
    stream: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    updates: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    results: list[dict[str, str]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)
    prompts: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def text(self) -> str:
        return self.stream + "\n".join(data.get("text/plain", "") for data in [*self.outputs.values(), *self.results])


class Kernel:
    """Runs cells and answers Tab."""

    def __init__(self, manager, client):
        self.manager, self.client = manager, client

    def run(self, code: str, interrupt_when=None, timeout: float = 30, answers=(), cell: str | None = None) -> Shown:
        """Runs a cell to idle. ``interrupt_when(shown)`` decides, after each message, to press the interrupt button once.

        ``cell`` is the cell's id, as JupyterLab sends it. ``answers`` are typed at its hidden prompts, in turn; a function of what is shown by then is called when its prompt is there; `None` answers nothing. ``None``: the front end takes no input.
        """
        asked = self._send(code, cell, allow_stdin=answers is not None)
        shown, pressed, answers = Shown(), None, iter(answers or ())
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                message = self.client.get_iopub_msg(timeout=0.05)
            except queue.Empty:
                message = None
            if message and message["parent_header"].get("msg_id") == asked and _record(shown, message):
                break
            self._answer(shown, answers)
            if interrupt_when and pressed is None and interrupt_when(shown):
                self.manager.interrupt_kernel()
                pressed = time.monotonic()
        else:
            raise TimeoutError(f"still busy after {timeout} s: {code!r}")
        shown.seconds = time.monotonic() - (pressed or deadline - timeout)
        shown.reply = self._reply(asked)
        shown.status = shown.reply["status"]
        shown.error = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(shown.reply.get("traceback", [])))
        return shown

    def _send(self, code: str, cell: str | None, *, allow_stdin: bool) -> str:
        if cell is None:
            return self.client.execute(code, allow_stdin=allow_stdin, stop_on_error=False)
        how = {"silent": False, "store_history": True, "user_expressions": {}, "stop_on_error": False}
        content = {"code": code, "allow_stdin": allow_stdin, **how}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell})
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def _answer(self, shown: Shown, answers) -> None:
        if not self.client.stdin_channel.msg_ready():
            return
        request = self.client.get_stdin_msg(timeout=5)["content"]
        secret = not request["prompt"].endswith("[y/N] ")
        assert request["password"] == secret, f"shown while it is typed: {request['prompt']}"
        shown.prompts.append(request["prompt"])
        answer = next(answers, "")
        answer = answer(shown) if callable(answer) else answer
        if answer is not None:
            self.client.input(answer)

    def value(self, expression: str) -> Any:
        """The value of an expression in the kernel, for values that repr() round-trips."""
        from ast import literal_eval

        code = self.client.execute("", user_expressions={"v": expression})
        found = self._reply(code)["user_expressions"]["v"]
        assert found["status"] == "ok", found
        return literal_eval(found["data"]["text/plain"])

    def complete(self, code: str) -> list[str]:
        return self._reply(self.client.complete(code, len(code)))["matches"]

    def help(self, code: str) -> str:
        payload = self._reply(self.client.execute(code))["payload"]
        return re.sub(r"\x1b\[[0-9;]*m", "", payload[0]["data"]["text/plain"])

    def _reply(self, asked):
        while True:
            message = self.client.get_shell_msg(timeout=30)
            if message["parent_header"].get("msg_id") == asked:
                return message["content"]


def _record(shown: Shown, message) -> bool:
    """Notes one message; True when the kernel is idle again."""
    content, kind = message["content"], message["msg_type"]
    if kind == "stream":
        shown.stream += content["text"]
    elif kind in ("display_data", "update_display_data"):
        name = content.get("transient", {}).get("display_id") or f"output {len(shown.outputs)}"
        shown.outputs[name] = content["data"]
        shown.updates.append((name, content["data"]))
    elif kind == "error":
        shown.told = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"]))
    elif kind == "execute_result":
        shown.results.append(content["data"])
    return kind == "status" and content["execution_state"] == "idle"


@contextmanager
def kernel(folder):
    """A fresh kernel with its own home and IPython folder."""
    env = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), "ORCHESTRATOR_NB_HOME": str(folder / "home")}
    manager, client = start_new_kernel(kernel_name="python3", env=env, cwd=str(folder))
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
