#!/usr/bin/env bash
# On a fresh machine: the environment, the stand-ins, every paper small on them, and the report.
#
#   bash reproductions/quickstart.sh
#
# Under 15 minutes on two cores without a GPU. Runs go to runs/quickstart, the report to runs/quickstart/report.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

bash reproductions/table2_cen.sh --standin --runs runs/quickstart/table2_cen \
    --rows refinenet_r101_rgb refinenet_r101_depth cen_r101
python -m reproductions.compare runs/quickstart --output runs/quickstart/report
