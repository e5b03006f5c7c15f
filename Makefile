# smoke · test · lab · tutorials · lint · bench. Each sets up all it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# A second call installs nothing: each stamp is newer than what it was made from.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench

# The stored outputs come from the embedded endpoint, whatever the shell or .env says.
KEYLESS := env CHUTES_API_BASE= CHUTES_API_KEY= CHUTES_MODEL= CHUTES_TEXT_MODEL= CHUTES_VLM_MODEL= \
	CHUTES_TOOLS_MODEL= SCILLM_DEMO_IMAGE= SCILLM_BACKEND= SCILLM_FORCE_HTTPX_STREAM=1 \
	LITELLM_MAX_RETRIES=3 LITELLM_RETRY_AFTER=1 LITELLM_TIMEOUT=45 \
	SCILLM_ALLOW_STREAM_SMOKE=1 SCILLM_ALLOW_TOOLS_SMOKE=1

.PHONY: smoke test lab tutorials lint bench clean

smoke: $(RUN)
	$(BIN)/python -m scillm_helpers.smoke run

test: $(DEV)
	$(KEYLESS) $(BIN)/python -m pytest -n 2 --dist loadfile --nbval tests notebooks

lab: $(DEV)
	$(BIN)/python -m jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

tutorials: $(DEV)
	$(KEYLESS) $(BIN)/python -m tools.tutorials

lint: $(DEV)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: $(BENCH)
	$(BIN)/python -m benchmarks.bench

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; run make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUN): $(VENV)/.created requirements.txt pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt -e .
	@touch $@

$(DEV): $(RUN) requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements-dev.txt
	@touch $@

$(BENCH): $(DEV) requirements-bench.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements-bench.txt
	@touch $@

clean:
	rm -rf $(VENV) runs
