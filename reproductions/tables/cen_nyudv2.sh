# Sourced by the tables of CEN on NYUDv2: `cen ID ENC FLAGS...` runs one row.

FIRST_SEED=42 SEED_FLAG=--random-seed NAME_FLAG=-c
source reproductions/tables/table.sh
data=${DATA:-/data/nyud} lamda=() small=()
if $STANDIN; then
    # Sized for two cores: ResNet-50 in the place of 101, a quarter of the width, small rooms, 20 epochs.
    data=data/standins/nyudv2 weights=data/standins/weights_width16
    [ -f $data/standin.json ] || say_and_do python -m common.standins nyudv2 $data --samples 120 --size 96 128
    [ -f $weights/standin.json ] || say_and_do python -m common.standins weights $weights --width 16
    small=(--imagenet $weights --width 16 --crop-size 96 --shorter-side 80 --low-scale 0.8 --high-scale 1.25
        --num-epoch 10 5 5 --val-every 5 --batch-size 3 --optim-dec adam --lr-enc 1e-3 5e-4 2e-4
        --lr-dec 1e-3 5e-4 1e-4 --num-workers 1 --val-batch-size 10 --channels-last)
    lamda=(--lamda 0.04) # 800 steps instead of 40,000: only so does the penalty close channels; a row's own flag wins
fi

cen() {
    local id=$1 enc=$2
    shift 2
    if $STANDIN && [ "$enc" = 101 ]; then enc=50; fi
    row "$id" cen.semantic_segmentation.main --enc "$enc" "${lamda[@]}" "$@" -d "$data" --val-dir "$data" "${small[@]}"
}
