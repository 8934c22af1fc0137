#!/usr/bin/env bash
# Table 2 of DynMM, CMU-MOSEI: single networks, fusions, and DynMM with hard gates over lambda. The dynamic rows start
# from what text_network_mosei (E1) and late_fusion_mosei (E2) have left.

set -euo pipefail
source "$(dirname "$0")/tables/environment.sh"
source reproductions/tables/dynmm_modality.sh

if $STANDIN; then
    # Sized for two cores: narrow networks, short clips, and larger learning rates for the few steps that there are.
    standin cmu_mosei data/standins/dynmm/cmu_mosei --layout multibench --lengths 10 10 10 --samples 1200
    clips=data/standins/dynmm/cmu_mosei/mosei_senti_data.pkl
    experts=(--narrow 4 --lr 1e-3 --n-epochs 8) dynamic=(--narrow 4 --lr 1e-3 --n-epochs 20)
fi

affect video_network affect_uni --mod 0 "${experts[@]}"
affect audio_network affect_uni --mod 1 "${experts[@]}"
affect text_network_mosei affect_uni --mod 2 "${experts[@]}"
affect early_fusion affect_mm --fusion 2 "${experts[@]}"
affect late_fusion_mosei affect_mm --fusion 3 "${experts[@]}"
for reg in 0.01 0.1 0.3 1; do
    affect dynmm_mosei_reg_$reg affect_dyn --freeze --hard-gate --reg $reg "${dynamic[@]}"
done
check_rows
