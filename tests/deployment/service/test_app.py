"""The service as programs see it: scores, explanations, refusals, numbers, headers."""

import io
import threading
import zipfile

import numpy as np
import pytest
from conftest import png_bytes
from PIL import Image
from tiny_bundle import PARTS, SIZE, THRESHOLDS, cell, score_of

from malaria_exp.deployment.explanations.draw_one import Drawer
from malaria_exp.deployment.service.limits import Limits


def send(client, *files, **options):
    return client.post("/predict", files=[("files", (name, data)) for name, data in files], **options)


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_every_file_gets_its_own_answer(service):
    files = [(f"{red}.png", png_bytes(cell(red))) for red in range(0, 256, 5)]
    files.insert(3, ("../../etc/notes<script>.txt", b"not an image"))
    files.insert(9, ("blue.png", png_bytes(cell(130, 120, 250))))
    answer = send(service(), *files).json()["cells"]
    assert [one["file"] for one in answer] == [name.split("/")[-1] for name, _ in files]
    assert answer[3]["score"] is None and answer[3]["predicted"] is None and "not a PNG" in answer[3]["error"]
    blue = answer[9]
    assert (blue["looks_like_training_data"], blue["why_not"], blue["error"]) == (False, [PARTS[0]], None)
    for one in answer[:3] + answer[4:9] + answer[10:]:
        expected = score_of(int(one["file"].partition(".")[0]))
        assert one["score"] == pytest.approx(expected, abs=1e-5)
        assert one["predicted"] == {
            name: "parasitized" if one["score"] >= rule["value"] else "uninfected" for name, rule in THRESHOLDS.items()
        }
    assert "look like a patient's" in send(service(), *files).json()["together"]
    # As files of a zip and of any size the same; the longer edge is padded with black, which is what the run does too.
    again = send(service(), ("all.zip", zipped(**dict(files)))).json()["cells"]
    assert again == answer


def test_cells_of_several_requests_are_taken_together_as_those_of_one(service):
    client, files = service(), [(f"{red}.png", png_bytes(cell(red, 120, 250))) for red in range(0, 256, 5)]
    whole, *parts = (send(client, *some).json() for some in (files, files[:20], [*files[20:], ("bad.png", b"")]))
    sums = np.sum([part["ood_log_sums"] for part in parts], axis=0)
    found = client.get("/together", params={"count": len(files), "log_sums": sums.tolist()})
    assert found.json() == {"verdict": "foreign", "words": whole["together"]} and "do not look like" in whole["together"]
    nothing = send(client, ("bad.png", b"")).json()
    assert (nothing["together"], nothing["ood_log_sums"]) == (None, None)
    for params, status, words in (
        ({"count": 3, "log_sums": [1.0]}, 400, "expected 2 numbers"),
        ({"count": 0, "log_sums": [1.0, 2.0]}, 422, "count: Input should be greater"),
        ({"count": 3, "log_sums": ["nan", 2.0]}, 422, "finite"),
        ({"log_sums": [1.0, 2.0]}, 422, "count: Field required"),
    ):
        refused = client.get("/together", params=params)
        assert refused.status_code == status and words in refused.json()["error"], refused.text


def test_images_are_read_and_resized_as_a_run_does(service, model):
    from malaria_exp.data.decode import decode
    from malaria_exp.data.resize import resize

    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (61, 87, 3), np.uint8)).save(out, "JPEG")
    expected = model(resize(decode(out.getvalue()), model.facts.rule)[None])
    assert send(service(), ("a.jpg", out.getvalue())).json()["cells"][0]["score"] == expected.score[0]


def test_what_is_no_upload_is_refused_with_a_reason(service):
    client = service()
    boundary = {"content-type": "multipart/form-data; boundary=b"}
    cases = [
        (client.post("/predict"), 415, "multipart/form-data"),
        (client.post("/predict", content=b"x", headers={"content-type": "image/png"}), 415, "multipart/form-data"),
        (client.post("/predict", content=b"rubbish", headers=boundary), 400, "damaged"),
        (client.post("/predict", content=b"", headers=boundary), 400, "damaged"),
        (
            client.post("/predict", content=b'--b\r\ncontent-disposition: form-data; name="x"\r\n\r\n1\r\n--b--', headers=boundary),
            400,
            "no file",
        ),
        (client.post("/predict", content=b'--b\r\ncontent-disposition: form-data; filename="x"\r\n\r\n1', headers=boundary), 400, "no end"),
        (client.post("/predict", content=b"--b--", headers={"content-type": f"multipart/form-data; boundary={'b' * 300}"}), 400, "oundary"),
        (client.get("/predict"), 405, "Method Not Allowed"),
        (client.get("/static/..%2fapp.py"), 404, "Not Found"),
    ]
    for response, status, words in cases:
        assert response.status_code == status, response.text
        assert words in response.json()["error"]
    assert send(client, ("a.png", png_bytes(cell(9)))).status_code == 200


def test_an_explanation_is_a_picture_of_one_cell(service):
    client = service()
    response = client.post("/explain", files=[("files", ("a.png", png_bytes(cell(200))))])
    assert response.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(response.content))
    assert picture.width == picture.height == 192 and picture.width % SIZE == 0
    two = client.post("/explain", files=[("files", ("a.png", b"")), ("files", ("b.png", b""))])
    bad = client.post("/explain", files=[("files", ("a.png", b"nothing"))])
    assert (two.status_code, bad.status_code) == (400, 400)
    assert "one image" in two.json()["error"] and "not a PNG" in bad.json()["error"]


def test_another_method_draws_the_map_and_says_how_it_is_read(service):
    drawn = []
    client = service(drawer=Drawer(lambda image: drawn.append(image.shape) or b"a map", "how it is read"))
    assert client.post("/explain", files=[("files", ("a.png", png_bytes(cell(200))))]).content == b"a map"
    assert drawn == [(SIZE, SIZE, 3)] and client.get("/model").json()["explanation"] == "how it is read"


def test_the_model_tells_what_it_is_and_nothing_of_single_cells(service, model):
    found = service().get("/model").json()
    assert found["thresholds"]["fixed"] == {"value": 0.5, "rule": "0.5, as given"}
    assert found["ood"] == {"name": "mahalanobis", "parts": PARTS, "false_warnings": 0.03}
    assert found["record"]["training_data"] == {"cells": 88, "patients": 11} and "not for diagnosis" in found["use"].lower()
    assert "guard" in model.facts.record and "f" * 32 not in str(found)


def test_the_description_has_an_example_of_every_answer(service):
    client = service()
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/predict", "/together", "/explain", "/model", "/health", "/ready", "/metrics"}
    example = paths["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    answer = send(client, ("a.png", png_bytes(cell(200)))).json()
    # FastAPI leaves out what is null.
    assert answer.keys() == example.keys() and {*example["cells"][0]} == {*answer["cells"][0]} - {"error"}
    assert "multipart/form-data" in paths["/predict"]["post"]["requestBody"]["content"]
    assert "example" in paths["/predict"]["post"]["responses"]["429"]["content"]["application/json"]


def test_numbers_count_requests_and_cells_but_keep_no_names(service):
    client = service()
    send(client, ("a.png", png_bytes(cell(200))), ("secret-name.png", b"bad"), ("c.png", png_bytes(cell(100, 1, 255))))
    client.get("/no/such/path/secret-name")
    text = client.get("/metrics").text
    for line in (
        'malaria_requests_total{path="/predict",status="200"} 1.0',
        'malaria_requests_total{path="other",status="404"} 1.0',
        'malaria_cells_total{result="scored"} 2.0',
        'malaria_cells_total{result="refused"} 1.0',
        "malaria_cells_unlike_training_data_total 1.0",
        "malaria_waiting_cells 0.0",
        "malaria_held_bytes 0.0",
    ):
        assert line in text
    assert "secret-name" not in text


def test_every_answer_has_the_headers_that_shut_the_page_in(service):
    client = service()
    for response in (client.get("/"), client.get("/static/page.js"), client.get("/x"), client.post("/predict")):
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


def test_only_who_has_the_token_gets_in(service):
    client = service(token="sesame-sesame-sesame")
    right = {"authorization": "Bearer sesame-sesame-sesame"}
    for wrong in ({}, {"authorization": "Bearer sesame"}, {"authorization": "sesame-sesame-sesame"}, {"authorization": b"Bearer \xff"}):
        assert send(client, ("a.png", png_bytes(cell(9))), headers=wrong).status_code == 401
        for path in ("/model", "/metrics", "/together"):
            response = client.get(path, headers=wrong)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert client.post("/explain", headers=wrong).status_code == 401
    assert send(client, ("a.png", png_bytes(cell(9))), headers=right).status_code == 200
    assert client.get("/model", headers=right).status_code == 200
    for path in ("/", "/static/page.js", "/health", "/ready"):
        assert client.get(path).status_code == 200


def test_other_sites_cannot_use_it_through_a_browser(service):
    client = service(hosts=frozenset({"127.0.0.1", "localhost", "::1"}))
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    for host in ("localhost:8000", "127.0.0.1", "[::1]:80"):
        assert client.get("/", headers={"host": host}).status_code == 200
    assert send(client, ("a.png", png_bytes(cell(9))), headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert send(client, ("a.png", png_bytes(cell(9))), headers={"sec-fetch-site": "same-origin"}).status_code == 200


class _Slow:
    """A model that waits to be let go."""

    def __init__(self, model):
        self.facts, self.model, self.go, self.called = model.facts, model, threading.Event(), threading.Event()

    def __call__(self, images):
        if len(images) > 1 or images.any():
            self.called.set()
            self.go.wait(20)
        return self.model(images)


def test_when_too_many_cells_wait_the_next_are_told_when_to_come_again(service, model):
    slow = _Slow(model)
    client = service(slow, limits=Limits(cells=4, waiting=4))
    files, answers = [(f"{red}.png", png_bytes(cell(red))) for red in (50, 100, 150, 200)], []
    first = threading.Thread(target=lambda: answers.append(send(client, files[0])))
    first.start()
    slow.called.wait(10)
    second = threading.Thread(target=lambda: answers.append(send(client, *files)))
    second.start()
    while "malaria_waiting_cells 4.0" not in client.get("/metrics").text:
        pass
    refused = send(client, files[0])
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1 and "busy" in refused.json()["error"]
    assert (client.get("/ready").status_code, client.get("/health").status_code) == (503, 200)
    slow.go.set()
    first.join()
    second.join()
    assert sorted(len(answer.json()["cells"]) for answer in answers) == [1, 4]
    assert (client.get("/ready").status_code, send(client, files[0]).status_code) == (200, 200)


def test_a_request_that_takes_too_long_is_given_up(service, model):
    slow = _Slow(model)
    client = service(slow, limits=Limits(seconds=0.1))
    response = send(client, ("a.png", png_bytes(cell(50))), ("b.png", png_bytes(cell(60))))
    slow.go.set()
    assert response.status_code == 503 and "0.1 s" in response.json()["error"]
    slow.go.set()
    assert "malaria_waiting_cells 0.0" in client.get("/metrics").text


def test_a_model_that_fails_breaks_its_request_and_no_other(service, model):
    def fails(images):
        if images[0, 0, 0, 0] == 77:
            raise RuntimeError("broken")
        found = model(images)
        return type(found)(np.where(images[:, 0, 0, 0] == 78, np.nan, found.score), found.ood)

    fails.facts = model.facts
    client = service(fails)
    response = send(client, ("a.png", png_bytes(cell(77))))
    assert response.status_code == 500 and "broken" not in response.text
    assert "no number" in send(client, ("a.png", png_bytes(cell(78)))).json()["cells"][0]["error"]
    assert send(client, ("a.png", png_bytes(cell(80)))).json()["cells"][0]["score"] == pytest.approx(score_of(80), abs=1e-5)
    assert client.get("/health").status_code == 200
