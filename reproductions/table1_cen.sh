#!/usr/bin/env bash
# Table 1 of CEN, NYUDv2: shared convolutions with private norms, then with the L1 penalty, then with the exchange.

set -euo pipefail
source "$(dirname "$0")/tables/cen.sh"

table ablation_private_bn ablation_l1 cen_r101
