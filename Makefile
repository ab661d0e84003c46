# `make up`, `make compose` and `make test` do all the set-up they need. Everything else is `ict --help`.
PYTHON ?= python3
ARGS ?=
.PHONY: up compose test conformance check pictures docker lock clean
.DEFAULT_GOAL := help

help:
	@echo "make up      set up everything and start a demo site on http://127.0.0.1:8000"
	@echo "make compose  build the images and start a site for keeps in containers, by compose.yaml"
	@echo "make test    set up and run every check and test        (ARGS='tests/labs -x' for some)"
	@echo "make conformance  nbgrader's own tests, with our exchange and our engine behind them"
	@echo "make check   lint, types and layers, and known vulnerabilities of what is installed"
	@echo "make pictures  take the pictures of the portal anew, on a demo site of their own (needs Chromium)"
	@echo "make docker  install and start a Docker Engine (as root, on Debian or Ubuntu)"
	@echo "make lock    write requirements.lock and the images' locks anew"
	@echo "make clean   remove .venv and caches; a site's data in var/ stays"

up: .venv/ready
	@.venv/bin/ict up --demo

# Docker's own compose where it is installed, else Debian's docker-compose
compose: .venv/ready
	@for image in base network data ai site; do .venv/bin/ict images build $$image || exit 1; done
	@if docker compose version >/dev/null 2>&1; then docker compose up -d; \
	  elif command -v docker-compose >/dev/null; then docker-compose up -d; \
	  else echo "On Debian and Ubuntu: sudo apt-get install docker-compose"; exit 1; fi
	@echo "Started. When all services are healthy (docker-compose ps): http://127.0.0.1:8000, unless the settings say otherwise"

test: .venv/ready
	@tests/run $(ARGS)

conformance: .venv/ready
	.venv/bin/python -m pytest tests/conformance $(ARGS)

check: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python tests/audit.py

pictures: .venv/ready
	.venv/bin/python -m docs.pictures.make $(ARGS)

docker:
	@deploy/docker-engine

# One environment for the site and its tests: process mode runs students' servers from it too.
.venv/ready: requirements.lock pyproject.toml labs/kit/pyproject.toml labs/kit/labextension/package.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv (once; about a minute)"
	@$(PYTHON) -m venv .venv || { echo "On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e labs/kit
	@touch $@

# The image's lock is for bookworm's own Python: pip download takes markers from the host's.
lock: .venv/ready
	.venv/bin/uv pip compile pyproject.toml --extra dev --generate-hashes --python-version 3.11.2 --universal \
	  --no-annotate --no-header --no-emit-index-url --upgrade --quiet -o requirements.lock
	.venv/bin/uv pip compile images/base/requirements.in --generate-hashes --python-version 3.11.2 --python-platform linux \
	  --no-annotate --no-header --no-emit-index-url --upgrade --quiet -o images/base/requirements.lock
	for name in network data ai; do .venv/bin/uv pip compile images/$$name/requirements.in -c images/base/requirements.lock \
	  --generate-hashes --python-version 3.11.2 --python-platform linux --no-annotate --no-header --no-emit-index-url \
	  --upgrade --quiet -o images/$$name/requirements.lock; done
	.venv/bin/uv pip compile pyproject.toml images/site/requirements.in --extra postgresql -c requirements.lock \
	  --generate-hashes --python-version 3.11.2 --python-platform linux --no-annotate --no-header --no-emit-index-url \
	  --upgrade --quiet --no-emit-package onetimepass -o images/site/requirements.lock
	.venv/bin/uv pip compile images/site/source.in --no-deps -c requirements.lock --generate-hashes \
	  --python-version 3.11.2 --no-annotate --no-header --no-emit-index-url --upgrade --quiet -o images/site/source.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
