"""What the service does not take: it is refused while it arrives, or before it is decoded, and costs nothing that matters."""

import gc
import io
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from conftest import png_bytes
from PIL import Image
from tiny_bundle import cell, score_of

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode import decode
from malaria_exp.deployment.service import cells, uploads
from malaria_exp.deployment.service.cells import cells_of
from malaria_exp.deployment.service.limits import Limits, ServiceError
from malaria_exp.deployment.service.uploads import Upload, base_name

NORMAL = Limits()
GOOD = png_bytes(cell(150))


def zipped(files, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def errors(data, limits=NORMAL):
    """Returns {file: error} of the cells of a zip; None of one that can be read."""
    found = {}
    for one in cells_of([Upload("all.zip", data)], limits):
        try:
            decode(one.read())
            found[one.file] = None
        except BadImageError as error:
            found[one.file] = str(error)
    return found


def test_names_are_base_names_and_hidden_files_are_left_out():
    files = ["a/b/1.png", "../../2.png", "c:\\x\\3.png", "__MACOSX/._1.png", "a/.DS_Store", "Thumbs.db", "4\x07\u202e.png"]
    assert errors(zipped([(name, GOOD) for name in files] + [("folder/", b"")])) == dict.fromkeys(["1.png", "2.png", "3.png", "4.png"])
    assert base_name("/") == "unnamed" and len(base_name("x" * 900 + ".png")) == 200 and base_name("x" * 900 + ".png").endswith(".png")


def test_bombs_are_not_unpacked(monkeypatch):
    bomb = zipped([("zeros.bmp", bytes(15_000_000)), ("good.png", GOOD)])
    tracemalloc.start()
    found = errors(bomb)
    assert found["good.png"] is None and "200 times" in found["zeros.bmp"]
    large = zipped([("large.bmp", np.random.default_rng(0).bytes(1000) * 17_000)])
    tracemalloc.reset_peak()
    assert "17 MB" in errors(large)["large.bmp"]
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    monkeypatch.setattr(cells, "UNPACKED_BYTES", 2_000_000)
    many = zipped([(f"{number}.bmp", bytes(1_000_000)) for number in range(3)])
    with pytest.raises(ServiceError, match="would unpack to 3.0 MB") as refused:
        errors(many)
    assert refused.value.status == 413


def test_a_zip_in_a_zip_stays_closed():
    inner = zipped([("1.png", GOOD)])
    assert "looks like zip" in errors(zipped([("inner.zip", inner), ("2.png", GOOD)]))["inner.zip"]


def test_a_zip_may_not_have_too_many_entries_whatever_it_says_of_their_number():
    limits = Limits(cells=3)
    with pytest.raises(ServiceError, match="at most 3"):
        errors(zipped([(f"{number}.png", GOOD) for number in range(4)]), limits)
    entry = b"PK\x01\x02" + bytes(42)
    # A directory of a million entries, whose end says that it has one.
    lying = b"PK\x03\x04" + entry * 5000 + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, 5000 * 46, 4, 0)
    tracemalloc.start()
    with pytest.raises(ServiceError, match="at most 3"):
        errors(lying, limits)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_damaged_and_strange_zips_are_errors_of_their_files():
    good = bytearray(zipped([("1.png", GOOD), ("2.png", GOOD)]))
    assert "damaged zip" in errors(bytes(good[:-30]))["all.zip"] and "damaged zip" in errors(b"PK\x03\x04rubbish")["all.zip"]
    assert errors(zipped([])) == {"all.zip": "zip without a file"}
    assert "method 12" in errors(zipped([("1.png", GOOD)], zipfile.ZIP_BZIP2))["1.png"]
    encrypted = bytearray(good)
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    found = errors(bytes(encrypted))
    assert "encrypted" in found["1.png"] and found["2.png"] is None
    # The size in the directory is smaller than what the file unpacks to.
    lying = bytearray(good)
    place = lying.index(b"PK\x01\x02") + 24
    lying[place : place + 4] = struct.pack("<I", 10)
    found = errors(bytes(lying))
    assert found["1.png"] is not None and found["2.png"] is None


def test_rubbish_in_a_zip_never_breaks_it():
    rng, good = np.random.default_rng(0), zipped([("1.png", GOOD), ("2.png", GOOD)])
    for _ in range(300):
        data = bytearray(good)
        for place in rng.integers(4, len(data), 3):
            data[place] = rng.integers(256)
        try:
            errors(bytes(data))
        except ServiceError as error:
            assert error.status == 413


def _header_of(width, height, kind):
    """The beginning of a large image; of PNG all of it, its pixels missing."""
    if kind == "png":
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
        )
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "tiff"])
def test_an_image_of_too_many_pixels_is_refused_by_its_header(service, kind):
    files = [("files", ("large", _header_of(2001, 2000, kind))), ("files", ("good.png", GOOD))]
    large, good = service().post("/predict", files=files).json()["cells"]
    assert large["error"] == "2,001 x 2,000 pixels, more than 4,000,000 in all" and large["score"] is None
    assert good["score"] == pytest.approx(score_of(150), abs=1e-5)


def test_bytes_are_counted_while_they_arrive(service, monkeypatch):
    monkeypatch.setattr(uploads, "REQUEST_BYTES", 50_000)
    monkeypatch.setattr(uploads, "FILE_BYTES", 20_000)
    client, sent = service(), []

    def endless():
        yield b'--b\r\ncontent-disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(100):
            sent.append(1)
            yield bytes(10_000)

    head = {"content-type": "multipart/form-data; boundary=b"}
    # A length in the header is enough to refuse.
    assert client.post("/predict", content=b"x", headers={**head, "content-length": "50001"}).status_code == 413
    assert client.post("/predict", content=endless(), headers=head).status_code == 413
    files = [("files", ("large.png", bytes(20_001))), ("files", ("good.png", GOOD))]
    large, good = client.post("/predict", files=files).json()["cells"]
    assert "too large" in large["error"] and good["error"] is None
    monkeypatch.setattr(uploads, "HELD_BYTES", 100)
    busy = client.post("/predict", files=files)
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "2")
    monkeypatch.setattr(uploads, "HELD_BYTES", 10**6)
    assert client.post("/predict", files=files).status_code == 200
    assert "malaria_held_bytes 0.0" in client.get("/metrics").text


def test_a_request_may_not_have_too_many_files(service):
    client = service(limits=Limits(cells=2))
    assert client.post("/predict", files=[("files", ("a.png", GOOD))] * 2).status_code == 200
    assert client.post("/predict", files=[("files", ("a.png", GOOD))] * 3).status_code == 413
    assert (
        client.post("/predict", files=[("files", ("a.png", GOOD)), ("files", ("b.zip", zipped([("1", GOOD), ("2", GOOD)])))]).status_code
        == 413
    )


def test_a_zip_may_be_larger_than_a_file_of_it(service, monkeypatch):
    monkeypatch.setattr(uploads, "FILE_BYTES", len(GOOD) + 10)
    monkeypatch.setattr(cells, "FILE_BYTES", len(GOOD) + 10)
    data = zipped([(f"{number}.png", GOOD) for number in range(5)], zipfile.ZIP_STORED)
    answer = service().post("/predict", files=[("files", ("all.zip", data))]).json()["cells"]
    assert [one["error"] for one in answer] == [None] * 5


def test_uploads_leave_the_memory_with_their_request(service):
    client = service(limits=Limits(cells=3))
    requests = [
        [("a.png", GOOD)],
        [("a.txt", b"no image"), ("all.zip", zipped([("1.png", GOOD), ("2.png", b"bad")]))],
        [("many.zip", zipped([(f"{number}.png", GOOD) for number in range(4)]))],
        [("a.png", GOOD)] * 4,
    ]
    gc.collect()
    gc.disable()
    try:
        statuses = [client.post("/predict", files=[("files", file) for file in files]).status_code for files in requests]
        assert statuses == [200, 200, 413, 413]
        assert not [found for found in gc.get_objects() if isinstance(found, (Upload, zipfile.ZipFile))]
    finally:
        gc.enable()
