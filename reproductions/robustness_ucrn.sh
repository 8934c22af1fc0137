#!/usr/bin/env bash
# Robustness of UCRN on CMU-MOSEI, unaligned: tested with each modality missing and with noise, with and without MJS.

set -euo pipefail
source "$(dirname "$0")/tables/ucrn.sh"

table robust robust_without_mjs robust_true_js
