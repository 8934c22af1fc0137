#!/usr/bin/env bash
# Table 2 of CEN, NYUDv2: RGB, depth (ours), and CEN with ResNet-101 and ResNet-152, single scale.

set -euo pipefail
source "$(dirname "$0")/tables/environment.sh"
source reproductions/tables/cen_nyudv2.sh

cen refinenet_r101_rgb 101 --num-epoch 100 100 100 -i rgb --lamda 0
cen refinenet_r101_depth 101 --num-epoch 100 100 100 -i depth --lamda 0
cen cen_r101 101 --num-epoch 100 100 100
cen cen_r152 152 --num-epoch 150 150 150
check_rows
