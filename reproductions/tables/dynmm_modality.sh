# Sourced by the tables of DynMM's modality level: `imdb ID SCRIPT FLAGS...` and `affect ID SCRIPT FLAGS...` run one row.
# Each seed has a log folder of its own, where dynamic rows find the experts that the rows before them have left.

FIRST_SEED=0 SEED_FLAG=--seed NAME_FLAG=
source reproductions/tables/table.sh
films=${DATA:-data}/multimodal_imdb.hdf5 clips=${DATA:-data/multibench}/mosei_senti_data.pkl
experts=() dynamic=()

standin() {
    [ -f "$2/standin.json" ] || say_and_do python -m common.standins "$@"
}

imdb() {
    local id=$1 script=$2
    shift 2
    row "$id" dynmm.modality."$script" "$@" --data-path "$films" --log-dir "$RUNS/log/seed_{seed}" --measure
}

affect() {
    local id=$1 script=$2
    shift 2
    row "$id" dynmm.modality."$script" "$@" --data-path "$clips" --log-dir "$RUNS/log/seed_{seed}" --measure
}
