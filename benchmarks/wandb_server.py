"""A stand-in for W&B's server, for same_numbers.py and the tests: the part of its protocol that sweeps, their agents and plain runs need."""

import itertools
import json
import os
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

KEY = "0123456789abcdef0123456789abcdef01234567"
ENTITY = "me"


class WandbServer(ThreadingHTTPServer):
    """Hands out the runs of grids in order; the last parameter varies fastest.

    Attributes:
        url: for WANDB_BASE_URL.
        sweeps: {id: sweep}, each a dict with config, text, project, entity, state and the points of its grid that are left.
        runs: {id: run} of sweeps, each a dict with args, agent, heartbeats and state: running, stopping, resume or over.
        told: commands that agents were given: (agent, command).
        shown: {run id: variables} of the runs that clients have begun here.
        summaries: {run id: summary}, as clients have sent it.
        history: {run id: rows}.
        stop_after: {run id: heartbeats after it began at which the run is stopped}.
        resumed: runs that are resumed once after they were stopped.
        refuse: (status, message) of every answer; None to answer.
        silent: once it is set (by GET /silence, too), whoever sends anything waits for an answer until the server is closed.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.sweeps: dict[str, Any] = {}
        self.runs: dict[str, Any] = {}
        self.told: list[Any] = []
        self.shown: dict[str, Any] = {}
        self.summaries: dict[str, Any] = {}
        self.history: dict[str, Any] = {}
        self.agents: dict[str, str] = {}
        self.stop_after: dict[str, int] = {}
        self.resumed: set[str] = set()
        self.refuse: tuple[int, str] | None = None
        self.lock = threading.Lock()
        self.silent, self.closed = threading.Event(), threading.Event()
        self.number = itertools.count()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        """Answers nobody any more."""
        self.closed.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: clients are killed here on purpose."""

    def environment(self, home: Path) -> dict[str, str]:
        """The environment of a client that knows this server alone and whose settings lie in `home`."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        own |= {name: str(home) for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")}
        path = os.pathsep.join(part for part in sys.path if part)
        return own | {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": self.url, "NETRC": str(home / "none"), "PYTHONPATH": path}

    def answer(self, asked: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The `data` of a GraphQL answer."""
        if "upsertSweep" in asked:
            return {"upsertSweep": {"sweep": self.upsert(given), "configValidationWarnings": []}}
        if "createAgent" in asked:
            name = f"agent-{next(self.number)}"
            self.agents[name] = given["sweep"]
            return {"createAgent": {"agent": {"id": name}}}
        if "agentHeartbeat" in asked:
            commands = self.heartbeat(given["id"], json.loads(given["runState"]))
            self.told += [(given["id"], command) for command in commands]
            return {"agentHeartbeat": {"agent": {"id": given["id"]}, "commands": json.dumps(commands)}}
        if "upsertBucket" in asked:
            if given.get("name"):
                self.shown.setdefault(given["name"], {}).update({key: value for key, value in given.items() if value is not None})
                if given.get("summaryMetrics"):
                    self.summaries[given["name"]] = json.loads(given["summaryMetrics"])
            project = {"id": "p", "name": given.get("project") or "malaria_exp", "entity": {"id": "e", "name": ENTITY}}
            bucket = {"id": "b", "name": given.get("name"), "displayName": "", "config": "{}", "historyLineCount": 0, "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "sweepName" in asked:
            found = self.sweeps.get(given["sweep"])
            return {"project": {"sweep": found and {**found, "config": found["text"], "runs": {"edges": []}}}}
        if "createRunFiles" in asked:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        viewer = {"id": "v", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer, "entity": {"organization": None}, "serverInfo": {"features": []}}

    def upsert(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Makes or changes a sweep."""
        if given.get("id"):
            sweep = self.sweeps[given["id"]]
            sweep["state"] = given.get("state") or sweep["state"]
        else:
            config = yaml.safe_load(given["config"])
            name = f"s{len(self.sweeps)}"
            project, entity = given.get("projectName") or "uncategorized", given.get("entityName") or ENTITY
            sweep = {"id": name, "name": name, "text": given["config"], "state": "RUNNING", "asked": config}
            sweep |= {"project": {"id": "p", "name": project, "entity": {"id": "e", "name": entity}}, "left": points(config)}
            self.sweeps[name] = sweep
        return {"name": sweep["name"], "project": sweep["project"]}

    def heartbeat(self, agent: str, running: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The commands for an agent: one at a time."""
        sweep = self.sweeps[self.agents[agent]]
        mine = [(name, run) for name, run in self.runs.items() if run["agent"] == agent]
        for name, run in mine:
            if name not in running and run["state"] != "over":
                run["state"] = "resume" if name in self.resumed else "over"
        for name in running:
            run = self.runs[name]
            run["beats"] += 1
            if run["beats"] >= self.stop_after.get(name, sys.maxsize):
                self.stop_after.pop(name)
                run["state"] = "stopping"
            if run["state"] == "stopping":
                return [{"type": "stop", "run_id": name}]
            return []
        for name, run in mine:
            if run["state"] == "resume":
                self.resumed.discard(name)
                run |= {"state": "running", "beats": 0}
                return [{"type": "resume", "run_id": name, "program": sweep["asked"]["program"], "args": run["args"]}]
        if sweep["state"] != "RUNNING" or not sweep["left"]:
            return [{"type": "exit"}]
        args = {key: {"value": value} for key, value in sweep["left"].pop(0).items()}
        name = f"{sweep['name']}r{sum(run['sweep'] == sweep['name'] for run in self.runs.values())}"
        self.runs[name] = {"args": args, "agent": agent, "state": "running", "beats": 0, "sweep": sweep["name"]}
        return [{"type": "run", "run_id": name, "program": sweep["asked"]["program"], "args": args}]


def points(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The points of a grid, at most run_cap of them; of other searches the first value or the lower bound of each parameter, over and over."""

    def values(parameter: Mapping[str, Any]) -> list[Any]:
        if "parameters" in parameter:
            return [
                dict(zip(parameter["parameters"], point, strict=True))
                for point in itertools.product(*map(values, parameter["parameters"].values()))
            ]
        return [parameter["value"]] if "value" in parameter else parameter["values"] if "values" in parameter else [parameter["min"]]

    found = [
        dict(zip(config["parameters"], point, strict=True)) for point in itertools.product(*map(values, config["parameters"].values()))
    ]
    return found[: config.get("run_cap", len(found))]


class Handler(BaseHTTPRequestHandler):
    """Hands what is asked to the server."""

    server: WandbServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def send(self, content: Any, status: int = 200) -> None:
        """Answers with JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Answers, and falls silent if that is asked for."""
        if self.path == "/silence":
            self.server.silent.set()
        self.send({})

    def do_PUT(self) -> None:
        """As a POST."""
        self.do_POST()

    def do_POST(self) -> None:
        """Answers GraphQL, and keeps the rows of a file stream."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.silent.is_set():
            self.server.closed.wait(300)
        elif self.server.refuse:
            status, message = self.server.refuse
            self.send({"errors": [{"message": message}]}, status)
        elif self.path == "/graphql":
            asked = json.loads(body)
            with self.server.lock:
                content = self.server.answer(asked["query"], asked.get("variables") or {})
            self.send({"data": content})
        else:
            if self.path.endswith("/file_stream"):
                self.take(self.path.split("/")[-2], json.loads(body).get("files", {}))
            self.send({})

    def take(self, run: str, files: Mapping[str, Any]) -> None:
        """Keeps rows of the history and the summary."""
        for name, part in files.items():
            rows = [json.loads(line) for line in part["content"]] if name.endswith(".jsonl") or name.endswith("summary.json") else []
            if name == "wandb-history.jsonl":
                self.server.history.setdefault(run, []).extend(rows)
            elif name == "wandb-summary.json" and rows:
                self.server.summaries.setdefault(run, {}).update(rows[-1])
