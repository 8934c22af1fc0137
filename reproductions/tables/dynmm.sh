# Sourced by the tables of DynMM's modality level. Each seed has a log folder of its own, where the dynamic rows find
# the experts that other rows have left.

FIRST_SEED=0 SEED_FLAG=--seed NAME_FLAG=
source "${BASH_SOURCE[0]%/*}/table.sh" dynmm "$@"

arguments() {
    local module=$2 file small=()
    case $module in
        *.imdb_*) file=${DATA:-data}/multimodal_imdb.hdf5 ;;
        *) file=${DATA:-data/multibench}/mosei_senti_data.pkl ;;
    esac
    if $STANDIN; then small_"${module##*.}"; fi
    FLAGS=("${@:3}" "${small[@]}" --data-path "$file" --log-dir "$RUNS/log/seed_{seed}" --measure)
}

# The stand-ins' sizes, for two cores: narrow networks, and ten times the learning rate of the text network and of the
# gate on MM-IMDB, since an epoch has 13 steps in the place of 122.
small_imdb_uni() { films; small=(--narrow 4 --n-epochs 40 --lr 1e-3); }
small_imdb_mm() { films; small=(--narrow 4 --n-epochs 40); }
small_imdb_dyn() { films; small=(--narrow 4 --lr 1e-3 --n-epochs 20); }
# Short clips, and larger learning rates for the few steps that there are.
small_affect_uni() { clips; small=(--narrow 4 --lr 1e-3 --n-epochs 8); }
small_affect_mm() { small_affect_uni; }
small_affect_dyn() { clips; small=(--narrow 4 --lr 1e-3 --n-epochs 20); }

films() {
    standin mm_imdb data/standins/mm_imdb
    file=data/standins/mm_imdb/multimodal_imdb.hdf5
}

clips() {
    standin cmu_mosei data/standins/dynmm/cmu_mosei --layout multibench --lengths 10 10 10 --samples 1200
    file=data/standins/dynmm/cmu_mosei/mosei_senti_data.pkl
}
