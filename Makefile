# Needs python3 (3.11 or newer) with pip and venv, make and git. Everything else is set up here, under .venv.
.DELETE_ON_ERROR:
.PHONY: demo demo-reset test test-services test-browser check bench campaign screenshots lock

# The tests load the settings themselves, after they have set the environment.
unexport DJANGO_SETTINGS_MODULE

PY ?= python3
PORT ?= 8000
N ?= 1000
SEED ?= 1
WORKERS ?= 3
BIN := .venv/bin

# pip of the machine installs into an environment without its own: quicker, and no ensurepip package is needed.
# Where the machine's pip is missing or too old for that, the environment brings its own.
.venv/pyvenv.cfg:
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, this is: $$($(PY) -V). Choose one with: make PY=python3.11 ..." >&2; exit 1; }
	@if $(PY) -m pip --python $(PY) --version >/dev/null 2>&1; then $(PY) -m venv --without-pip .venv; else $(PY) -m venv .venv; fi

.venv/.%: requirements/%.txt | .venv/pyvenv.cfg
	@echo "Installing $<"
	@if [ -x $(BIN)/pip ]; then set -- $(BIN)/python -m pip; else set -- $(PY) -m pip --python $(BIN)/python; fi; \
		"$$@" install --quiet --disable-pip-version-check --no-input --require-hashes -r $<
	@touch $@

demo: .venv/.runtime
	@$(BIN)/python manage.py demo --port $(PORT) --with-parent

demo-reset: .venv/.runtime
	@$(BIN)/python manage.py demo --reset

test: .venv/.test
	env -u DATABASE_URL -u REDIS_URL $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-services: export DATABASE_URL := $(or $(DATABASE_URL),postgres://postgres@127.0.0.1:5432/countersign)
test-services: export REDIS_URL := $(or $(REDIS_URL),redis://127.0.0.1:6379/9)
test-services: .venv/.test
	REQUIRE_SERVICES=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-browser: .venv/.browser
	env -u DATABASE_URL -u REDIS_URL REQUIRE_BROWSER=1 $(BIN)/python -m pytest -m browser

# A database server in the environment would ask for the settings of a production site.
LOCAL_ENV := env -u DATABASE_URL -u REDIS_URL -u FAILPOINT VAR_DIR=.venv/check-var
CHECK_ENV := $(LOCAL_ENV) PRODUCTION=true DEBUG=false \
	SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	ALLOWED_HOSTS=desk.example BASE_URL=https://desk.example STATIC_MANIFEST=false

check: .venv/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(LOCAL_ENV) $(BIN)/mypy
	$(LOCAL_ENV) $(BIN)/python manage.py check_templates
	$(LOCAL_ENV) $(BIN)/python manage.py makemigrations --check --dry-run
	@echo "manage.py check --deploy, as in production"
	@$(CHECK_ENV) $(BIN)/python manage.py check --deploy --fail-level WARNING

bench: .venv/.test
	$(BIN)/python -m benchmarks

campaign: .venv/.test
	$(BIN)/python -m tests.campaign --n $(N) --seed $(SEED)

screenshots: .venv/.browser
	$(BIN)/python -m tests.browser.screenshots

# For maintainers: needs uv on PATH. The locks hold hashes and no address of any index.
UV_LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"
lock:
	@command -v uv >/dev/null || { echo "make lock needs uv (https://docs.astral.sh/uv/) on PATH" >&2; exit 1; }
	$(UV_LOCK) pyproject.toml --group test --group browser --group lint -o requirements/browser.txt
	$(UV_LOCK) pyproject.toml --group test --group lint -c requirements/browser.txt -o requirements/test.txt
	$(UV_LOCK) pyproject.toml -c requirements/browser.txt -o requirements/runtime.txt
	@! grep -n '://' requirements/*.txt
