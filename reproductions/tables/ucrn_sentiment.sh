# Sourced by the tables of UCRN: `ucrn ID DATASET FLAGS...` runs one row by the published recipe.

FIRST_SEED=1234 SEED_FLAG=--seed NAME_FLAG=--name
source reproductions/tables/table.sh
data=${DATA:-UCRN/data} small=()
if $STANDIN; then
    # Sized for two cores: short sequences, one layer in the place of five, 15 epochs.
    data=data/standins/ucrn
    small=(--nlevels 1 --num_epochs 15 --when 7)
    for name in mosei mosi; do
        [ -f $data/cmu_$name/standin.json ] || say_and_do python -m common.standins cmu_$name $data/cmu_$name
    done
fi

ucrn() {
    local id=$1 dataset=$2 folder=$data
    shift 2
    if $STANDIN; then folder=$data/cmu_${dataset%_senti}; fi
    row "$id" ucrn.main --model=UCRN "$@" --dataset="$dataset" --data_path="$folder" --batch_size=32 --optim=Adam \
        --lr=0.001 "${small[@]}"
}
