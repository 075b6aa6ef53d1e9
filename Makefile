# `make gallery` and `make test` install what they need; the machine only needs make and Python 3.11 or newer.
PYTHON ?= python3
# the lowest Python for `make versions`
LOWEST ?= python3.11
# the environment: `make test PYTHON=python3.14 VENV=.venv-3.14` runs the tests on another Python
VENV := .venv
BIN := $(VENV)/bin

# Some machines forbid Python to keep bytecode: each of the many processes of the tests would compile all files again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: gallery native test soak lint types docs pictures sheet site ready-made bench check versions clients clean

# The gallery page of the sample photos, with a catalogue of all steps and the fast backend.
gallery: $(VENV)/gallery.stamp $(VENV)/native.stamp
	$(BIN)/python -m augreg.gallery --catalogue --out gallery.html

# The compiled backend, a package of its own. `make gallery` and `make test` build it where there is a C compiler;
# everything works without it. NATIVE=no leaves it out, and uninstalls one that was built before.
native: $(VENV)/native.stamp

# One process more than there are processors, since tests also wait: for other processes, and for the clock.
TESTERS = $(shell $(BIN)/python -c 'import os; print((os.process_cpu_count if hasattr(os, "process_cpu_count") else os.cpu_count)() + 1)')

# All tests. SUITE="tests/test_plan.py -k merge" runs some of them.
test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(TESTERS) --dist worksteal $(SUITE)
	@test -n '$(SUITE)' || ! grep -q built $(VENV)/native.stamp || $(BIN)/python -m pytest -q plugins/augreg-native

# The long tests: minutes of random and hostile specs, files and plugins, and all kinds of loaders. `make test` runs a small part of each.
# Those beside the real libraries run where `make clients` has made their environment.
soak: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m soak
	@! grep -q built $(VENV)/native.stamp || $(BIN)/python -m pytest -m soak plugins/augreg-native
	@! grep -q built $(VENV)/native.stamp || $(BIN)/python plugins/augreg-native/tools/fuzz.py 300
	@! test -e .venv-clients/stamp || .venv-clients/bin/python -m pytest -m soak tests/clients

# The tests on the lowest versions that pyproject.toml allows, in an environment of its own. What it lacks is left out:
# the loaders and trainers of the docs, and torch with `make versions NO_TORCH=1` (it takes gigabytes on Linux).
# Old versions of torch call old functions of their own, and warn of it; so does old matplotlib with pyparsing 3.3.
LOWEST_STAMP := .venv-versions/$(if $(NO_TORCH),without-torch,with-torch).stamp
LOWEST_PIP := .venv-versions/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-lowest.txt

versions: $(LOWEST_STAMP)
	AUGREG_LOWEST=1 .venv-versions/bin/python -m pytest -n auto --dist worksteal -W ignore::FutureWarning $(SUITE)

# Without the stamp, the next run tries again.
$(LOWEST_STAMP): pyproject.toml constraints-lowest.txt
	$(LOWEST) -m venv .venv-versions
	$(LOWEST_PIP) --editable '.[fast,testing,plots]' 'pyparsing<3.3' sybil jsonschema pytest-xdist scikit-learn mypy hatchling hatch-fancy-pypi-readme webdataset datasets
ifdef NO_TORCH
	touch $@
else
	$(LOWEST_PIP) torch || { echo 'The lowest torch cannot be had here: `make versions NO_TORCH=1` leaves its tests out.'; exit 1; }
	$(LOWEST_PIP) torchdata lightning && touch $@ || echo 'LEFT OUT: the tests with torchdata and lightning, which cannot be had here.'
endif

# Tests beside the real torchvision, timm, transformers, lightning, accelerate and Ray, in an environment of their own (6 GB:
# the torch that torchvision works with needs CUDA libraries, also where there is no GPU). Nothing is downloaded by the tests.
# CLIENTS="tests/clients/test_models.py -k resnet" runs some of them.
clients: .venv-clients/stamp
	.venv-clients/bin/python -m pytest -n auto --dist worksteal $(or $(CLIENTS),tests/clients)

.venv-clients/stamp: pyproject.toml constraints-clients.txt
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-clients.txt \
		--editable '.[all,ray]' torchvision timm transformers lightning accelerate datasets \
		'jsonargparse[signatures]' torchdata pytest-xdist sybil
	touch $@

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

# Update the parts of the docs that are generated from the registry, or that show files.
docs: $(VENV)/gallery.stamp
	$(BIN)/python tools/reference.py
	$(BIN)/python docs/include.py

# Draw the pictures of the transforms in the docs again, and write their pages.
pictures: $(VENV)/dev.stamp
	AUGREG_PLUGINS=augreg $(BIN)/python tools/reference.py --pictures

# Take the screenshot at the top of the README again; needs chromium.
sheet: $(VENV)/dev.stamp
	$(BIN)/python tools/sheet.py

# The documents as a site, in site/index.html: static, with a search, without requests to other servers. Any warning fails.
site: $(VENV)/site.stamp
	$(BIN)/python -m sphinx -E -W --keep-going --quiet -b html -d site/.doctrees docs site
	@echo "site/index.html"

$(VENV)/site.stamp: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[site]'
	touch $@

# Draw the gallery's pictures of regularizers again, for pages that are made without torch.
ready-made: $(VENV)/dev.stamp
	$(BIN)/python tools/ready_made.py

bench: $(VENV)/dev.stamp
	$(BIN)/python bench/imports.py
	$(BIN)/python bench/single.py
	$(BIN)/python bench/mix.py
	$(BIN)/python bench/loader.py

check: lint types test

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "augreg needs Python 3.11 or newer: make PYTHON=python3.12 ..")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/gallery.stamp: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fast]'
	touch $@

# The stamp says "built", or else "no" or "failed": then nothing is installed, which is no error, and the next run tries again.
NATIVE_SOURCES := $(shell find plugins/augreg-native -name build -prune -o -type f \( -name '*.[ch]' -o -name '*.txt' -o \
	-path '*/augreg_native/*.py' -o -name pyproject.toml \) -print)
NATIVE_PIP := $(BIN)/python -m pip --disable-pip-version-check
ifneq ($(shell cat $(VENV)/native.stamp 2>/dev/null),$(if $(filter no,$(NATIVE)),no,built))
.PHONY: $(VENV)/native.stamp
endif
$(VENV)/native.stamp: $(VENV)/gallery.stamp $(NATIVE_SOURCES)
	@state=failed; \
	if test '$(NATIVE)' = no; then state=no why='NATIVE=$(NATIVE)'; \
	elif ! command -v $(CC) >/dev/null && ! command -v gcc >/dev/null && ! command -v clang >/dev/null; then \
		why='it needs a C compiler, such as GCC or Clang'; \
	elif $(NATIVE_PIP) install --verbose --no-deps ./plugins/augreg-native >$(VENV)/native.log 2>&1; then state=built; \
	else why='it does not build here; see $(VENV)/native.log'; rm -rf plugins/augreg-native/build; fi; \
	if test $$state = built; then $(BIN)/python -c 'import augreg_native._jpeg' 2>/dev/null || \
		echo 'LEFT OUT: decoding parts of JPEGs, for which augreg-native needs libjpeg-turbo and its headers.'; \
	else $(NATIVE_PIP) uninstall --quiet --yes augreg-native >/dev/null 2>&1; \
		echo "LEFT OUT: the compiled backend (plugins/augreg-native): $$why."; fi; \
	echo $$state >$@

$(VENV)/dev.stamp: $(VENV)/gallery.stamp | $(VENV)/native.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-* gallery.html site plugins/augreg-native/build
