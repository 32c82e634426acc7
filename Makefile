# Everything a person or CI runs. Each target sets up what it needs; nothing is installed outside .venv.
.PHONY: demo test test-slow check audit format up down repro bench lock clean compose-up compose-down compose-test
.DEFAULT_GOAL := help

VENV := .venv
# The system's Python, also where our environment is activated.
PYTHON := $(shell PATH="$$(printf '%s' "$$PATH" | tr : '\n' | grep -vxF '$(CURDIR)/$(VENV)/bin' | paste -sd:)" command -v python3)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
INSTALLED := $(VENV)/.installed
UV_VERSION := 0.13.8

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(INSTALLED) ## two real datasets, from source to verified release, through Airflow
	@proofmint demo

test: $(INSTALLED) ## the test suite, without what is marked slow
	pytest -m "not slow" -n auto --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED) ## what takes minutes or needs a browser (Debian: apt-get install chromium)
	pytest -m slow

compose-test: $(INSTALLED) ## docker-compose.yml on a real engine; minutes, and about 4 GB of images
	docker compose version
	pytest -s tests/compose

check: $(INSTALLED) ## linters, types, directions of imports
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

audit: $(INSTALLED) ## known vulnerabilities of what the lock file installs (asks PyPI)
	@python .ci/audit.py

format: $(INSTALLED) ## mend what the linters can mend
	ruff check --fix .
	ruff format .

up: $(INSTALLED) ## PostgreSQL, Airflow and MLflow on this machine, until `make down`
	@proofmint up

down: $(INSTALLED) ## stop what `make up` started
	@proofmint down

compose-up: ## the same and more for a team, in containers: docs/compose.md
	docker compose up --build --detach --wait
	@docker compose run --rm logins

compose-down: ## stop what `make compose-up` started; its volumes stay
	docker compose --profile "*" down

repro: $(INSTALLED) ## the pipeline by DVC alone, in this folder
	@proofmint demo-source start
	dvc repro

bench: $(INSTALLED) ## what we claim, measured beside peers; hours at first, continued if interrupted
	@for script in benchmarks/*.py; do echo "== $$script"; python "$$script" || exit 1; done

# torch's build for GPUs pins its own CUDA packages; a lock that named them would force them on everyone.
lock: $(INSTALLED) ## resolve requirements.lock anew from pyproject.toml
	uv pip compile -q pyproject.toml --all-extras --group dev --no-header --no-annotate -o requirements.lock.new
	sed -i -E '/^(nvidia|cuda|triton)/d; s/^(torch==[0-9.]+)\+cpu/\1/' requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: ## remove the environment; data, releases and .proofmint stay
	rm -rf $(VENV) *.egg-info

# A Debian python3 has no ensurepip, so the environment is made without pip and filled from outside.
# Where pip is told of a folder of wheels (a CPU build of torch, say), uv is told too.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "expected Python 3.11 or newer, found " + sys.version)'
	@echo "Setting up $(VENV) (once; minutes on a slow line)"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@UV_FIND_LINKS="$${UV_FIND_LINKS-$$PIP_FIND_LINKS}" uv pip install --quiet --compile-bytecode -r requirements.lock
	@uv pip install --quiet --no-deps --editable .
	@touch $@
