# Sourced by the tables of CEN on NYUDv2.

FIRST_SEED=42 SEED_FLAG=--random-seed NAME_FLAG=-c
source "${BASH_SOURCE[0]%/*}/table.sh" cen "$@"
data=${DATA:-/data/nyud} lamda=() small=()
if $STANDIN; then
    # Sized for two cores: ResNet-50 in the place of 101, a quarter of the width, small rooms, 20 epochs.
    data=data/standins/nyudv2 weights=data/standins/weights_width16
    standin nyudv2 $data --samples 120 --size 96 128
    standin weights $weights --width 16
    small=(--imagenet $weights --width 16 --crop-size 96 --shorter-side 80 --low-scale 0.8 --high-scale 1.25
        --num-epoch 10 5 5 --val-every 5 --batch-size 3 --optim-dec adam --lr-enc 1e-3 5e-4 2e-4
        --lr-dec 1e-3 5e-4 1e-4 --num-workers 1 --val-batch-size 10 --channels-last)
    lamda=(--lamda 0.04) # 800 steps instead of 40,000: only so does the penalty close channels; a row's own flag wins
fi

arguments() {
    local enc=()
    if $STANDIN && [[ " $* " == *" --enc 101 "* ]]; then enc=(--enc 50); fi
    FLAGS=("${lamda[@]}" "${@:3}" -d "$data" --val-dir "$data" "${small[@]}" "${enc[@]}")
}
