#!/usr/bin/env bash
# Emotion recognition from text and audio, X-Norm's second task: one modality, and five ways to bring two together.
# Data layout, sizes and protocol are ours.

set -euo pipefail
source "$(dirname "$0")/tables/environment.sh"
FIRST_SEED=0 SEED_FLAG=--seed NAME_FLAG=--name
source reproductions/tables/table.sh
data=${DATA:-data/emotion} small=()
if $STANDIN; then
    data=data/standins/emotion
    [ -f $data/standin.json ] || say_and_do python -m common.standins emotion $data
    small=(--width 32 --layers 2 --exchange 0 1 --learning_rate 2e-3 --num_epochs 25 --patience 10)
fi

for fusion in text audio early late mult xnorm; do
    row emotion_$fusion xnorm.emotion --fusion $fusion --data "$data" "${small[@]}"
done
check_rows
