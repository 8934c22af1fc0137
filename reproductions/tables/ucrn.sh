# Sourced by the tables of UCRN.

FIRST_SEED=1234 SEED_FLAG=--seed NAME_FLAG=--name
source "${BASH_SOURCE[0]%/*}/table.sh" ucrn "$@"

arguments() {
    local data=${DATA:-UCRN/data} small=() name=cmu_mosei
    if $STANDIN; then
        # Sized for two cores: short sequences, one layer in the place of five, 15 epochs.
        if [[ " $* " == *" --dataset=mosi "* ]]; then name=cmu_mosi; fi
        data=data/standins/ucrn/$name small=(--nlevels 1 --num_epochs 15 --when 7)
        standin $name "$data"
    fi
    FLAGS=("${@:3}" --data_path="$data" "${small[@]}")
}
