#!/usr/bin/env bash
# On a fresh machine: the environment, the stand-ins, every paper small on them, and the report.
#
#   bash reproductions/quickstart.sh
#
# Under 15 minutes on two cores without a GPU. Runs go to runs/quickstart, the report to runs/quickstart/report.
set -euo pipefail
source "$(dirname "$0")/tables/environment.sh"

bash reproductions/table2_cen.sh --standin --runs runs/quickstart/table2_cen \
    --rows refinenet_r101_rgb refinenet_r101_depth cen_r101
bash reproductions/ablation_ucrn.sh --standin --runs runs/quickstart/ablation_ucrn \
    --rows mosei_unaligned language audio vision
bash reproductions/table1_dynmm.sh --standin --runs runs/quickstart/table1_dynmm \
    --rows text_network late_fusion dynmm_imdb_reg_0.1
bash reproductions/main_xnorm.sh --standin --runs runs/quickstart/main_xnorm --rows rgb flow xnorm
python -m reproductions.compare runs/quickstart --output runs/quickstart/report
