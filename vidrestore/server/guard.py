"""Access to the web server: hosts, sites, tokens, rates; and the security headers of every response."""

import asyncio
import hmac
import ipaddress
import re
import secrets
from enum import Enum, auto

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidrestore.redaction import redact
from vidrestore.server.connections import network_of
from vidrestore.server.web_limits import Rates, Reason, WebCounts

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HOST = re.compile(r"(\[(?P<v6>[^\[\]@/]+)\]|(?P<name>[A-Za-z0-9._-]+))(:\d{1,5})?")
_GUESSES_PER_SECOND, _GUESSES = 0.2, 10
"""Limit of wrong tokens from one address: ten, then one in five seconds."""
_REQUESTS_PER_SECOND, _REQUESTS = 200.0, 200
"""Limit of requests from one address; more must wait. A page of sixteen streams sends about a hundred."""
_OPEN_TO_ALL = "/health"


class _Visitor(Enum):
    KNOWN = auto()
    STRANGER = auto()
    GUESSING = auto()


class Guard:
    """Lets requests through to an application: with the right host, from no foreign site, and with the token.

    The token is taken from `Authorization: Bearer TOKEN`, or once from `/?token=TOKEN`, which answers with a cookie.
    The cookie is a random key of this process, not the token: cookies go to every port of a host. `/health` is open to
    all. Clients without the token get one response per connection.

    Args:
        app: application to guard.
        token: None lets everybody through.
        names: host names in lower case, `*.example.org` for all below it. Addresses pass as well: a web site can have
            its own name point here (DNS rebinding), but not an address.
        content_security_policy: policy in the header of every response.
        counts: records refusals.
    """

    def __init__(
        self, app: ASGIApp, *, token: str | None, names: frozenset[str], content_security_policy: str, counts: WebCounts
    ) -> None:
        self.counts = counts
        self._app = app
        self._token = token
        self._names = names
        self._headers = _HEADERS | {"Content-Security-Policy": content_security_policy}
        self._cookie = f"vidrestore-{secrets.token_hex(4)}"  # each service has its own: cookies know no ports
        self._session = secrets.token_urlsafe(32)
        self._guesses = Rates(_GUESSES_PER_SECOND, _GUESSES)
        self._requests = Rates(_REQUESTS_PER_SECOND, _REQUESTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._respond(Request(scope), receive, note)
        except Exception as error:  # noqa: BLE001  a fault of the page costs no stream, and is logged now and then
            self.counts.refused["fault"] += 1
            self.counts.last_fault = redact(f"{type(error).__name__}: {error}")
            if not begun:
                await PlainTextResponse("internal error", 500, self._headers)(scope, receive, send)

    async def _respond(self, request: Request, receive: Receive, send: Send) -> None:
        visitor = self._visitor(request)
        last = visitor is not _Visitor.KNOWN or request.method not in {"GET", "HEAD"} or _has_body(request)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                if last:
                    headers["Connection"] = "close"
            await send(message)

        await asyncio.sleep(self._requests.reserve(_network(request)))
        answer = self._refusal(request, visitor) or self._app
        if answer is self._app and request.url.path == "/" and "token" in request.query_params:
            answer = self._welcome(request)
        await answer(request.scope, receive, send_with_headers)

    def _refusal(self, request: Request, visitor: _Visitor) -> Response | None:
        """Return a response that says what is wrong; None where nothing is."""
        if not self._is_allowed_host(request.headers.get("host", "")):
            return self._refused(
                "host", 421, "this name is not known here; use the address, or add the name to web.hosts (--web-host)"
            )
        if _is_from_elsewhere(request):
            return self._refused("cross-site", 403, "requests from pages of other sites are refused")
        if request.url.path == _OPEN_TO_ALL:
            return None
        if visitor is _Visitor.GUESSING:
            return self._refused("guessing", 429, "too many wrong tokens, wait a while", {"Retry-After": "10"})
        if visitor is _Visitor.STRANGER:
            return self._refused(
                "token",
                401,
                "a token is needed: open the address that was printed at the start, /?token=TOKEN, or send "
                "Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
        return None

    def _welcome(self, request: Request) -> Response:
        response = RedirectResponse("/", 303)  # keeps the token out of the address bar and of every log
        if self._token is not None:
            secure = request.headers.get("x-forwarded-proto") == "https"  # the proxy in front speaks TLS
            response.set_cookie(self._cookie, self._session, httponly=True, samesite="strict", secure=secure)
        return response

    def _refused(self, reason: Reason, code: int, text: str, headers: dict[str, str] | None = None) -> Response:
        self.counts.refused[reason] += 1
        return PlainTextResponse(text, code, headers)

    def _visitor(self, request: Request) -> _Visitor:
        if self._token is None or _equal(request.cookies.get(self._cookie), self._session):
            return _Visitor.KNOWN
        offered = _offered(request)
        if offered is None:
            return _Visitor.STRANGER
        if _equal(offered, self._token):
            return _Visitor.KNOWN  # no matter who else guesses: no neighbour may lock the owner out
        network = _network(request)
        is_over = self._guesses.seconds_over(network) > 0
        self._guesses.count(network)
        return _Visitor.GUESSING if is_over else _Visitor.STRANGER

    def _is_allowed_host(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = (match["v6"] or match["name"]).lower().removesuffix(".")
        if name in self._names:
            return True
        if any(pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in self._names):
            return True
        return _is_address(name)


def _is_from_elsewhere(request: Request) -> bool:
    """Return whether a page of another site, or of another port of this host, sent it; links to the page may."""
    headers = request.headers
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
        return True
    if headers.get("sec-fetch-site", "none") in {"same-origin", "none"}:
        return False
    opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (opened and request.url.path == "/")


def _offered(request: Request) -> str | None:
    """Return the token that a request carries."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.query_params.get("token") if request.url.path == "/" else None


def _equal(offered: str | None, wanted: str) -> bool:
    return offered is not None and hmac.compare_digest(offered.encode(), wanted.encode())


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _network(request: Request) -> str:
    return network_of(request.client.host if request.client else "")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
