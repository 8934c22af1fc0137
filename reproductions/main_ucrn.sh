#!/usr/bin/env bash
# Main results of UCRN: CMU-MOSI and CMU-MOSEI, unaligned (the published recipes) and aligned.

set -euo pipefail
source "$(dirname "$0")/tables/environment.sh"
source reproductions/tables/ucrn_sentiment.sh

all=(--lonly --aonly --vonly --jsd)
ucrn mosei_unaligned mosei_senti "${all[@]}"
ucrn mosei_aligned mosei_senti "${all[@]}" --aligned
ucrn mosi_unaligned mosi "${all[@]}"
ucrn mosi_aligned mosi "${all[@]}" --aligned
check_rows
