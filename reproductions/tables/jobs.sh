# Sourced by table.sh: the runs of a table, printed or run, one after the other or several at a time.

ROW=() SEED=() MODULE=() REST=() # of each job; REST: its flags after --gpu, quoted
declare -A STATE=()              # {"row seed": waiting, running, done, failed or left out}

# add_job ROW SEED MODULE FLAG ...
add_job() {
    ROW+=("$1") SEED+=("$2") MODULE+=("$3")
    REST+=("$(printf ' %q' "${@:4}")")
    STATE["$1 $2"]=waiting
}

# line_of JOB SLOT: the job's command. With --jobs each of the slots has one device, else a run has all of them.
line_of() {
    local devices="${GPU[*]}"
    [ "$JOBS" = 1 ] || devices=${GPU[$2 % ${#GPU[@]}]}
    echo "python -m ${MODULE[$1]} --gpu $devices${REST[$1]}"
}

print_jobs() {
    local job first=()
    [ ${#STANDINS[@]} = 0 ] || printf '%s\n' "${STANDINS[@]}"
    for job in "${!ROW[@]}"; do
        line_of "$job" "$job"
        [ -z "${AFTER[${ROW[$job]}]}" ] || first=("${first[@]:-$((job + ${#STANDINS[@]}))}")
    done
    # To stderr, so that stdout holds commands alone.
    [ ${#STANDINS[@]} = 0 ] || echo "note: the first ${#STANDINS[@]} lines make stand-ins; the others need them" >&2
    [ ${#first[@]} = 0 ] || [ "${first[0]}" = "${#STANDINS[@]}" ] ||
        echo "note: the lines behind line ${first[0]} start from results of lines before it" >&2
}

run_jobs() {
    local line
    for line in "${STANDINS[@]}"; do
        echo "+ $line"
        eval "$line"
    done
    FREE=() FAILED=() LEFT_OUT=()
    declare -gA JOB_OF=() SLOT_OF=() # by process id
    local slot
    for ((slot = 0; slot < JOBS; slot++)); do FREE+=("$slot"); done
    trap 'stop 130' INT
    trap 'stop 143' TERM
    trap 'stop 129' HUP
    start_ready
    while [ ${#JOB_OF[@]} -gt 0 ]; do
        await_one
        if [ "$JOBS" = 1 ] && [ ${#FAILED[@]} -gt 0 ]; then break; fi # one after the other: the first failure ends it
        start_ready
    done
    [ ${#FAILED[@]} = 0 ] && return
    {
        printf 'error: failed: %s\n' "${FAILED[@]}"
        [ ${#LEFT_OUT[@]} = 0 ] || printf 'left out: %s\n' "${LEFT_OUT[@]}"
    } >&2
    exit 1
}

# Start jobs that need not wait while slots are free.
start_ready() {
    local job key
    for job in "${!ROW[@]}"; do
        [ ${#FREE[@]} -gt 0 ] || return 0
        key="${ROW[$job]} ${SEED[$job]}"
        [ "${STATE[$key]}" = waiting ] || continue
        case $(needs "$job") in
            failed*) STATE[$key]="left out" && LEFT_OUT+=("$key, which starts from a run that failed") ;;
            waiting*) ;;
            *) start "$job" ;;
        esac
    done
}

# needs JOB: "failed" or "waiting" where a row that it starts from, with its seed, is so; nothing where it can start.
needs() {
    local row state
    for row in ${AFTER[${ROW[$1]}]}; do
        state=${STATE["$row ${SEED[$1]}"]:-done} # not asked for this time: it was made before, or the run will say so
        case $state in
            failed | "left out") echo failed ;;
            waiting | running) echo waiting ;;
        esac
    done | sort
}

# start JOB: in the background. Alone it prints here, beside others to a log of its own.
start() {
    local job=$1 slot=${FREE[0]} key="${ROW[$1]} ${SEED[$1]}" line
    FREE=("${FREE[@]:1}")
    line=$(line_of "$job" "$slot")
    if [ "$JOBS" = 1 ]; then
        echo "+ $line"
        eval "exec $line" &
    else
        mkdir -p "$RUNS/${ROW[$job]}"
        echo "started: $key, printing to $(log_of "$job")"
        eval "exec $line" >"$(log_of "$job")" 2>&1 &
    fi
    JOB_OF[$!]=$job SLOT_OF[$!]=$slot STATE[$key]=running
}

log_of() {
    echo "$RUNS/${ROW[$1]}/seed_${SEED[$1]}.log"
}

# Wait until one of the running jobs has ended.
await_one() {
    local pid status=0 job key
    wait -n -p pid "${!JOB_OF[@]}" || status=$?
    job=${JOB_OF[$pid]} && key="${ROW[$job]} ${SEED[$job]}"
    FREE+=("${SLOT_OF[$pid]}")
    unset "JOB_OF[$pid]" "SLOT_OF[$pid]"
    if [ $status = 0 ]; then
        STATE[$key]=done
        [ "$JOBS" = 1 ] || echo "finished: $key"
        return
    fi
    STATE[$key]=failed
    if [ "$JOBS" = 1 ]; then
        FAILED+=("$key, exit status $status")
    else
        FAILED+=("$key, exit status $status, see $(log_of "$job")")
        echo "failed: $key: $(tail -n 1 "$(log_of "$job")")"
    fi
}

# stop STATUS: end what is running, and wait for it.
stop() {
    trap '' INT TERM HUP
    [ ${#JOB_OF[@]} = 0 ] || kill -TERM "${!JOB_OF[@]}" 2>/dev/null
    wait
    echo "interrupted; the same command goes on where it stopped" >&2
    exit "$1"
}
