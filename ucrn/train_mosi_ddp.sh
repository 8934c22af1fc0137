#!/usr/bin/env bash
# Published recipe: UCRN on CMU-MOSI, unaligned, four processes, twice the epochs and without the divergence.
# Further flags go through: bash ucrn/train_mosi_ddp.sh --data_path=data
set -euo pipefail
cd "$(dirname "$0")/.."

torchrun --standalone --nproc-per-node=${PROCESSES:-4} -m ucrn.main --ddp \
    --model=UCRN --lonly --aonly --vonly --dataset=mosi --data_path=UCRN/data/ \
    --batch_size=32 --seed=1234 --optim=Adam --lr=0.001 --num_epochs=80 --when=40 \
    --name=ucrn_mosi_ddp "$@"
