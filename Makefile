# The commands of Firebreak. `make run` and `make test` need Python 3.11+, make and git, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
VAR_DIR ?= var
export PORT
export VAR_DIR := $(abspath $(VAR_DIR))
# As root, everything below runs as an unprivileged account instead.
AS_USER = $(BIN)/python -m core.embedded.unprivileged --var-dir

.PHONY: run break test fuzz faults upgrade-test check bench bench-monitoring bench-comms bench-live bench-history bench-pages bench-search bench-insights deploy-check lock screenshots clean

run: $(VENV)/run  ## start Firebreak with the demo storefront; Ctrl-C stops it
	@exec $(AS_USER) "$(VAR_DIR)" -- $(BIN)/python manage.py run --with demo

break: $(VENV)/run  ## deploy a release to the demo that fails a third of its requests
	@exec $(AS_USER) "$(VAR_DIR)" -- $(BIN)/python manage.py break_demo

TEST_VAR_DIR := $(shell mktemp -u -d /tmp/firebreak-test.XXXXXX)
PYTEST = $(AS_USER) "$(TEST_VAR_DIR)" -- $(BIN)/python -m pytest
# Stories start whole stacks and hold them to minutes: they run before the rest, one at a time.
PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder -m "not story and not faults"
test: $(VENV)/dev  ## the whole suite on real servers; ARGS="-k word" selects
	@$(if $(ARGS),$(PYTEST) $(ARGS),$(PYTEST) -m "story and not faults" && $(PYTEST) $(PARALLEL)); \
	  code=$$?; rm -rf "$(TEST_VAR_DIR)"; exit $$code

fuzz: export FUZZ_EXAMPLES ?= 20
fuzz: export FUZZ_SEEDS ?= 1 2 3 4 5
fuzz: $(VENV)/dev  ## thousands of requests made from the API's schema; FUZZ_SEEDS and FUZZ_EXAMPLES choose
	@$(PYTEST) -m "" tests/hostile/test_schemathesis.py; code=$$?; rm -rf "$(TEST_VAR_DIR)"; exit $$code

upgrade-test: $(VENV)/dev  ## the version before upgraded while its workers run; some minutes
	@UPGRADE_TEST=whole $(PYTEST) -m "" tests/upgrade $(ARGS); code=$$?; rm -rf "$(TEST_VAR_DIR)"; exit $$code

faults: $(VENV)/dev  ## docs/faults.md: real processes, database and broker broken in turn, and all that takes minutes; an hour
	@$(PYTEST) -m faults $(ARGS); code=$$?; rm -rf "$(TEST_VAR_DIR)"; exit $$code

check: $(VENV)/dev  ## style, types, import contracts, migrations, deployment settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	@$(AS_USER) "$(TEST_VAR_DIR)" -- $(BIN)/python -m tests.lint_migrations; code=$$?; rm -rf "$(TEST_VAR_DIR)"; exit $$code
	PUBLIC_URL=https://firebreak.example.test SECRET_KEY=$$($(BIN)/python -c "import secrets; print(secrets.token_urlsafe(50))") \
	  ENCRYPTION_KEYS=$$($(BIN)/python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())") \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python -m tests.deployment.checks

deploy-check: $(VENV)/dev  ## docs/deployment.md followed literally on a clean Debian 12 (root, debootstrap, systemd-container, chromium)
	$(BIN)/python -m tests.deployment.proof $(DEPLOY_DIR)

SHOTS ?= $(VAR_DIR)/screenshots
screenshots: $(VENV)/dev  ## every page, light, dark and on a phone, of a running demo, into SHOTS; the best into docs/images
	@$(AS_USER) "$(TEST_VAR_DIR)" --reach docs -- $(BIN)/python -m tests.screenshots "$(TEST_VAR_DIR)/shots"
	@mkdir -p "$(SHOTS)" docs/images && cp "$(TEST_VAR_DIR)"/shots/shown/*.jpg docs/images/ && \
	  cp "$(TEST_VAR_DIR)"/shots/*.jpg "$(SHOTS)" && rm -rf "$(TEST_VAR_DIR)"

# A whole run takes forty minutes and becomes bench/RESULTS.md; ARGS="--short" takes nine and is only printed.
bench: $(VENV)/dev  ## speed beside the machine's ceiling, on a database of its own with durability on
	@BENCH_COMMIT=$$(git describe --always --dirty) $(AS_USER) "$(TEST_VAR_DIR)" -- \
	  $(BIN)/python -m bench --var-dir "$(TEST_VAR_DIR)/bench" --out "$(TEST_VAR_DIR)/RESULTS.md" $(ARGS); code=$$?; \
	  if [ -z "$(ARGS)" ] && [ -f "$(TEST_VAR_DIR)/RESULTS.md" ]; then cp "$(TEST_VAR_DIR)/RESULTS.md" bench/RESULTS.md; fi; \
	  rm -rf "$(TEST_VAR_DIR)"; exit $$code

bench-monitoring: $(VENV)/dev  ## of that checks, detection and alerts alone; ten minutes, ARGS="--short --only checks" for one
	@$(AS_USER) "$(TEST_VAR_DIR)" -- $(BIN)/python -m bench.monitoring --var-dir "$(TEST_VAR_DIR)/bench" $(ARGS); code=$$?; \
	  rm -rf "$(TEST_VAR_DIR)"; exit $$code

bench-comms: $(VENV)/dev  ## of that messages and the status page alone; seven minutes, ARGS="--short" for four
	@$(AS_USER) "$(TEST_VAR_DIR)" -- $(BIN)/python -m bench.comms --var-dir "$(TEST_VAR_DIR)/bench" $(ARGS); code=$$?; \
	  rm -rf "$(TEST_VAR_DIR)"; exit $$code

bench-live: $(VENV)/dev  ## of that open pages alone, not part of it: 500 of them and a change a second; five minutes, ARGS="--short" for one
	@$(AS_USER) "$(TEST_VAR_DIR)" -- $(BIN)/python -m bench.live --var-dir "$(TEST_VAR_DIR)/bench" $(ARGS); code=$$?; \
	  rm -rf "$(TEST_VAR_DIR)"; exit $$code

bench-history: $(VENV)/dev  ## pages and sweeps with 1, 10 and 100 times the samples, lists of 10,000 services; ten minutes
	@$(AS_USER) "$(TEST_VAR_DIR)" -- $(BIN)/python -m bench.history $(ARGS); code=$$?; rm -rf "$(TEST_VAR_DIR)"; exit $$code

bench-pages: $(VENV)/dev  ## the pages Now, Incident, Rollback and Services with 10,000 incidents and a million events; three minutes
	@$(AS_USER) "$(TEST_VAR_DIR)" -- $(BIN)/python -m bench.pages $(ARGS); code=$$?; rm -rf "$(TEST_VAR_DIR)"; exit $$code

bench-insights: $(VENV)/dev  ## the figures over 100,000 incidents and ten million events; six minutes, ARGS="--short" for one
	@$(AS_USER) "$(TEST_VAR_DIR)" -- $(BIN)/python -m bench.insights $(ARGS); code=$$?; rm -rf "$(TEST_VAR_DIR)"; exit $$code

bench-search: $(VENV)/dev  ## of that the search of texts and similar incidents alone; two minutes
	@$(AS_USER) "$(TEST_VAR_DIR)" -- $(BIN)/python -m bench.pages --only Incident $(ARGS); code=$$?; rm -rf "$(TEST_VAR_DIR)"; exit $$code

lock:  ## lock the requirements with hashes, for all platforms (needs uv)
	UV_PYTHON_DOWNLOADS=never uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" requirements.in -o requirements.txt
	UV_PYTHON_DOWNLOADS=never uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --constraint requirements.txt requirements-dev.in -o requirements-dev.txt

clean:
	rm -rf $(VENV)

# --- the virtual environment ---------------------------------------------------------------------
$(VENV)/run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Firebreak needs Python 3.11 or newer, this is " + sys.version)'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the locked requirements …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/run
	@echo "Installing the locked development requirements …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-dev.txt
	@touch $@
