# make demo: an answer from a language model in one command.  make test: every check that CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Each daemon of a test would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-web demo-vision demo-fleet test lint typecheck unit slow programs failed fast pythons guards runtime-check real-models soak packages \
        bench bench-check board docs html \
        release clean

# make demo MODEL=smollm2 fetches a real model and llama.cpp's library, once.
demo: $(VENV)/installed
	@$(BIN)/rkllm demo $(if $(filter-out demo,$(MODEL)),--model $(MODEL))

# The same with a chat page: prints its address, and Ctrl-C ends everything.
demo-web: $(VENV)/installed
	@$(BIN)/rkllm demo --web $(if $(filter-out demo,$(MODEL)),--model $(MODEL))

# From a JPEG to words about it, which are made up: no NPU, and a model that has never seen a picture.
demo-vision: $(VENV)/vision-installed
	@$(BIN)/rkllm demo --vision

# Three boards that share the work: a router, which is installed once and is large, daemons, bridges,
# a front, and four clients.
demo-fleet: $(VENV)/fleet-installed .venv-crossbar/installed
	@$(BIN)/rkllm demo --fleet --crossbar .venv-crossbar/bin/crossbar

test: lint typecheck runtime-check unit

lint: $(VENV)/test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python cpu_runtime/generate_asserts.py --check
	$(BIN)/python docs/generate.py --check

typecheck: $(VENV)/test-installed
	$(BIN)/mypy

# The embedded runtime under AddressSanitizer and UBSan, and damaged models.
runtime-check:
	$(MAKE) -C cpu_runtime --jobs=$$(nproc) --output-sync check

# What takes a real model and llama.cpp's library, which the first line fetches; `make test` skips it
# where they are not installed.
FIND_LIBLLAMA := import os; from rkllm_twisted.cpu import libllama; print(libllama.find(os.environ))
real-models: $(VENV)/test-installed
	$(BIN)/rkllm demo --model smollm2
	$(MAKE) -C cpu_runtime check-llama LLAMA_LIBRARY="$$($(BIN)/python -c '$(FIND_LIBLLAMA)')"
	$(BIN)/pytest tests/real_models

# A file's tests stay in one process: their fixtures are dear.
PYTEST := $(BIN)/pytest --numprocesses=auto --dist=loadfile
unit: $(VENV)/test-installed
	$(PYTEST) $(SLOW:%=--ignore=%) $(PROGRAMS:%=--ignore=%)

# What waits for time limits, what is repeated for each provider of an interface or for generated
# values, and what starts a daemon or a terminal for each of its many cases.
SLOW := tests/contract tests/contracts tests/abi/test_invalid_parameters.py tests/abi/test_to_c.py \
    tests/inference/test_no_client_reads_another.py tests/npu/test_foreign_aborts.py \
    tests/inference/test_structured_on_cpu.py tests/structured/test_schemas.py tests/encoders/test_vision.py \
    tests/fleet_service/test_clock.py \
    $(addprefix tests/endtoend/test_,$(addsuffix .py, \
    big_messages chaos chaos_hangs check fleet fleet_forms cli cli_bad_days cli_terminal conversation demo_vision hostile images \
    isolation log methods_page models pauses public_reports quirks startup systemd systemd_http vision_board))
slow: $(VENV)/test-installed
	$(PYTEST:auto=4) $(SLOW)

# The tests that failed last, one after another: a test of time may fail on a busy machine.
failed: $(VENV)/test-installed
	$(BIN)/pytest --last-failed --last-failed-no-failures=none

# What installs or starts other people's programs: type checkers, pip, Sphinx, foreign clients, the
# servers of the benchmarks, a browser.
PROGRAMS := tests/crossbar tests/interop tests/page tests/real_models tests/testing/test_docs.py \
    $(addprefix tests/endtoend/test_,$(addsuffix .py,benchmarks confidence_example docs_build guides \
    plugins typing website_example))
OTHERS := .venv-crossbar/installed .venv-open-webui/installed
programs: $(VENV)/test-installed $(VENV)/browser-installed $(OTHERS)
	$(PYTEST) $(filter-out tests/real_models,$(PROGRAMS))

# What takes seconds, under each supported Python that is installed here, pyenv's included.
# `make test` has run the Python of PYTHON.
OWN_PYTHON = $(shell $(PYTHON) -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
OTHER_PYTHONS = $(filter-out $(OWN_PYTHON),python3.10 python3.11 python3.12 python3.13)
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)
PYTHONS ?= $(foreach name,$(OTHER_PYTHONS), \
    $(firstword $(wildcard $(PYENV)/versions/*/bin/$(name)) $(name)))
# These read the source, which is the same under each Python.
STATIC := layers mutations names privates
NOT_FAST := crossbar real_models page endtoend soak interop packages contract contracts cpu_runtime systemd \
    packaging abi description runtime/test_calls.py rpc/test_memory.py wire/test_validation.py \
    server/test_protocol_socket.py server/test_state_machine.py npu/test_foreign_aborts.py \
    inference/test_no_client_reads_another.py inference/test_structured_on_cpu.py \
    structured/test_schemas.py $(STATIC:%=test_%.py)
pythons:
	@for python in $(PYTHONS); do \
	    if $$python -c 'import ensurepip' 2>/dev/null; then \
	        $(MAKE) --no-print-directory fast PYTHON=$$python VENV=.venv-$${python##*/} || exit 1; \
	    else echo "$$python is not installed"; fi; \
	done

fast: $(VENV)/test-installed
	$(BIN)/python --version
	$(BIN)/pytest --numprocesses=auto --dist=loadfile --quiet $(NOT_FAST:%=--ignore=tests/%) \
	    || $(MAKE) --no-print-directory failed

# Takes out one guard of the package at a time: a test must fail. About half an hour.
guards: $(VENV)/test-installed
	$(BIN)/python tests/support/mutations.py

# The pages that are made of the plugins, the layout table and the options.
docs: $(VENV)/test-installed
	$(BIN)/python docs/generate.py
	$(BIN)/python cpu_runtime/generate_asserts.py

# All pages, to docs/_build/index.html.
html: $(VENV)/test-installed
	$(BIN)/sphinx-build -q -W -b html docs docs/_build

# The same checks for longer: SOAK_SECONDS each, more damaged models and frames, more generated cases.
SOAK_SECONDS ?= 60
LONGER := tests/npu/test_foreign_aborts.py tests/endtoend/test_wrong_parameters.py
soak: $(VENV)/test-installed
	$(MAKE) -C cpu_runtime soak SECONDS=$(SOAK_SECONDS)
	RKLLM_SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/pytest tests/soak $(LONGER)

# The source distribution, wheels and Debian packages for this machine and for the boards in dist/, and
# whether they install, run and go again; the boards' under emulation.
CROSS := $(filter-out $(shell uname -m),$(if $(shell command -v aarch64-linux-gnu-gcc),aarch64))
packages: $(VENV)/test-installed
	PYTHON=$(abspath $(BIN)/python) packaging/build dist $(CROSS)
	RKLLM_PACKAGES=$(abspath dist) $(BIN)/pytest tests/packages

# A release's version and changelog, its packages, and whether all of it agrees:
# make release VERSION=0.2.0. Committing, tagging and uploading it remain for the maintainer.
release: $(VENV)/test-installed
	$(BIN)/python packaging/release.py prepare $(VERSION)
	$(BIN)/python docs/generate.py --check
	$(MAKE) packages
	$(BIN)/python packaging/release.py check $(VERSION) dist

# How fast, beside the limits of Twisted and of the machine, and beside other servers: eleven
# minutes, and docs/performance/ has the figures. Then how soon a conversation is answered, a quarter
# of an hour, and the HTTP service, some minutes: the tables are printed. bench-check: a few rows,
# against the recorded ones.
bench: $(VENV)/bench-installed
	$(BIN)/python -m benchmarks.suite
	$(BIN)/python -m benchmarks.conversations
	$(BIN)/python -m benchmarks.http
	$(BIN)/python -m benchmarks.structured

bench-check: $(VENV)/installed
	$(BIN)/python -m benchmarks.suite --check

# What the code assumes of librkllmrt, asked of a real one:
# make board LIBRARY=/path/librkllmrt.so MODEL=/path/model.rkllm
# With VISION=/path/encoder.rknn, and VISION_OPTIONS such as "--picture A.jpg --picture B.jpg", what
# it assumes of librknnrt instead; docs/vision.md has the steps.
LIBRARY ?= cpu
MODEL ?= demo
board: $(VENV)/$(if $(VISION),vision-)installed
	$(BIN)/rkllm doctor --contract --library $(LIBRARY) --model $(MODEL) \
	    --report board-report $(if $(VISION),--vision $(VISION) $(VISION_OPTIONS))

# The package is installed in place, so that twistd, which puts its working directory first on the
# path, finds one and the same package wherever it is started.
SOURCES := setup.cfg setup.py pyproject.toml \
           $(wildcard cpu_runtime/src/*.h cpu_runtime/src/*/*.[ch] cpu_runtime/include/*.h)

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "Python 3.10 or newer is needed; name one with: make PYTHON=python3.x" >&2; exit 1; }
	@command -v cc >/dev/null || \
	    { echo "A C compiler is needed: sudo apt-get install gcc libc6-dev" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	    { echo "Python's venv module is needed: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/pip $(SOURCES)
	@echo "Installing rkllm-twisted …"
	@$(BIN)/pip install -qq --disable-pip-version-check -e .
	@touch $@

$(VENV)/vision-installed: $(VENV)/installed
	@$(BIN)/pip install -qq --disable-pip-version-check -e '.[vision]'
	@touch $@

$(VENV)/fleet-installed: $(VENV)/installed
	@$(BIN)/pip install -qq --disable-pip-version-check -e '.[fleet]'
	@touch $@

$(VENV)/test-installed: $(VENV)/bin/pip $(SOURCES)
	@$(BIN)/pip install -qq --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/installed

# What drives the browser, where there is one.
$(VENV)/browser-installed: $(VENV)/bin/pip setup.cfg
	@if command -v chromium >/dev/null; then \
	    $(BIN)/pip install -qq --disable-pip-version-check -e '.[browser]' && touch $@; fi

# A fleet's router, in an environment of its own: 143 packages, which take some minutes. Its numpy has
# wheels for Python 3.11 and 3.12. Without them, or without an index, its tests are skipped.
FIND_OLDER_PYTHON = $(firstword $(foreach name,python3.11 python3.12, \
    $(wildcard $(PYENV)/versions/*/bin/$(name)) $(shell command -v $(name))))
.venv-crossbar/installed:
	-@python=$(FIND_OLDER_PYTHON); if [ -n "$$python" ]; then \
	    echo "Installing Crossbar in .venv-crossbar: 143 packages, some minutes …"; $$python -m venv .venv-crossbar && \
	    .venv-crossbar/bin/pip install -qq --disable-pip-version-check 'crossbar >= 26.10' && touch $@; fi

# Open WebUI in its slim form, 0.8 GB; it needs Python 3.11 or 3.12, too.
.venv-open-webui/installed: tests/support/open_webui.py
	-@python=$(FIND_OLDER_PYTHON); if [ -n "$$python" ]; then \
	    echo "Installing Open WebUI in .venv-open-webui …"; $$python -m venv .venv-open-webui && \
	    $$python tests/support/open_webui.py .venv-open-webui && touch $@; fi

# Without npm its servers are left out, and without xllamacpp llama.cpp's.
$(VENV)/bench-installed: $(VENV)/bin/pip $(SOURCES) benchmarks/peers/package.json
	@$(BIN)/pip install -qq --disable-pip-version-check -e '.[bench]'
	@cp benchmarks/peers/package.json $(VENV)
	@if command -v npm >/dev/null; then npm install --prefix $(VENV) --silent --ignore-scripts \
	    --no-audit --no-fund --no-package-lock; fi
	-@$(BIN)/pip install -qq --disable-pip-version-check xllamacpp
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info rkllm_twisted/cpu/*.so rkllm_twisted/isolation/rkllm-host
	$(MAKE) -C cpu_runtime clean
