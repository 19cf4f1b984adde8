"""A JupyterHub for a class, as a demonstration on one machine; start it with `make hub`.

On loopback, one password for all, everybody's processes under one account: docs/hub.md says what to change
for a real class, and what a student costs.
"""

import os
import resource
import shutil
import sys
from pathlib import Path

from jupyterhub.spawner import SimpleLocalProcessSpawner

from galnb.cli import OURS
from galnb.engines import cores

HERE = Path(__file__).resolve().parent
HUB = Path(os.environ.get("GALNB_HUB", "~/galnb-hub")).expanduser().resolve()
SHARED = HUB / "shared"  # what the teacher prepared, for all to read: cache, surveys, weights, notebooks
NOTEBOOKS = SHARED / "notebooks" if (SHARED / "notebooks").is_dir() else HERE.parents[1] / "notebooks"
(HUB / "homes").mkdir(parents=True, exist_ok=True)

c = get_config()  # noqa: F821

# Only loopback: before others reach it, it needs TLS in front of it and a real authenticator.
c.JupyterHub.bind_url = "http://127.0.0.1:8000/astro/"
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.db_url = f"sqlite:///{HUB}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(HUB / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(HUB / "proxy.pid")

# !!! A DUMMY: WHO KNOWS THE PASSWORD MAY COME IN AS WHOMEVER THEY SAY THEY ARE, AND ANYBODY'S NOTEBOOKS AND
# !!! VOTES ARE THEIRS. A real class has accounts: oauthenticator, ldapauthenticator, ltiauthenticator.
# (DummyAuthenticator itself has deprecated its password in favor of this.)
if len(os.environ.get("GALNB_HUB_PASSWORD", "")) < 8:
    sys.exit("galnb: there is no password of 8 letters or more; export one as GALNB_HUB_PASSWORD")
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["GALNB_HUB_PASSWORD"]
c.Authenticator.allow_all = True


class Student(SimpleLocalProcessSpawner):
    """A student's server as a process of this machine; nothing but memory is limited."""

    def make_preexec_fn(self, name):
        begin = super().make_preexec_fn(name)

        def limited():
            begin()
            # Of what each process takes for itself, not of files that it shares: who asks for more has a
            # MemoryError in one cell, and nobody else notices. Containers have limits of their own.
            resource.setrlimit(resource.RLIMIT_DATA, (self.mem_limit, self.mem_limit))

        return limited


c.JupyterHub.spawner_class = Student
c.Student.home_dir_template = f"{HUB}/homes/{{username}}"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
c.Spawner.mem_limit = "4G"
c.Spawner.cpu_limit = 1.0
c.Spawner.start_timeout = c.Spawner.http_timeout = 180  # where all of a class come at nine o'clock
c.Spawner.args = [
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",  # it would ask the package index
    # HoloViews brings Panel, whose server extension would load all of it into each server, for nothing here
    "--ServerApp.jpserver_extensions={'panel.io.jupyter_server_extension': False}",
]
if os.geteuid() == 0:  # in a container; Jupyter would refuse
    c.Spawner.args += ["--allow-root"]


def threads(spawner) -> str:
    """As many as a student may keep busy: each library would else take all cores of the machine."""
    return str(max(1, min(cores(), int(spawner.cpu_limit or 1))))


c.Spawner.environment = {
    "GALNB_SHARED": str(SHARED / "cache"),
    "GALNB_CACHE": lambda spawner: f"{spawner.home_dir}/.cache/galnb",
    "GALNB_VOTES": lambda spawner: f"{spawner.home_dir}/votes",
    "JUPYTER_CONFIG_PATH": str(OURS),  # in labconfig/: no news from the outside
    **{f"{name}_NUM_THREADS": threads for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")},
}


def welcome(spawner) -> None:
    """Give a student the notebooks that are not there yet, and a link to what is shared."""
    home = Path(spawner.home_dir)
    (home / "notebooks").mkdir(parents=True, exist_ok=True)
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        if not (home / "notebooks" / notebook.name).exists():
            shutil.copy(notebook, home / "notebooks")
    if not (home / "shared").is_symlink():
        (home / "shared").symlink_to(SHARED)


c.Spawner.pre_spawn_hook = welcome

# Who has gone home gives back memory: a server without a browser for an hour ends, and its kernels with it.
c.JupyterHub.services = [
    {"name": "culler", "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600"]}
]
rights = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
c.JupyterHub.load_roles = [{"name": "culler", "scopes": rights, "services": ["culler"]}]
