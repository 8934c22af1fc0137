#!/usr/bin/env bash
# Table 1 of DynMM, MM-IMDB: single networks, fusions, and DynMM with hard gates over lambda and with soft gates. The
# dynamic rows start from what text_network (E1) and late_fusion (E2) have left.

set -euo pipefail
source "$(dirname "$0")/tables/environment.sh"
source reproductions/tables/dynmm_modality.sh

if $STANDIN; then
    # Sized for two cores: narrow networks, ten times the learning rate of the text network and of the gate, since an
    # epoch has 13 steps in the place of 122.
    standin mm_imdb data/standins/mm_imdb
    films=data/standins/mm_imdb/multimodal_imdb.hdf5
    experts=(--narrow 4 --n-epochs 40) dynamic=(--narrow 4 --lr 1e-3 --n-epochs 20)
fi
uni=("${experts[@]}")
if $STANDIN; then uni+=(--lr 1e-3); fi

imdb image_network imdb_uni --mod 1 "${uni[@]}"
imdb text_network imdb_uni --mod 0 "${uni[@]}"
imdb early_fusion_imdb imdb_mm --fuse 0 "${experts[@]}"
imdb late_fusion imdb_mm --fuse 1 "${experts[@]}"
imdb lrtf imdb_mm --fuse 2 "${experts[@]}"
imdb mi_matrix imdb_mm --fuse 3 "${experts[@]}"
for reg in 0.01 0.1 0.3 1; do
    imdb dynmm_imdb_reg_$reg imdb_dyn --freeze --hard-gate --reg $reg "${dynamic[@]}"
done
imdb dynmm_imdb_soft imdb_dyn --freeze --reg 0 --quirk gate_in_test=trained "${dynamic[@]}"
check_rows
