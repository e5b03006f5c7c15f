# smoke · report · test · test-all · test-browser · test-elsewhere · test-newest · test-peers · lab · tutorials · site · lint · bench · screenshot · lock. Each sets up all it needs in .venv.
#
# For CI, and the same by hand (smoke-live, matrix and issues hold a key: they install nothing, and ask for `make setup`):
#   setup             sets .venv up for the targets that only run
#   packages          installs what the tests call and a clean machine may lack (Debian, Ubuntu)
#   smoke-keyless     runs every notebook on the embedded endpoint, whatever the shell or .env says
#   smoke-live        runs every notebook on the live endpoint, and is refused where none is set
#   matrix            runs every notebook with every model of the endpoint, or those of MATCH=PATTERN
#   summary           prints what a run has left for a step summary
#   not-live          prints that the live part was not run
#   issues            keeps one issue on GitHub for each failure; DRY_RUN=1 only says what it would do
#   history-import    rebuilds runs/history.sqlite from the results.json files in RESULTS=DIR
# summary and issues read runs/latest, or the folders of RUNS='runs/A runs/B' or RUNS='runs/2*'.

# A container's image may forbid it: each of the hundreds of processes would compile what it imports.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3
VENV := .venv
BIN = $(VENV)/bin

# A second call installs nothing: each stamp is newer than what it was made from.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
OPENAI := $(VENV)/.installed-openai
SITE := $(VENV)/.installed-site
BENCH := $(VENV)/.installed-bench
STAND_INS := $(VENV)/.installed-stand-ins
PEERS := $(VENV)/.installed-peers

# uv where it is on the PATH: it takes a fraction of pip's time.
UV := $(shell command -v uv)
INSTALL = $(if $(UV),$(UV) pip install --python $(BIN)/python,$(BIN)/python -m pip install --disable-pip-version-check)

# The stored outputs come from the embedded endpoint, whatever the shell or .env says.
KEYLESS := env CHUTES_API_BASE= CHUTES_API_KEY= CHUTES_MODEL= CHUTES_TEXT_MODEL= CHUTES_VLM_MODEL= \
	CHUTES_TOOLS_MODEL= SCILLM_DEMO_IMAGE= SCILLM_BACKEND= SCILLM_FORCE_HTTPX_STREAM=1 \
	LITELLM_MAX_RETRIES=3 LITELLM_RETRY_AFTER=1 LITELLM_TIMEOUT=45 \
	SCILLM_ALLOW_STREAM_SMOKE=1 SCILLM_ALLOW_TOOLS_SMOKE=1

# Twice as many as a small machine has cores: the tests wait for kernels, timeouts and endpoints much of their time.
WORKERS := 4

# What make test gives pytest.
FAST := -n $(WORKERS) -m 'not slow' --nbval tests notebooks

# Not RUN, which is a stamp.
RUNS ?= runs/latest
# A step that holds a key runs neither pip nor a build backend. (Not $(MAKE), which `make -n` would run.)
SELF := $(MAKE)
REQUIRE_SETUP = @$(SELF) --question $(RUN) >/dev/null 2>&1 || \
	{ echo "$@: $(VENV) is not set up, or older than its requirements; run make setup." >&2; exit 2; }

SUMMARIES = $(wildcard $(addsuffix /summary.md,$(wildcard $(RUNS))))
export MATCH

.PHONY: smoke report lock test test-all test-browser test-elsewhere test-newest test-peers lab tutorials site lint bench screenshot clean
.PHONY: packages setup smoke-keyless smoke-live matrix summary not-live issues history-import

smoke: $(RUN)
	$(BIN)/python -m scillm_helpers.smoke run

report: $(RUN)
	$(BIN)/python -m scillm_helpers.smoke report --open

test: $(DEV)
	$(KEYLESS) $(BIN)/python -m pytest $(FAST)

test-all: $(DEV) $(OPENAI) $(SITE)
	$(KEYLESS) $(BIN)/python -m pytest -n $(WORKERS) --nbval tests notebooks
	$(KEYLESS) $(BIN)/python -m pytest -n 2 tests_browser

test-browser: $(DEV) $(SITE)
	$(KEYLESS) $(BIN)/python -m pytest -n 2 tests_browser

# Under all conditions, or those of WHERE='one-core no-git'; what make test runs, or TESTS='tests/test_doctor.py -k proxy'.
test-elsewhere: $(DEV)
	$(KEYLESS) $(BIN)/python -m tools.elsewhere $(WHERE) -- $(or $(TESTS),$(FAST))

# On the newest versions of the direct dependencies, but for those that requirements/caps.txt holds back, in an environment
# of their own: tells of a break before a user meets it.
test-newest: VENV := .venv/newest
test-newest:
	$(PYTHON) -m venv --clear $(VENV)
	sed -n 's/==.*//p' requirements.txt requirements-dev.txt requirements/build.txt > $(VENV)/names.txt
	sed -n 's/==.*//p' requirements-openai.txt > $(VENV)/names-openai.txt
	$(INSTALL) -r $(VENV)/names.txt -c requirements/caps.txt
	$(INSTALL) --no-deps --no-build-isolation -e .
	$(INSTALL) --no-deps --target $(VENV)/openai-newest -r $(VENV)/names-openai.txt
	$(BIN)/python -m pip list --disable-pip-version-check
	$(KEYLESS) $(BIN)/python -m pytest -n $(WORKERS) --nbval tests notebooks

# The suites of papermill, nbmake, nbval, ipykernel, jupyter_client and nbclient, or of PROJECTS='nbclient papermill'.
test-peers: $(PEERS)
	nice $(KEYLESS) $(VENV)/peers/bin/python -m tools.peers $(PROJECTS)

lab: $(DEV)
	$(BIN)/python -m tools.lab

tutorials: $(DEV)
	$(KEYLESS) $(BIN)/python -m tools.tutorials

site: $(SITE)
	$(KEYLESS) $(BIN)/python -m tools.site

lint: $(DEV)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m scillm_helpers.smoke check
	$(BIN)/zizmor --offline --persona=auditor --strict-collection --no-progress --quiet .

bench: $(BENCH) $(STAND_INS)
	$(BIN)/python -m benchmarks.bench

screenshot: $(DEV) $(SITE)
	$(KEYLESS) $(BIN)/python -m tools.screenshot
	$(KEYLESS) $(BIN)/python -m pytest tests_browser -m screenshot --take-screenshots

packages:
	.ci/packages

smoke-keyless: $(RUN)
	$(KEYLESS) $(BIN)/python -m scillm_helpers.smoke run

setup: $(RUN)

smoke-live:
	$(REQUIRE_SETUP)
	@$(BIN)/python -m tools.live
	$(BIN)/python -m scillm_helpers.smoke run

# MATCH comes from who starts the workflow by hand: the shell sees it only as a variable's value.
matrix:
	$(REQUIRE_SETUP)
	$(BIN)/python -m scillm_helpers.smoke run --model all $(if $(value MATCH),--match "$$MATCH")

summary:
	@$(if $(SUMMARIES),cat $(SUMMARIES),echo "No run has left a summary; the log of the step before says why.")

not-live:
	@echo "The live suite and the matrix were **not run**: this repository has no secret CHUTES_API_KEY."

issues:
	$(REQUIRE_SETUP)
	@$(BIN)/python -m tools.issues $(if $(DRY_RUN),--dry-run) $(RUNS)

history-import: $(RUN)
	$(BIN)/scillm-smoke history --import $(or $(RESULTS),$(error RESULTS is not set; make history-import RESULTS=DIR))

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; run make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUN): $(VENV)/.created requirements/lock.txt pyproject.toml
	@echo "Installing what the notebooks import into $(VENV), with $(if $(UV),uv,pip: a minute or two)."
	$(INSTALL) --require-hashes -r requirements/lock.txt
	@rm -rf scillm_notebooks.egg-info # left by setuptools in older clones, and read in place of today's metadata
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(RUN) requirements/lock-dev.txt
	@echo "Installing the tools of tests, lint and JupyterLab into $(VENV)."
	$(INSTALL) --require-hashes -r requirements/lock-dev.txt
	@touch $@

$(OPENAI): $(VENV)/.created requirements/lock-openai.txt
	@echo "Installing the newest openai beside it, for the tests."
	$(INSTALL) --require-hashes --upgrade --no-deps --target $(VENV)/openai-newest -r requirements/lock-openai.txt
	@touch $@

$(SITE): $(RUN) requirements/lock-site.txt
	@echo "Installing Sphinx into $(VENV)."
	$(INSTALL) --require-hashes -r requirements/lock-site.txt
	@touch $@

$(BENCH): $(DEV) requirements-bench.txt
	$(INSTALL) -r requirements-bench.txt
	@touch $@

$(STAND_INS): $(VENV)/.created requirements-stand-ins.txt
	$(PYTHON) -m venv $(VENV)/stand-ins
	$(VENV)/stand-ins/bin/python -m pip install --disable-pip-version-check -r requirements-stand-ins.txt
	@touch $@

$(PEERS): $(VENV)/.created requirements/peers.txt requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --disable-pip-version-check -r requirements/peers.txt -e .
	@touch $@

# Each lock holds all that its direct pins bring along, with hashes, for every supported Python and platform, and agrees
# with the one it is constrained by. Nothing in it is younger than 14 days; for the fix of a vulnerability, say
# LOCK_ALSO='--exclude-newer-package NAME=DATE', and name the vulnerability in CHANGELOG.md.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-annotate \
	--custom-compile-command "make lock" --exclude-newer "14 days" $(LOCK_ALSO)

lock: $(DEV)
	$(LOCK) requirements.txt requirements/build.txt -o requirements/lock.txt
	$(LOCK) requirements-dev.txt -c requirements/lock.txt -o requirements/lock-dev.txt
	$(LOCK) requirements-site.txt -c requirements/lock-dev.txt -o requirements/lock-site.txt
	$(LOCK) requirements-openai.txt --no-deps -o requirements/lock-openai.txt

clean:
	rm -rf $(VENV) runs
