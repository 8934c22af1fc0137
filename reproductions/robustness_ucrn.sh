#!/usr/bin/env bash
# Robustness of UCRN on CMU-MOSEI, unaligned: tested with each modality missing and with noise, with and without MJS.

set -euo pipefail
source "$(dirname "$0")/tables/environment.sh"
source reproductions/tables/ucrn_sentiment.sh

all=(--lonly --aonly --vonly --robustness)
ucrn robust mosei_senti "${all[@]}" --jsd
ucrn robust_without_mjs mosei_senti "${all[@]}"
ucrn robust_true_js mosei_senti "${all[@]}" --jsd --quirk mjsd=jsd
check_rows
