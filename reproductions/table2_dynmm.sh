#!/usr/bin/env bash
# Table 2 of DynMM, CMU-MOSEI: single networks, fusions, and DynMM with hard gates over lambda. The dynamic rows start
# from what text_network_mosei (E1) and late_fusion_mosei (E2) have left.

set -euo pipefail
source "$(dirname "$0")/tables/dynmm.sh"

table video_network audio_network text_network_mosei early_fusion late_fusion_mosei \
    dynmm_mosei_reg_0.01 dynmm_mosei_reg_0.1 dynmm_mosei_reg_0.3 dynmm_mosei_reg_1
