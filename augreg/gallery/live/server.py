"""The server of the live gallery, on 127.0.0.1 only.

A random token in the address keeps other users of the machine out. Other web pages are kept out by the token and by
the headers `Host` and `Origin`, which a page of another name cannot forge (DNS rebinding, cross-site requests).
"""

from __future__ import annotations

import functools
import hmac
import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from markupsafe import Markup

from augreg import __version__
from augreg.gallery.live.completion import complete
from augreg.gallery.live.numbers import numbers_in
from augreg.gallery.live.worker import Worker
from augreg.gallery.templates import inlined, template
from augreg.pages.report import base_style, sha256
from augreg.registry.registry import Registry
from augreg.spec.json_schema import schema

__all__ = ["MOST_LETTERS", "Live"]

MOST_LETTERS = 1 << 16
"""Of a spec in the editor."""

_MOST_BYTES = 8 * MOST_LETTERS  # of a request: JSON may write a letter with several bytes
_SECONDS = 30.0  # to receive a request


class Live(ThreadingHTTPServer):
    """A live gallery. `text` is the spec that the editor begins with, `title` its name; `worker` draws its images.

    For a spec in TOML (`suffix`), there are no sliders and completions. `port` 0 takes any that is free.
    `serve_forever` runs it, `address` is where.
    """

    daemon_threads = True

    def __init__(self, text: str, title: str, suffix: str, worker: Worker, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.worker, self.suffix = worker, suffix
        self.token = secrets.token_urlsafe(16)
        self.hosts = [f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")]
        style = Markup(base_style()) + inlined("page.css", "live/live.css")
        script = inlined("zoom.js", "live/live.js")
        self.page = template("live/live.html").render(
            title=title, text=text, style=style, script=script, version=__version__, most=MOST_LETTERS
        )
        self.policy = (
            f"default-src 'none'; img-src data:; connect-src 'self'; style-src {sha256(style)}; "
            f"script-src {sha256(script)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    @property
    def address(self) -> str:
        """The address of the page, with the token."""
        return f"http://{self.hosts[0]}/{self.token}/"

    @functools.cached_property
    def schema(self) -> dict[str, Any]:
        """The schema of specs with all that is installed and loads."""
        registry = Registry.installed()
        found: dict[str, Any] = {}
        for name in registry:
            try:
                schema({name: registry[name]})
            except Exception:  # a plugin may raise anything; a spec that uses it has a problem that says so
                continue
            found[name] = registry[name]
        return schema(found)

    def render(self, client: str, number: int, text: str) -> dict[str, Any]:
        """The images of a draft or its problems, and its numbers with the ranges of their sliders."""
        answer = self.worker.answer(client, number, text)
        known = [] if answer.get("stale") or self.suffix == ".toml" else numbers_in(text, self.schema)
        numbers = [one._asdict() for one in known]
        for one in numbers:
            one.update(start=_units(text[: one["start"]]), end=_units(text[: one["end"]]))
        return {**answer, "numbers": numbers}

    def complete(self, text: str, cursor: int) -> dict[str, Any]:
        """The completions at a cursor."""
        if self.suffix == ".toml":
            return {"start": cursor, "items": []}
        found = complete(text, _letters(text, cursor), self.schema)
        return {"start": _units(text[: found.start]), "items": [item._asdict() for item in found.items]}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a connection early is no error to report."""


def _units(text: str) -> int:
    """The length of a text as browsers count it, in units of UTF-16."""
    return len(text) + sum(letter > "\uffff" for letter in text)


def _letters(text: str, units: int) -> int:
    """The number of letters in the first `units` of a text."""
    return len(text.encode("utf-16-le", "surrogatepass")[: 2 * units].decode("utf-16-le", "replace"))


class _RefusedError(Exception):
    """A request that is not answered, with its status and the reason."""


class _Handler(BaseHTTPRequestHandler):
    server: Live
    timeout = _SECONDS
    server_version = "augreg"
    sys_version = ""
    _CALLS: ClassVar = {
        "render": {"client": str, "number": int, "text": str},
        "complete": {"text": str, "cursor": int},
    }

    def do_GET(self) -> None:
        """The page."""
        try:
            if self._path():
                raise _RefusedError(HTTPStatus.NOT_FOUND, "there is no such page")
            self._send(HTTPStatus.OK, "text/html", self.server.page)
        except _RefusedError as refused:
            self._send(refused.args[0], "text/plain", refused.args[1])

    def do_POST(self) -> None:
        """A call of the page, JSON for JSON."""
        try:
            name = self._path()
            if name not in self._CALLS:
                raise _RefusedError(HTTPStatus.NOT_FOUND, "there is no such call")
            arguments = self._arguments(self._CALLS[name])
            self._send(HTTPStatus.OK, "application/json", json.dumps(getattr(self.server, name)(**arguments)))
        except _RefusedError as refused:
            self._send(refused.args[0], "text/plain", refused.args[1])

    def _path(self) -> str:
        """The path below the token, for requests of the page itself."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host not in self.server.hosts or origin not in (None, f"http://{host}"):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "only the page of this server may ask it")
        token, slash, name = self.path[1:].partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "open the address that `augreg gallery --live` printed")
        return name

    def _arguments(self, types: dict[str, type]) -> dict[str, Any]:
        if self.headers.get_content_type() != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected JSON")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        if int(length[:12]) > _MOST_BYTES:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {_MOST_BYTES} bytes")
        try:
            data = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "not valid JSON") from None
        if not isinstance(data, dict) or {key: type(value) for key, value in data.items()} != types:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, f"expected an object with {', '.join(types)}")
        if len(data["text"]) > MOST_LETTERS:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_LETTERS} letters")
        return data

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode("utf-8", "backslashreplace")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self.server.policy)
        for name, value in (
            ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"),
            ("Cross-Origin-Resource-Policy", "same-origin"), ("Cross-Origin-Opener-Policy", "same-origin"),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal has the address, and what is printed after it."""
