#!/usr/bin/env bash
# Ablations of UCRN on CMU-MOSEI, unaligned: without each part, and with one or two modalities.

set -euo pipefail
source "$(dirname "$0")/tables/environment.sh"
source reproductions/tables/ucrn_sentiment.sh

all=(--lonly --aonly --vonly)
ucrn mosei_unaligned mosei_senti "${all[@]}" --jsd
ucrn without_urm mosei_senti "${all[@]}" --jsd --without urm
ucrn without_mjs mosei_senti "${all[@]}"
ucrn without_sqil mosei_senti "${all[@]}" --jsd --without sqil
ucrn without_crm mosei_senti "${all[@]}" --jsd --without crm
ucrn true_js mosei_senti "${all[@]}" --jsd --quirk mjsd=jsd
ucrn language mosei_senti --lonly --jsd
ucrn audio mosei_senti --aonly --jsd
ucrn vision mosei_senti --vonly --jsd
ucrn language_audio mosei_senti --lonly --aonly --jsd
ucrn language_vision mosei_senti --lonly --vonly --jsd
ucrn audio_vision mosei_senti --aonly --vonly --jsd
check_rows
