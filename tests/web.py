"""A web server of this machine that misbehaves as told."""

import base64
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What stands under one path.

    Attributes:
        content: of the file.
        etag: None: the server does not say.
        ranges: whether it answers with parts of the file.
        breaks_after: by request, bytes after which the connection breaks off; none beyond the list.
        statuses: by request, what it answers in place of 200; 200 beyond the list.
        redirect: where it sends to.
        login: `user:password` that it wants.
        length: of the file, as it says; None: the true one.
        encoding: what it says that the content is packed with.
    """

    content: bytes = b""
    etag: str | None = '"1"'
    ranges: bool = True
    breaks_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirect: str | None = None
    login: str | None = None
    length: int | None = None
    encoding: str | None = None


@dataclass
class WebServer:
    """A running server.

    Attributes:
        url: of its root, without a slash at the end.
        pages: by path.
        asked: path and `Range` of each request so far.
    """

    url: str
    pages: dict[str, Page]
    asked: list[tuple[str, str | None]]


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, Page]
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        path, given = self.path.partition("?")[0], self.headers.get("Range")
        self.asked.append((path, given))
        page = self.pages.get(path)
        if page is None:
            return self.send_error(404)
        if page.login is not None:
            expected = "Basic " + base64.b64encode(page.login.encode()).decode()
            if self.headers.get("Authorization") != expected:
                return self.send_error(401)
        if page.statuses and (status := page.statuses.pop(0)) != 200:
            return self.send_error(status)
        if page.redirect is not None:
            self.send_response(302)
            self.send_header("Location", page.redirect)
            return self.end_headers()
        return self._send(page, given)

    def _send(self, page: Page, given: str | None) -> None:
        start = 0
        is_same = self.headers.get("If-Range") in (None, page.etag)
        if page.ranges and given is not None and is_same:
            start = int(given.removeprefix("bytes=").rstrip("-"))
        content = page.content[start:]
        self.send_response(206 if start else 200)
        if start:
            end = len(page.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        if page.etag is not None:
            self.send_header("ETag", page.etag)
        if page.encoding is not None:
            self.send_header("Content-Encoding", page.encoding)
        self.send_header("Content-Length", str(page.length or len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who only wants the headers hangs up
            self.wfile.write(content[: page.breaks_after.pop(0)] if page.breaks_after else content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def web_server() -> Iterator[WebServer]:
    """A server on a free port, until the block ends."""
    pages: dict[str, Page] = {}
    asked: list[tuple[str, str | None]] = []
    handler = type("Handler", (_Handler,), {"pages": pages, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield WebServer(f"http://127.0.0.1:{server.server_port}", pages, asked)
        finally:
            server.shutdown()
            thread.join()
