#!/usr/bin/env bash
# Table 2 of CEN, NYUDv2: RGB, depth (ours), and CEN with ResNet-101 and ResNet-152, single scale.

set -euo pipefail
source "$(dirname "$0")/environment.sh"
source reproductions/table.sh

main=cen.semantic_segmentation.main
data=${DATA:-/data/nyud} enc=101 small=()
if $STANDIN; then
    # Sized for two cores: ResNet-50 in the place of 101, a quarter of the width, small rooms, 20 epochs.
    data=data/standins/nyudv2 weights=data/standins/weights_width16 enc=50
    [ -f $data/standin.json ] || say_and_do python -m common.standins nyudv2 $data --samples 120 --size 96 128
    [ -f $weights/standin.json ] || say_and_do python -m common.standins weights $weights --width 16
    small=(--imagenet $weights --width 16 --crop-size 96 --shorter-side 80 --low-scale 0.8 --high-scale 1.25
        --num-epoch 10 5 5 --val-every 5 --batch-size 3 --optim-dec adam --lr-enc 1e-3 5e-4 2e-4
        --lr-dec 1e-3 5e-4 1e-4 --num-workers 1 --val-batch-size 10 --channels-last)
fi
folders=(-d "$data" --val-dir "$data")

row refinenet_r101_rgb $main --enc $enc --num-epoch 100 100 100 -i rgb --lamda 0 "${folders[@]}" "${small[@]}"
row refinenet_r101_depth $main --enc $enc --num-epoch 100 100 100 -i depth --lamda 0 "${folders[@]}" "${small[@]}"
row cen_r101 $main --enc $enc --num-epoch 100 100 100 "${folders[@]}" "${small[@]}"
row cen_r152 $main --enc 152 --num-epoch 150 150 150 "${folders[@]}" "${small[@]}"
check_rows
