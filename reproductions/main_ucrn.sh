#!/usr/bin/env bash
# Main results of UCRN: CMU-MOSI and CMU-MOSEI, unaligned (the published recipes) and aligned.

set -euo pipefail
source "$(dirname "$0")/tables/ucrn.sh"

table mosei_unaligned mosei_aligned mosi_unaligned mosi_aligned
