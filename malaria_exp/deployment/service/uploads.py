"""Uploaded files: read from a multipart request within bounds that hold while the bytes arrive. They stay in memory and are never written to a disk."""

import asyncio
import logging
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import PureWindowsPath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from malaria_exp.deployment.service.limits import FILE_BYTES, HELD_BYTES, LONGEST_NAME, REQUEST_BYTES, Limits, ServiceError
from malaria_exp.utils.atomic_files import human_bytes

# A client has so many seconds, and one more for every so many bytes it has sent.
PATIENCE_SECONDS, SLOWEST_BYTES = 10.0, 20_000
# Bytes of a request that are read at a time.
PIECE = 8192
# The first bytes of a zip, and of one without files.
ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
# A damaged request is answered with the reason; a line in the log for each would let anybody fill a disk.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
MULTIPART = "Send the files as multipart/form-data, each in a field `files`: curl -F files=@cell.png http://..."


@dataclass
class Upload:
    """A file of a request.

    Attributes:
        name: its base name.
        data: its content; None if it is no zip and has more than `FILE_BYTES`.
    """

    name: str
    data: bytes | None

    @property
    def is_zip(self) -> bool:
        """Whether it is a zip, by its content."""
        return self.data is not None and self.data.startswith(ZIPS)


class Held:
    """Counts the bytes of all requests that are in memory."""

    def __init__(self) -> None:
        self.bytes = 0

    def take(self, size: int) -> None:
        """Raises a ServiceError of 429 if there is no room for so many more."""
        if self.bytes + size > HELD_BYTES:
            raise ServiceError(429, "The service is busy: too many bytes of other requests are in memory. Try again soon.", retry_after=2)
        self.bytes += size


def base_name(name: str) -> str:
    """Returns the last part of a path of any system, without control characters and not too long."""
    last = PureWindowsPath(name).name
    return "".join(letter for letter in last if unicodedata.category(letter)[0] != "C")[-LONGEST_NAME:] or "unnamed"


@asynccontextmanager
async def uploads(request: Request, held: Held, limits: Limits) -> AsyncIterator[list[Upload]]:
    """Reads a request's files; when the block is left they are no longer counted as held.

    Raises:
        ServiceError: it is no multipart request of files, too large, too slow, or there is no room for it now.
    """
    form = _Form(_boundary(request), limits)
    taken = 0
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS) as deadline:
                async for chunk in request.stream():
                    held.take(len(chunk))
                    taken += len(chunk)
                    if taken > REQUEST_BYTES:
                        raise _too_large()
                    for begin in range(0, len(chunk), PIECE):
                        if begin:
                            # A request of thousands of small parts takes long to read; others have their turn in between.
                            await asyncio.sleep(0)
                        form.write(chunk[begin : begin + PIECE])
                    deadline.reschedule(start + PATIENCE_SECONDS + taken / SLOWEST_BYTES)
        except TimeoutError:
            raise ServiceError(408, f"The request came too slowly: {human_bytes(taken)} in {loop.time() - start:.0f} s.") from None
        except ClientDisconnect:
            raise ServiceError(400, "The connection was closed before the request was complete.") from None
        yield form.files()
    finally:
        form.close()
        held.bytes -= taken


def _boundary(request: Request) -> bytes:
    """Returns what separates the parts; raises a ServiceError if the headers tell that the body cannot be taken."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise ServiceError(415, MULTIPART)
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > REQUEST_BYTES:
        raise _too_large()
    return options[b"boundary"]


def _too_large() -> ServiceError:
    return ServiceError(413, f"The request is too large; at most {human_bytes(REQUEST_BYTES)}. Send the files in several requests.")


class _Form:
    """The files of a multipart body, collected while it arrives."""

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        self._files: list[Upload] = []
        self._limits = limits
        self._name, self._value, self._disposition = b"", b"", b""
        self._content: bytearray | None = None
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._data,
                    "on_part_end": self._part_end,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise ServiceError(400, f"The request is damaged: {error}") from None

    def write(self, chunk: bytes) -> None:
        """Takes the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise ServiceError(400, f"The request is damaged: {error}") from None

    def files(self) -> list[Upload]:
        """Returns the files of the whole body."""
        if not self._complete:
            raise ServiceError(400, "The request is damaged: its last part has no end.")
        if not self._files:
            raise ServiceError(400, f"The request has no file. {MULTIPART}")
        return self._files

    def close(self) -> None:
        """Lets go of the parser, which refers back to this form: its files would stay in memory until Python next searches for cycles."""
        del self._parser

    def _begin(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        name = parse_options_header(self._disposition)[1].get(b"filename")
        if name is None:
            raise ServiceError(400, f"The request has a field that is no file. {MULTIPART}")
        if len(self._files) == self._limits.cells:
            raise ServiceError(413, f"The request has too many files; at most {self._limits.cells:,}. Send them in several requests.")
        self._files.append(Upload(base_name(name.decode(errors="replace")), None))
        self._content = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._content is not None:
            self._content += data[start:end]
            # A zip may have as many bytes as a request.
            if len(self._content) > FILE_BYTES and not self._content.startswith(ZIPS):
                self._content = None

    def _part_end(self) -> None:
        self._files[-1].data = None if self._content is None else bytes(self._content)
        self._content = None

    def _end(self) -> None:
        self._complete = True
