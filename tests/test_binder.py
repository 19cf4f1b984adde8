"""What Binder makes of binder/, by a dry run of repo2docker, and the links that lead to it and to a hub."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
POST_BUILD = ROOT / "binder" / "postBuild"
LINK = re.compile(r"https://[^\s)`>\"]*(?:mybinder\.org/v2|git-pull)[^\s)`>\"]*")


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory):
    """The Dockerfile that repo2docker would build, without Docker."""
    if not importlib.util.find_spec("repo2docker"):
        pytest.skip("repo2docker is not installed: pip install jupyter-repo2docker")
    # of what git knows, as Binder clones it, and not of what else lies here
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "binder", "*.toml", "*.txt"],
                            cwd=ROOT, capture_output=True, text=True)  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    copy = tmp_path_factory.mktemp("galnb")
    for name in listed.stdout.split():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
        (copy / name).chmod((ROOT / name).stat().st_mode)
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_repo2docker_accepts_the_repository_and_runs_what_is_in_binder(dockerfile):
    assert "Building conda environment for python=3.11" in dockerfile
    assert re.search(r"^FROM \S+", dockerfile, re.M)
    assert 'pip install --no-cache-dir -r "binder/requirements.txt"' in dockerfile
    assert re.search(r"^RUN \./binder/postBuild$", dockerfile, re.M)


def test_binder_gets_a_python_that_galnb_runs_on():
    import tomllib

    from packaging.specifiers import SpecifierSet

    version = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert version in SpecifierSet(wanted)


def test_the_build_takes_torch_for_the_cpu_pinned_versions_and_leaves_caches():
    script = POST_BUILD.read_text()
    assert subprocess.run(["bash", "-n", str(POST_BUILD)]).returncode == 0
    assert os.access(POST_BUILD, os.X_OK) and "set -eu" in script
    assert "--torch-backend cpu" in script and "--constraint constraints.txt" in script
    assert "galnb demo" in script and "galnb doctor" in script
    for notebook in re.findall(r"notebooks/\S+\.ipynb", script):
        assert (ROOT / notebook).exists()
    assert {"uv", "nbgitpuller"} <= set((ROOT / "binder" / "requirements.txt").read_text().split())


def opened(link: str) -> str:
    """The notebook of this repository that a link opens in the end."""
    query = parse_qs(urlsplit(link).query)
    while "repo" not in query and "git-pull" in (path := query["urlpath"][0]):
        query = parse_qs(urlsplit(path).query)
    return unquote(query["urlpath"][0]).removeprefix("lab/tree/").removeprefix("galnb/")


@pytest.mark.parametrize("page", ["README.md", "docs/hub.md"])
def test_links_to_binder_and_of_nbgitpuller_open_notebooks_that_are_there(page):
    links = LINK.findall((ROOT / page).read_text())
    assert page == "README.md" or len(links) >= 3
    for link in links:
        assert (ROOT / opened(link)).is_file(), link
