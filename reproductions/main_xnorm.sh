#!/usr/bin/env bash
# Main results of X-Norm: every method on EPIC-KITCHENS-100 (kitchens P01, P08 and P22, 8 verbs).

set -euo pipefail
source "$(dirname "$0")/tables/xnorm.sh"

table rgb flow early late misa mult gb xnorm
