#!/usr/bin/env bash
# Ablations of UCRN on CMU-MOSEI, unaligned: without each part, and with one or two modalities.

set -euo pipefail
source "$(dirname "$0")/tables/ucrn.sh"

table mosei_unaligned without_urm without_mjs without_sqil without_crm true_js \
    language audio vision language_audio language_vision audio_vision
