# Everything from nothing: each target makes the virtual environment that it needs.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo-output
BIN := $(VENV)/bin
# OpenCV's wheel links these two system libraries; nothing is installed where they are there.
SYSTEM_PACKAGES := libgl1 libglib2.0-0

.PHONY: demo test lint bench system clean

demo: $(VENV)/.installed-demo
	$(BIN)/vidrestore demo $(OUT)

test: lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m pipelines.benchmark

$(VENV)/.installed-%: pyproject.toml constraints.txt | system
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$*]"
	touch $@

system:
	@libraries=$$(PATH=$$PATH:/sbin:/usr/sbin ldconfig -p); \
	if ! echo "$$libraries" | grep -q libGL.so.1 || ! echo "$$libraries" | grep -q libgthread-2.0.so.0; then \
	  echo "installing $(SYSTEM_PACKAGES), which OpenCV needs"; \
	  if [ "$$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi; \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq $(SYSTEM_PACKAGES); \
	fi

clean:
	rm -rf $(VENV) $(OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis
