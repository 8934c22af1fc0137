#!/usr/bin/env bash
# Published recipe: UCRN on CMU-MOSI, unaligned, one device. Further flags go through: bash ucrn/train_mosi.sh --gpu 1
set -euo pipefail
cd "$(dirname "$0")/.."

python -m ucrn.main --model=UCRN --lonly --aonly --vonly --dataset=mosi --data_path=UCRN/data/ \
    --batch_size=32 --seed=1234 --optim=Adam --lr=0.001 --jsd --num_epochs=40 --when=20 \
    --name=UCRN_bs32_jsd_mosi "$@"
