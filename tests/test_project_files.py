"""What stands beside the code for contributors agrees with the code: versions, commands and paths that could drift."""

import json
import re

import yaml
from conftest import ROOT

from malaria_exp.config.registry import options
from malaria_exp.utils.version import __version__

PRE_COMMIT = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_pre_commit_uses_the_versions_of_the_constraints():
    pinned = set((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
    used = [version for repo in PRE_COMMIT["repos"] for hook in repo["hooks"] for version in hook.get("additional_dependencies", [])]
    assert len(used) >= 3 and set(used) <= pinned


def test_scripts_that_are_called_exist_and_may_be_run():
    called = [hook["entry"] for repo in PRE_COMMIT["repos"] for hook in repo["hooks"] if hook["language"] == "script"]
    called += [step["run"] for step in WORKFLOW["jobs"]["all"]["steps"] if "run" in step]
    assert set(called) == {".ci/tree", ".ci/run"}
    assert all((ROOT / script).stat().st_mode & 0o111 for script in called)
    assert ".ci/tree" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_workflow_tries_every_python_that_the_package_takes():
    low, high = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', PYPROJECT).groups()
    assert WORKFLOW["jobs"]["all"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(int(low), int(high))]


def test_containers_install_by_targets_of_the_makefile():
    devcontainer = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    called = re.findall(r"^RUN (?:\w+=\w+ )?make ([\w-]+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    called += re.findall(r"^make ([\w-]+)$", devcontainer["postCreateCommand"])
    assert called == ["install", "install-dev"]
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in called)


def test_issues_ask_for_the_doctors_page():
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8"))
    asked = next(item for item in form["body"] if item.get("id") == "doctor")
    assert "task=doctor" in asked["attributes"]["label"] and asked["validations"]["required"]
    assert "doctor" in options("task")


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__ and f'license = "{citation["license"]}"' in PYPROJECT
    assert f"Version {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
