#!/usr/bin/env bash
# Every test, on a fresh machine too: bash tests/run.sh [pytest arguments]
set -euo pipefail
source "$(dirname "$0")/../reproductions/tables/environment.sh"
ruff check --quiet
ruff format --check --quiet
mypy --no-error-summary
# One thread a worker: as many workers as cores, each with torch's threads on all of them, would stand in each other's way.
mkdir -p runs  # "=" below: as a word of its own an existing record would pass for a test path
OMP_NUM_THREADS=1 python -m pytest -n "$(nproc)" --golden-record=runs/golden.json "$@"
