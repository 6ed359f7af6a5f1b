# Two commands: `make demo` runs the main job, `make test` the tests. Both set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEVELOPER := $(VENV)/.developer

.PHONY: demo test check wheel viewer docs notebooks clean environment

demo: $(READY)
	$(BIN)/factortopy demo $(ARGS)

# One process a core, each with one thread: threads of several processes would wait for each other. Files come by name:
# by their numbers of tests those of whole fits would come last, and one process would wait for the other.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

# All that checks and tests need, so that nothing is installed while something runs.
environment: $(DEVELOPER)

# Lint, format, types and the one-way order of the stages.
check: $(DEVELOPER)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The wheel is built, then imported from the wheel itself and not from the checkout.
wheel: $(DEVELOPER)
	rm -rf build/wheel
	$(BIN)/python -m build --wheel --outdir build/wheel
	$(BIN)/python -m pip install --quiet --no-deps --target build/wheel/unpacked build/wheel/*.whl
	cd build/wheel && PYTHONPATH=unpacked $(abspath $(BIN))/python -P ../../.ci/wheel_works.py

# The documentation as a site in docs/_build; the examples are executed. A warning is a fault.
docs: $(READY)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[docs]'
	OMP_NUM_THREADS=2 $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build $(ARGS)

# The examples as notebooks in build/notebooks; these are executed in order, as each builds on the first.
RUN ?= plot_01_first_map plot_02_figures plot_10_page
notebooks: $(READY)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[docs,widget]' nbclient ipykernel
	rm -rf build/notebooks && mkdir -p build/notebooks && cp examples/*.py build/notebooks
	$(BIN)/sphinx_gallery_py2jupyter build/notebooks/*.py
	$(BIN)/jupyter execute --inplace $(RUN:%=build/notebooks/%.ipynb)

# The page's program, from TypeScript; what is built is kept in the package, so that users need no Node.
viewer:
	cd viewer && npm ci --no-audit --no-fund && npm run build

# Not compiled ahead of use: most of what libraries bring is never loaded. Resolved once: one call for all extras.
define install
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[$(1)]'
	touch $(READY)
endef
comma := ,

$(READY): pyproject.toml
	$(call install,test)

$(DEVELOPER): pyproject.toml
	$(call install,test$(comma)dev)
	touch $@

clean:
	rm -rf $(VENV) build dist
