"""Requests over HTTP: redirects, proxies, passwords, and every failure as one of two errors with a readable reason."""

import base64
import email.utils
import re
import ssl
import string
from datetime import UTC, datetime
from http.client import HTTPException, HTTPResponse, InvalidURL
from socket import gaierror
from urllib.error import URLError
from urllib.parse import SplitResult, quote, unquote_to_bytes, urljoin, urlsplit, urlunsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, UnknownHandler

from malaria_exp.utils.version import __version__

CHUNK = 1 << 20
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 10
MAX_RETRY_AFTER = 60.0


class CutError(Exception):
    """The answer broke off or the server is busy: worth another request, after at least `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class FinalError(Exception):
    """No further request would help."""


def public_url(url: str) -> str:
    """Returns an address for messages: without user and password, its query (which may hold a token) replaced by ***."""
    address, sign, _ = re.sub(r"(?<=//)[^/?#]*@", "", url.partition("#")[0]).partition("?")
    return f"{address}?***" if sign else address


def open_url(url: str, headers: dict[str, str], patience: float, answered: bool) -> HTTPResponse:
    """Sends a GET, follows redirects, and returns the answer whatever its status.

    Raises:
        CutError: the connection broke off before the answer, or could not be made though the server had `answered` before.
        FinalError: no connection, an address that is not allowed, or too many redirects.
    """
    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler(), UnknownHandler()):
        opener.add_handler(handler)
    parts = _parse(url)
    for _ in range(MAX_REDIRECTS + 1):
        try:
            request = _make_request(parts, headers)
            response: HTTPResponse = opener.open(request, timeout=patience)
        except URLError as error:
            final = not answered or isinstance(error.reason, ssl.SSLCertVerificationError)
            raise (FinalError if final else CutError)(_no_connection(error.reason, request, patience)) from None
        except (InvalidURL, ValueError):
            raise FinalError("the address, or that of a proxy in the environment, is not valid") from None
        except (OSError, HTTPException) as error:
            raise CutError(_broken_off(error, patience)) from None
        if response.status not in REDIRECTS:
            return response
        response.close()
        # Headers arrive as Latin-1, whatever they were written in.
        target = _parse(quote(response.headers.get("Location", ""), safe=string.punctuation, encoding="latin-1"), urlunsplit(parts))
        if (parts.scheme, target.scheme) == ("https", "http"):
            raise FinalError(f"it redirects from https to http, where anyone on the way may change it: {public_url(target.geturl())}")
        parts = target
    raise FinalError(f"it redirects more than {MAX_REDIRECTS} times")


def read_some(response: HTTPResponse, patience: float) -> bytes:
    """Returns the next bytes as soon as some have arrived; empty at the end of the answer, also if it ended too early."""
    try:
        return response.read1(CHUNK)
    except (OSError, HTTPException, ValueError) as error:
        raise CutError(_broken_off(error, patience)) from None


def _parse(url: str, base: str = "") -> SplitResult:
    """Returns the parts of an address, or of one that `base` redirects to; anything but http and https is refused."""
    try:
        parts = urlsplit(urljoin(base, url))
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:  # also for a port that is no number, or too large
        pass
    raise FinalError(f"{'it redirects to' if base else 'the address is'} '{public_url(url)}'; expected http://... or https://...")


def _make_request(parts: SplitResult, headers: dict[str, str]) -> Request:
    user, _, host = parts.netloc.rpartition("@")
    path, query = (quote(part, safe=string.punctuation) for part in (parts.path, parts.query))
    request = Request(urlunsplit((parts.scheme, host, path, query, "")), headers=headers)  # noqa: S310 - http or https: see _parse
    request.add_header("User-Agent", f"malaria_exp/{__version__}")
    if user:
        request.add_header("Authorization", f"Basic {base64.b64encode(unquote_to_bytes(user)).decode()}")
    return request


def _no_connection(error: object, request: Request, patience: float) -> str:
    """Returns in a few words why no connection was made."""
    host = request.host if urlsplit(request.full_url).netloc == request.host else f"the proxy {request.host}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {host} is not valid: {error.verify_message}"
    if isinstance(error, gaierror | TimeoutError):
        why = "its name is not known" if isinstance(error, gaierror) else f"no answer within {patience:g} s"
        return f"no connection to {host}: {why} (is this machine online?)"
    what = "secure connection" if isinstance(error, ssl.SSLError) else "connection"
    return f"no {what} to {host}: {getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error}"


def _broken_off(error: Exception, patience: float) -> str:
    """Returns in a few words why an answer broke off."""
    if isinstance(error, TimeoutError):
        return f"nothing came for {patience:g} s"
    return "the connection was cut" if isinstance(error, OSError) else "the answer is not proper HTTP"


def retry_after(text: str) -> float:
    """Returns a Retry-After header, seconds or a date, in seconds from 0 to 60."""
    try:
        seconds = float(text) if text.isdigit() else (email.utils.parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
