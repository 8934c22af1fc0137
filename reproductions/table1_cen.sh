#!/usr/bin/env bash
# Table 1 of CEN, NYUDv2: shared convolutions with private norms, then with the L1 penalty, then with the exchange.

set -euo pipefail
source "$(dirname "$0")/tables/environment.sh"
source reproductions/tables/cen_nyudv2.sh

cen ablation_private_bn 101 --num-epoch 100 100 100 --bn-threshold 0 --lamda 0
cen ablation_l1 101 --num-epoch 100 100 100 --bn-threshold 0
cen cen_r101 101 --num-epoch 100 100 100
check_rows
