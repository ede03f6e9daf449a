"""One download that goes on where an earlier one was cut off: a cut connection costs only what had not arrived yet.

Source for ranges and their conditions: RFC 9110, sections 13.1.5 and 14, https://www.rfc-editor.org/rfc/rfc9110
"""

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPMessage, HTTPResponse, responses
from pathlib import Path

from malaria_exp.utils.atomic_files import human_bytes, write_json
from malaria_exp.utils.errors import DataError
from malaria_exp.utils.http import CHUNK, CutError, FinalError, open_url, public_url, read_some, retry_after
from malaria_exp.utils.progress_bars import download_bar
from malaria_exp.utils.terminal_log import log

MAX_WAIT = 30.0
CONDITIONS = ("ETag", "Last-Modified")


@dataclass(frozen=True)
class RemoteFile:
    """What a file must be when it has arrived.

    Attributes:
        url: http or https address; user:password@ is sent as basic authorization.
        size: length in bytes.
        sha256: SHA-256 of its bytes, hexadecimal.
    """

    url: str
    size: int
    sha256: str


def beside(path: Path, ending: str) -> Path:
    """Returns the path of a file that belongs to a download, such as `<name>.part`."""
    return path.with_name(f"{path.name}.{ending}")


def read_json(path: Path) -> object:
    """Returns what a JSON file holds; None if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


class ResumingDownload:
    """One download, under its lock.

    Attributes:
        received, digest: count and SHA-256 of the bytes in the partial file.
        version: `sha256` of the whole file, and the ETag and Last-Modified that came with the bytes.
        answered: whether the server has answered at all.
    """

    def __init__(self, remote: RemoteFile, path: Path, patience: float, attempts: int, wait: float) -> None:
        self.remote, self.path = remote, path
        self.patience, self.attempts, self.wait = patience, attempts, wait
        self.part, self.sidecar = beside(path, "part"), beside(path, "part.json")
        self.sha256, self.size = remote.sha256.lower(), human_bytes(remote.size)
        self.received, self.digest, self.answered = 0, hashlib.sha256(), False
        self.version: dict[str, str] = {}

    def run(self, hint: str) -> None:
        """Downloads, checks and renames."""
        started = time.monotonic()
        shown = public_url(self.remote.url)
        try:
            with self.part.open("ab+") as self.file, download_bar() as self.bar:
                self.task = self.bar.add_task(self.path.name, total=self.remote.size)
                self._take_up()
                here = f", {human_bytes(self.received)} of it here already" if self.received else ""
                log.info(f"download  {shown} ({self.size}) to {self.path}{here}")
                self._fill()
                self.file.flush()
                os.fsync(self.file.fileno())
        except FinalError as error:
            kept = f"{human_bytes(self.received)} of {self.size} are kept in '{self.part}'; the same command goes on from there. "
            if not self.received:
                kept = ""
                self._tidy_up()
            raise DataError(f"cannot download {shown}: {error}. {kept}{hint}".rstrip()) from None
        os.replace(self.part, self.path)
        self._tidy_up()
        log.info(f"download  done, checksum right: {self.path} ({time.monotonic() - started:.0f} s)")

    def _take_up(self) -> None:
        """Counts the bytes that an earlier run has left, unless they belong to another file."""
        found = read_json(self.sidecar)
        self.version = {key: text for key, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}
        if self.version.get("sha256", self.sha256) != self.sha256:
            self._start_over()
        self.file.seek(0)
        while chunk := self.file.read(CHUNK):
            self._count(chunk)
        # The bar shows the speed of the network, not that of reading the part that is here already.
        self.bar.reset(self.task, completed=self.received)

    def _fill(self) -> None:
        """Receives what is missing; a file that turns out damaged is fetched once more from the start."""
        for last in (False, True):
            self._receive()
            digest = self.digest.hexdigest()
            if digest == self.sha256:
                return
            damage = f"expected {self.remote.size:,} bytes with sha256 {self.sha256}, received {self.received:,} with {digest}"
            self._start_over()
            if last:
                raise FinalError(f"what arrives is damaged, twice in a row: {damage}")
            log.warning(f"download  what arrived is damaged: {damage}; fetching it again from the start")

    def _receive(self) -> None:
        """Sends requests until all bytes are there; gives up after too many in a row that brought nothing new."""
        furthest, failures = self.received, 0
        while self.received < self.remote.size:
            try:
                self._request()
            except CutError as cut:
                # Only new bytes are progress: a server that always starts over and breaks off is given up too.
                failures = 1 if self.received > furthest else failures + 1
                furthest = max(furthest, self.received)
                if failures > self.attempts:
                    raise FinalError(f"{cut} (given up after {self.attempts} more attempts that brought nothing new)") from None
                wait = max(cut.wait, min(self.wait * 2 ** (failures - 1), MAX_WAIT))
                log.warning(f"download  {cut}; trying again in {wait:.0f} s ({failures} of {self.attempts})")
                time.sleep(wait)

    def _request(self) -> None:
        """Asks once for the missing bytes and takes what comes."""
        headers = {}
        if self.received:
            headers["Range"] = f"bytes={self.received}-"
            # A weak ETag must not stand here; without a condition a new version shows in the answer's ETag or in the checksum.
            condition = self.version.get("ETag") or self.version.get("Last-Modified") or "W/"
            if not condition.startswith("W/"):
                headers["If-Range"] = condition
        with open_url(self.remote.url, headers, self.patience, self.answered) as response:
            self.answered = True
            self._judge(response)
            # One byte too many is enough to know that it is another file; an endless answer must not fill the disk.
            while self.received <= self.remote.size and (chunk := read_some(response, self.patience)):
                self.file.write(chunk)
                self._count(chunk)
        if self.received < self.remote.size:
            raise CutError(f"the connection was cut after {human_bytes(self.received)} of {self.size}")

    def _judge(self, response: HTTPResponse) -> None:
        """Decides by status and headers whether the bytes that follow go on from those received, are all anew, or are not wanted."""
        status, headers = response.status, response.headers
        if status == HTTPStatus.OK:
            self._check_size(response.length, headers)
            if self.received:
                log.warning("download  the server cannot resume, or the file there has changed; starting over")
                self._start_over()
            self.version = {"sha256": self.sha256, **{name: headers[name] for name in CONDITIONS if headers[name]}}
            write_json(self.sidecar, self.version)
        elif status == HTTPStatus.PARTIAL_CONTENT or (status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and self.received):
            span = re.fullmatch(r"bytes (?:([0-9]{1,18})-[0-9]+|\*)/([0-9]{1,18}|\*)", headers.get("Content-Range", "").strip())
            if span and span[2] != "*":
                self._check_size(int(span[2]), headers)
            same = all(self.version.get(name, headers[name]) == headers[name] for name in CONDITIONS if headers[name])
            if status != HTTPStatus.PARTIAL_CONTENT or span is None or span[1] != str(self.received) or not same:
                self._start_over()
                raise CutError(f"no part to go on with came from the server (HTTP {status}); starting over")
        else:
            answer = f"the server answered HTTP {status} {responses.get(status, '')}".rstrip()
            if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise CutError(answer, retry_after(headers.get("Retry-After", "")))
            raise FinalError(answer)

    def _check_size(self, size: int | None, headers: HTTPMessage) -> None:
        if size not in (None, self.remote.size):
            page = " (a web page: does this network ask for a login?)" if headers.get_content_type() == "text/html" else ""
            raise FinalError(f"the file at this address is another one: expected {self.remote.size:,} bytes, received {size:,}{page}")

    def _count(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        self.received += len(chunk)
        self.bar.update(self.task, completed=self.received)

    def _start_over(self) -> None:
        self.file.truncate(0)
        self.received, self.digest, self.version = 0, hashlib.sha256(), {}
        self.bar.reset(self.task)

    def _tidy_up(self) -> None:
        for path in (self.part, self.sidecar):
            path.unlink(missing_ok=True)
