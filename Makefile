# make lab   set everything up and open JupyterLab on the notebooks
# make demo  the same without a browser: leaves a report in demo/
# make test  set everything up and run all tests
# make torture  100,000 damaged files, 400 kills, 20 kernels and more: some hours (PARTS="files flips")
# make gallery  all notebooks run, and the reference, as a site in build/gallery: half an hour, then seconds
# make hub   a JupyterHub for a class, on this machine alone (see docs/hub.md)

PYTHON ?= python3
BIN := .venv/bin
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
# Where Python may not keep the bytecode of what it imports, importing torch takes 6 s instead of 2 each time.
export UV_COMPILE_BYTECODE := $(if $(PYTHONDONTWRITEBYTECODE),1,0)
UV = $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

.PHONY: lab demo test torture gallery hub clean chromium proxy

lab: .venv/user
	$(BIN)/galnb lab

demo: .venv/user
	$(BIN)/galnb demo

test: .venv/dev chromium proxy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2

torture: .venv/dev chromium
	$(BIN)/python -m tests.torture $(PARTS)

gallery: .venv/dev
	$(BIN)/python -m docs.gallery build/gallery

hub: .venv/dev proxy
	PATH="$(CURDIR)/.venv/npm/node_modules/.bin:$$PATH" $(BIN)/jupyterhub -f binder/hub/jupyterhub_config.py

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# A machine with its own wheel folder has torch for the CPU there; elsewhere uv knows where to find it.
.venv/user: .venv/bin/uv pyproject.toml constraints.txt
	$(if $(PIP_FIND_LINKS),,$(UV) --torch-backend cpu --editable '.[sim,umap]' ||) $(UV) --editable '.[sim,umap]'
	touch $@

.venv/dev: .venv/user
	$(UV) --editable '.[dev]'
	touch $@

# A browser for the browser tests: only as root or in CI, never with sudo; without one they skip and say so.
chromium:
	@command -v chromium >/dev/null || { \
	  if command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || [ "$$CI" = true ]; }; then \
	    apt-get update -qq && apt-get install -y -qq chromium >/dev/null || true; fi; }

# What stands before a hub's students, from npm; without npm the tests of the hub skip and say so.
proxy:
	@! command -v npm >/dev/null || test -d .venv/npm/node_modules/configurable-http-proxy || npm install \
	  --silent --no-audit --no-fund --no-package-lock --prefix .venv/npm configurable-http-proxy@5.3.0 || true

clean:
	rm -rf .venv build demo runs *.egg-info
