# Everything from nothing: each target makes the virtual environment that it needs.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo-output
# Processes that run tests side by side; what measures real time runs alone, see tests/conftest.py.
WORKERS ?= 2
BIN := $(VENV)/bin
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup
UNIT := not (gpu or integration or live or nightly or ray or slow)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Extras of pyproject.toml that have a lock file: what the tests, the demonstration and the image install.
LOCKED := dev demo image
# OpenCV's wheel links these two system libraries; nothing is installed where they are there.
SYSTEM_PACKAGES := libgl1 libglib2.0-0
# Peers of the tests of live video, which `make peers` installs: RTSP and RTMP servers, and a browser. Without them those
# few tests are skipped.
PEER_PACKAGES := gir1.2-gst-rtsp-server-1.0 gir1.2-gstreamer-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-base \
  gstreamer1.0-plugins-good gstreamer1.0-plugins-bad python3-gi chromium-headless-shell nginx-light libnginx-mod-rtmp

.PHONY: demo test test-unit test-all lint bench lock audit system peers clean

demo: $(VENV)/.installed-demo
	$(BIN)/vidrestore demo $(OUT)

# Nothing but Python packages is installed, and OpenCV's system libraries where they are missing: peers are asked for.
test: lint
	$(PYTEST)

# What needs no Ray, no other process, no network and no waiting: in a minute or so.
test-unit: $(VENV)/.installed-dev
	$(PYTEST) -m "$(UNIT)"

# As `test`, and what takes long: two dozen random kills of batches, ten of their driver, a full object store ...
test-all: lint
	$(PYTEST) -m ""

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m pipelines.benchmark

# The documentation, as pages in build/site; a broken link fails. Its environment is its own: it needs no PyTorch.
.PHONY: docs
docs: build/docs-venv/.installed
	NO_MKDOCS_2_WARNING=1 build/docs-venv/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html"

build/docs-venv/.installed: locks/docs.txt
	test -x build/docs-venv/bin/python || $(PYTHON) -m venv build/docs-venv
	build/docs-venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	  --requirement locks/docs.txt
	touch $@

# Everything with its hash from locks/, built by what is locked too; PyTorch last, in the build that the machine takes.
$(VENV)/.installed-%: pyproject.toml locks/%.txt locks/torch.in | system
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes --no-deps --requirement locks/$*.txt
	$(INSTALL) --requirement locks/torch.in
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

# Raise what is locked to the newest that fits pyproject.toml; `make lock UPGRADE=` changes no more than it must.
lock: UPGRADE := --upgrade
lock: COMPILE = $(BIN)/uv pip compile --quiet $(UPGRADE) pyproject.toml locks/build.in
lock: $(VENV)/.installed-dev
	$(COMPILE) --extra dev --constraint locks/torch.in --output-file locks/dev.txt
	for extra in $(filter-out dev,$(LOCKED)); do \
	  $(COMPILE) --extra $$extra --constraint locks/dev.txt --constraint locks/torch.in \
	    --output-file locks/$$extra.txt || exit; \
	done
	$(BIN)/uv pip compile --quiet $(UPGRADE) --group docs --output-file locks/docs.txt

# Known holes of everything that is locked, and of PyTorch; it asks the databases on the network, so no test does.
audit: $(VENV)/.installed-dev
	@told=$$(mktemp); files="$(LOCKED:%=--requirement locks/%.txt) --requirement locks/torch.in"; \
	$(BIN)/pip-audit --strict --progress-spinner off --disable-pip --no-deps $$files >$$told 2>&1; code=$$?; \
	cat $$told; \
	if [ $$code != 0 ] && ! grep -q "^Found .* known vulnerabilit" $$told; then \
	  echo "NOT AUDITED: the database of known holes could not be asked; run it where the network allows it"; \
	fi; \
	rm $$told; exit $$code

system:
	@libraries=$$(PATH=$$PATH:/sbin:/usr/sbin ldconfig -p); \
	if ! echo "$$libraries" | grep -q libGL.so.1 || ! echo "$$libraries" | grep -q libgthread-2.0.so.0; then \
	  echo "installing $(SYSTEM_PACKAGES), which OpenCV needs"; \
	  if [ "$$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi; \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq $(SYSTEM_PACKAGES); \
	fi

# The servers are not started: in runlevel 1 no package starts its service.
peers:
	@if ! { command -v chromium-headless-shell && ls /usr/lib/*/gstreamer-1.0/libgstrtsp.so \
	  /usr/lib/nginx/modules/ngx_rtmp_module.so; } >/dev/null 2>&1; then \
	  echo "installing RTSP and RTMP servers and a headless browser, which tests of live video talk to"; \
	  if [ "$$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi; \
	  $$as_root apt-get update -qq \
	  && $$as_root env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $(PEER_PACKAGES) >/dev/null; \
	fi

clean:
	rm -rf $(VENV) $(OUT) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
