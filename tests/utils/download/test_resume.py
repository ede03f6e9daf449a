"""A download is whole and checked or not there at all, and never asks again for what has arrived."""

import signal
import time

import numpy as np
import pytest
from web_server import CONTENT, DAMAGED, DATE, HINT, OTHER, SIZE, arrives, fails, go, left, part_of, put, say, serve, sha256, start_child

from malaria_exp import __version__

# A connection that holds


def test_a_plain_download_says_what_it_does_and_leaves_the_file(site, path, messages):
    arrives(site.remote(), path)
    assert site.sent == [SIZE] and site.ranges() == [None]
    assert site.requests[0][1]["User-Agent"] == f"malaria_exp/{__version__}"
    first, last = messages()
    assert first == f"download  {site.url} (300 kB) to {path}"
    assert last.startswith(f"download  done, checksum right: {path} (")


@pytest.mark.parametrize("content", [b"", b"x"], ids=["empty", "one byte"])
def test_tiny_files_arrive(site, path, content):
    site.answers = [serve(content)]
    arrives(site.remote(content), path, content)


def test_a_checksum_in_capitals_is_the_same_checksum(site, path):
    for _ in range(2):
        arrives(site.remote(sha256=sha256(CONTENT).upper()), path)
    assert site.sent == [SIZE]


def test_a_server_need_not_say_the_length(site, path):
    def chunked(handler):
        handler.start(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, SIZE, 70_000):
            chunk = CONTENT[start : start + 70_000]
            handler.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    site.answers = [chunked]
    arrives(site.remote(), path)
    assert len(site.requests) == 1


def test_the_environments_proxy_is_used(site, path, monkeypatch):
    monkeypatch.setenv("http_proxy", site.origin)
    arrives(site.remote(url="http://cells.example/cells.zip"), path)
    assert [address for address, _ in site.requests] == ["http://cells.example/cells.zip"]


# A connection that breaks off


def test_what_has_arrived_is_not_sent_again(site, path):
    site.answers = [serve(cut=100_000), serve(cut=1), serve(cut=70_000), serve()]
    arrives(site.remote(), path)
    assert site.ranges() == [None, "bytes=100000-", "bytes=100001-", "bytes=170001-"] and sum(site.sent) == SIZE


def test_a_reset_costs_at_most_what_was_on_the_way(site, path):
    site.answers = [serve(cut=100_000, reset=True), serve(cut=70_000, reset=True), serve()]
    arrives(site.remote(), path)
    starts = [int((asked or "bytes=0-")[6:-1]) for asked in site.ranges()]
    assert starts == sorted(starts)
    assert site.sent == [100_000, 70_000, SIZE - starts[-1]]


def test_any_progress_allows_as_many_cuts_again(site, path):
    cuts = np.diff(np.unique(np.random.default_rng(2).integers(1, SIZE, 30)), prepend=0).tolist()
    site.answers = [serve(cut=cut) for cut in cuts] + [serve()]
    arrives(site.remote(), path, attempts=1)
    assert len(site.requests) == len(cuts) + 1 and sum(site.sent) == SIZE


def test_a_server_that_sends_nothing_more_is_given_up_and_the_next_run_goes_on(site, path, messages):
    site.answers = [serve(cut=100_000), serve(cut=0)]
    assert fails(site.remote(), path) == (
        f"cannot download {site.url}: the connection was cut after 100 kB of 300 kB (given up after 3 more attempts that brought nothing new). "
        f"100 kB of 300 kB are kept in '{path}.part'; the same command goes on from there. {HINT}"
    )
    assert site.sent == [100_000, 0, 0, 0]
    assert "trying again in 0 s (3 of 3)" in messages()[-1]
    assert left(path) == ["cells.zip.part", "cells.zip.part.json"] and part_of(path).read_bytes() == CONTENT[:100_000]
    site.answers = [serve()]
    arrives(site.remote(), path)
    assert sum(site.sent) == SIZE
    assert f"download  {site.url} (300 kB) to {path}, 100 kB of it here already" in messages()


def test_a_server_that_promises_more_than_it_sends_is_asked_for_the_rest(site, path):
    site.answers = [serve(CONTENT[:200_000], Content_Length=SIZE), serve()]
    arrives(site.remote(), path)
    assert site.sent == [200_000, 100_000]


def test_silence_is_a_cut(site, path, messages):
    site.answers = [serve(cut=50_000, stall=True), lambda handler: site.over.wait(20), serve()]
    arrives(site.remote(), path, patience=0.2)
    assert site.sent == [50_000, 0, 250_000]
    assert sum("nothing came for 0.2 s" in message for message in messages()) == 2


def test_pauses_double_up_to_a_limit(site, path, pauses):
    site.answers = [serve(cut=0)]
    fails(site.remote(), path, attempts=7, wait=1.0)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_an_interrupted_download_goes_on_in_the_next_run(site, path):
    site.answers = [serve(cut=120_000, stall=True), serve()]
    child = start_child(site, path)
    go([child])
    for _ in range(1000):
        # The last few kB of the 120 wait in the file's buffer.
        if part_of(path).exists() and part_of(path).stat().st_size >= 110_000:
            break
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert part_of(path).read_bytes() == CONTENT[: part_of(path).stat().st_size]
    arrives(site.remote(), path)
    assert site.ranges() == [None, "bytes=120000-"]


# A server that cannot resume, or whose file changes


def test_a_server_that_ignores_ranges_sends_the_file_anew(site, path, messages):
    site.answers = [serve(cut=100_000), serve(ranges=False)]
    arrives(site.remote(), path)
    assert site.sent == [100_000, SIZE]
    assert "download  the server cannot resume, or the file there has changed; starting over" in messages()


def test_a_server_that_always_starts_over_and_breaks_off_is_given_up(site, path):
    site.answers = [serve(ranges=False, cut=100_000)]
    assert "cut after 100 kB of 300 kB" in fails(site.remote(), path) and len(site.requests) == 4


VERSIONS = [
    ({"ETag": '"1"'}, '"1"'),
    ({"Last_Modified": DATE}, DATE),
    ({"ETag": '"1"', "Last_Modified": DATE}, '"1"'),
    ({"ETag": 'W/"1"'}, None),
]


@pytest.mark.parametrize(("version", "condition"), VERSIONS, ids=["etag", "date", "both", "weak"])
def test_a_part_is_asked_for_under_the_condition_that_the_file_is_the_same(site, path, version, condition):
    site.answers = [serve(cut=100_000, **version), serve(cut=0, **version)]
    fails(site.remote(), path, attempts=1)
    site.answers = [serve(**version)]
    arrives(site.remote(), path)
    assert [headers["If-Range"] for _, headers in site.requests] == [None, condition, condition]
    assert sum(site.sent) == SIZE


@pytest.mark.parametrize("later", [False, True], ids=["same run", "later run"])
@pytest.mark.parametrize("honest", [True, False], ids=["answers anew", "sends a part of the new one"])
def test_halves_of_two_versions_are_never_put_together(site, path, messages, honest, later):
    site.answers = [serve(OTHER, cut=100_000, ETag='"1"'), serve(ETag='"2"', honest=honest)]
    if later:
        fails(site.remote(), path, attempts=0)
    arrives(site.remote(), path)
    assert site.statuses == ([200, 200] if honest else [200, 206, 200])
    assert site.sent[-1] == SIZE
    assert not any("damaged" in message for message in messages())


def test_halves_of_two_versions_without_a_name_are_found_by_the_checksum(site, path, messages):
    site.answers = [serve(OTHER, cut=100_000), serve()]
    arrives(site.remote(), path)
    assert site.sent == [100_000, 200_000, SIZE]
    assert any("what arrived is damaged" in message and "again from the start" in message for message in messages())


SPANS = [f"bytes 0-{SIZE - 1}/{SIZE}", f"bytes 99999-{SIZE - 1}/{SIZE}", None, "pixels 100000-*"]


@pytest.mark.parametrize("span", SPANS, ids=["from the start", "one byte off", "missing", "nonsense"])
def test_a_part_that_was_not_asked_for_is_not_taken(site, path, span):
    site.answers = [serve(cut=100_000), serve(Content_Range=span), serve()]
    arrives(site.remote(), path)
    assert site.ranges() == [None, "bytes=100000-", None]


@pytest.mark.parametrize("span", [None, f"bytes */{SIZE}"], ids=["bare", "with length"])
def test_a_part_the_server_knows_nothing_of_is_fetched_anew(site, path, span):
    site.answers = [serve(cut=100_000), say(416, Content_Range=span), serve()]
    arrives(site.remote(), path)
    assert site.ranges() == [None, "bytes=100000-", None]


# What earlier runs left


def test_a_whole_part_is_checked_without_asking_for_more(site, path):
    put(part_of(path), CONTENT)
    site.answers = [say(416)]
    arrives(site.remote(), path)
    assert site.requests == []


@pytest.mark.parametrize("part", [OTHER, CONTENT + b"x", OTHER * 3], ids=["wrong", "a byte too long", "much too long"])
def test_a_wrong_part_is_thrown_away(site, path, part):
    put(part_of(path), part)
    arrives(site.remote(), path)
    assert site.ranges() == [None]


def test_a_part_of_another_file_is_not_gone_on_with(site, path, messages):
    site.answers = [serve(OTHER, cut=100_000), serve()]
    fails(site.remote(OTHER), path, attempts=0)
    arrives(site.remote(), path)
    assert site.ranges() == [None, None]
    assert not any("damaged" in message for message in messages())


@pytest.mark.parametrize("text", ["", "[1]", '{"ETag": 3}', "\x00"], ids=["empty", "list", "number", "no text"])
def test_a_version_that_cannot_be_read_is_no_condition(site, path, text):
    put(part_of(path), CONTENT[:100_000])
    path.with_name("cells.zip.part.json").write_text(text)
    arrives(site.remote(), path)
    assert site.sent == [200_000] and site.requests[0][1]["If-Range"] is None


# Another file, and damage


@pytest.mark.parametrize("length", [SIZE - 1, SIZE + 1, 10])
def test_a_file_of_another_size_is_refused_at_once(site, path, length):
    site.answers = [serve(Content_Length=length)]
    reason = f"the file at this address is another one: expected 300,000 bytes, received {length:,}"
    assert fails(site.remote(), path) == f"cannot download {site.url}: {reason}. {HINT}" and len(site.requests) == 1
    assert left(path) == []


LATER = [serve(CONTENT + b"x"), serve(CONTENT + b"x", ranges=False), say(416, Content_Range=f"bytes */{SIZE + 1}")]


@pytest.mark.parametrize("later", LATER, ids=["part", "whole", "nothing"])
def test_a_file_of_another_size_later_on_costs_nothing_of_what_has_arrived(site, path, later):
    site.answers = [serve(cut=100_000), later]
    assert "is another one: expected 300,000 bytes, received 300,001. 100 kB of 300 kB are kept in" in fails(site.remote(), path)
    assert part_of(path).read_bytes() == CONTENT[:100_000]
    assert len(site.requests) == 2


def test_a_login_page_is_told_and_costs_nothing_of_what_has_arrived(site, path):
    site.answers = [serve(cut=100_000), say(200, b"<html>Welcome!</html>", Content_Type="text/html; charset=utf-8"), serve()]
    assert "received 21 (a web page: does this network ask for a login?). 100 kB of" in fails(site.remote(), path)
    arrives(site.remote(), path)
    assert sum(site.sent) == SIZE


def test_one_damaged_bit_is_fetched_again(site, path, messages):
    site.answers = [serve(DAMAGED), serve()]
    arrives(site.remote(), path)
    assert site.sent == [SIZE, SIZE] and site.ranges() == [None, None]
    assert any(sha256(DAMAGED) in message for message in messages())


def test_what_is_always_damaged_is_named_with_both_checksums_and_not_kept(site, path):
    site.answers = [serve(DAMAGED)]
    assert fails(site.remote(), path) == (
        f"cannot download {site.url}: what arrives is damaged, twice in a row: expected 300,000 bytes with sha256 {sha256(CONTENT)}, "
        f"received 300,000 with {sha256(DAMAGED)}. {HINT}"
    )
    assert site.sent == [SIZE, SIZE]
    assert left(path) == []


def test_an_endless_answer_does_not_fill_the_disk(site, path):
    def endless(handler):
        handler.start(200, {"Connection": "close"})
        for _ in range(2000):
            handler.write(OTHER)

    site.answers = [endless]
    assert "damaged, twice in a row: expected 300,000 bytes" in fails(site.remote(), path) and len(site.requests) == 2
    assert max(site.sent) < 2000 * SIZE
    assert left(path) == []
