# Sourced by what a paper's table scripts share: their options, and `row`, which runs one row for every seed. Set before:
# FIRST_SEED, SEED_FLAG and NAME_FLAG (empty where the command has no flag for its run's name).
#
#   --standin        on a small stand-in instead of the real data: the same commands, not the paper's numbers
#   --seeds N        N seeds, from the published one on (default 1; a verdict needs 5)
#   --gpu I ...      CUDA devices (default 0; without any CUDA device everything runs on the CPU)
#   --data DIR       folder of the real data
#   --rows ID ...    only these rows (default: all)
#   --runs DIR       where the run folders go (default runs/<table>)
#   --dry-run        print the commands only
#
# A script that was interrupted goes on where it stopped; a finished run is not run again.

usage() {
    sed -n 's/^# \{0,1\}//; 2,/^$/p' "$0"
    sed -n 's/^#   --/  --/p' "${BASH_SOURCE[0]}"
    exit "$1"
}

TABLE=$(basename "$0" .sh) STANDIN=false SEEDS=1 GPU=(0) DATA="" ROWS=() RUNS="" DRY=false
while [ $# -gt 0 ]; do
    option=$1 values=()
    shift
    while [ $# -gt 0 ] && [[ $1 != --* ]]; do values+=("$1"); shift; done
    case $option in
        --standin) STANDIN=true ;;
        --seeds) SEEDS=${values[0]:?--seeds needs a number} ;;
        --gpu) GPU=("${values[@]:?--gpu needs a device}") ;;
        --data) DATA=${values[0]:?--data needs a folder} ;;
        --rows) ROWS=("${values[@]:?--rows needs a row}") ;;
        --runs) RUNS=${values[0]:?--runs needs a folder} ;;
        --dry-run) DRY=true ;;
        -h | --help) usage 0 ;;
        *) echo "error: $option: no such option" >&2; usage 2 ;;
    esac
done
RUNS=${RUNS:-runs/$TABLE}
KNOWN=()

say_and_do() {
    echo "+ $*"
    $DRY || "$@"
}

# row ID MODULE FLAGS...: the module with these flags, once for each seed, in $RUNS/ID/seed_S; {seed} in a flag is S.
row() {
    local id=$1 module=$2 seed
    shift 2
    KNOWN+=("$id")
    if [ ${#ROWS[@]} -gt 0 ] && [[ " ${ROWS[*]} " != *" $id "* ]]; then return; fi
    for ((seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)); do
        say_and_do python -m "$module" --gpu "${GPU[@]}" "${@//\{seed\}/$seed}" ${NAME_FLAG:+"$NAME_FLAG" "$id"} \
            "$SEED_FLAG" "$seed" --row "$id" --run-dir "$RUNS/$id/seed_$seed" --resume auto
    done
}

# At the end of a table: a row that was asked for and does not exist is an error.
check_rows() {
    local id
    for id in "${ROWS[@]}"; do
        [[ " ${KNOWN[*]} " == *" $id "* ]] || { echo "error: --rows $id: this table has ${KNOWN[*]}" >&2; exit 2; }
    done
}
