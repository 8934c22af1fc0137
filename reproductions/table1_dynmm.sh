#!/usr/bin/env bash
# Table 1 of DynMM, MM-IMDB: single networks, fusions, and DynMM with hard gates over lambda and with soft gates. The
# dynamic rows start from what text_network (E1) and late_fusion (E2) have left.

set -euo pipefail
source "$(dirname "$0")/tables/dynmm.sh"

table image_network text_network early_fusion_imdb late_fusion lrtf mi_matrix \
    dynmm_imdb_reg_0.01 dynmm_imdb_reg_0.1 dynmm_imdb_reg_0.3 dynmm_imdb_reg_1 dynmm_imdb_soft
