# Sourced by what a paper's table scripts share, as `source table.sh PAPER "$@"` (the script's own options). It reads
# the options and the paper's rows and offers
#
#   standin DATASET FOLDER ...   note a stand-in that the rows need: made first, unless it is there
#   table ROW ...                the rows of the script: check what was asked for, then list, print or run it
#
# Set before: FIRST_SEED, SEED_FLAG and NAME_FLAG (empty where the command has no flag for its run's name). Defined
# after, called by `table`: `arguments ROW MODULE FLAG ...` sets FLAGS, all flags of a run of the row ({seed} is its seed).

cd "${BASH_SOURCE[0]%/*}/../.."
TABLE=$(basename "$0" .sh) ROWS_FILE=reproductions/tables/$1.rows
shift
source reproductions/tables/jobs.sh

options() {
    cat <<'END'
  --standin        on small stand-ins instead of the real data: the same commands, not the paper's numbers
  --seeds N        N seeds, from the published one on (default 1; a verdict needs 5)
  --gpu I ...      CUDA devices (default 0; without any CUDA device everything runs on the CPU)
  --jobs N         N runs at a time, each on one of the devices in turn, each printing to its own log (default: one after
                   the other, each on all devices given)
  --data DIR       folder of the real data
  --rows ID ...    only these rows (default: all)
  --runs DIR       where the run folders go (default runs/<table>)
  --dry-run        print the commands only, a whole one a line, for a shell in this repository with .venv active
  --list           print the rows, and what each shows
  --help           print this

A script that was interrupted goes on where it stopped; a finished run is not run again.
END
}

fail() {
    echo "error: $1" >&2
    exit 2
}

# whole NAME VALUE ...: fails unless there is one value, a whole number of at least 1.
whole() {
    [ $# = 2 ] && [[ $2 =~ ^[1-9][0-9]*$ ]] || fail "$1 ${*:2}: expected a whole number of at least 1"
}

# one NAME VALUE ...: fails unless there is one value.
one() {
    [ $# = 2 ] && [ -n "$2" ] || fail "$1 ${*:2}: expected one value"
}

STANDIN=false SEEDS=1 GPU=(0) JOBS=1 DATA="" ASKED=() RUNS=runs/$TABLE DO=run
while [ $# -gt 0 ]; do
    option=$1 values=()
    shift
    while [ $# -gt 0 ] && [[ $1 != --* ]]; do values+=("$1"); shift; done
    case $option in
        --seeds | --jobs) whole "$option" "${values[@]}" ;;
        --data | --runs) one "$option" "${values[@]}" ;;
        --gpu | --rows) [ ${#values[@]} -gt 0 ] || fail "$option: expected at least one value" ;;
        *) [ ${#values[@]} = 0 ] || fail "${values[0]}: what is it for? $option takes no value" ;;
    esac
    case $option in
        --standin) STANDIN=true ;;
        --seeds) SEEDS=${values[0]} ;;
        --gpu) GPU=("${values[@]}") ;;
        --jobs) JOBS=${values[0]} ;;
        --data) DATA=${values[0]} ;;
        --rows) ASKED=("${values[@]}") ;;
        --runs) RUNS=${values[0]} ;;
        --dry-run) DO=print ;;
        --list) DO=list ;;
        -h | --help) DO=help ;;
        *) fail "$option: no such option; --help lists them" ;;
    esac
done
for device in "${GPU[@]}"; do
    [[ $device =~ ^(-1|[0-9]+)$ ]] || fail "--gpu $device: expected the number of a device, -1 for the CPU"
done

# The rows of the paper: {row: what it shows}, {row: module and flags}, {row: rows that it starts from}.
declare -A SHOWS=() COMMAND=() AFTER=()
while IFS='|' read -r id shows command after; do
    read -r id <<<"$id"
    [[ -z $id || $id == \#* ]] && continue
    read -r "SHOWS[$id]" <<<"$shows"
    read -r "COMMAND[$id]" <<<"$command"
    read -r "AFTER[$id]" <<<"$after"
done <"$ROWS_FILE"

STANDINS=() # commands that make them, quoted
standin() {
    local line
    [ -f "$2/standin.json" ] && return
    line="python -m common.standins$(printf ' %q' "$@")"
    [[ " ${STANDINS[*]@Q} " == *" ${line@Q} "* ]] || STANDINS+=("$line")
}

# What the script shows: the comment at its head.
about() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "reproductions/$TABLE.sh"
}

table() {
    local id seed module
    for id in "${ASKED[@]}"; do
        [[ " $* " == *" $id "* ]] || fail "--rows $id: this table has $*"
    done
    case $DO in
        help) about && echo && echo "Rows: $*" && echo && options && exit ;;
        list) for id in "$@"; do printf '%-22s %s\n' "$id" "${SHOWS[$id]}"; done && exit ;;
    esac
    for id in "$@"; do
        if [ ${#ASKED[@]} -gt 0 ] && [[ " ${ASKED[*]} " != *" $id "* ]]; then continue; fi
        read -ra words <<<"${COMMAND[$id]}"
        module=${words[0]}
        arguments "$id" "${words[@]}"
        for ((seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)); do
            add_job "$id" "$seed" "$module" "${FLAGS[@]//\{seed\}/$seed}" ${NAME_FLAG:+"$NAME_FLAG" "$id"} \
                "$SEED_FLAG" "$seed" --row "$id" --run-dir "$RUNS/$id/seed_$seed" --resume auto
        done
    done
    if [ $DO = print ]; then
        print_jobs
    else
        source reproductions/tables/environment.sh # only now: what was asked for is known to make sense
        run_jobs
    fi
}
