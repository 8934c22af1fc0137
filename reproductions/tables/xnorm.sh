# Sourced by the tables of X-Norm: actions of EPIC-KITCHENS by the published defaults, and emotions.

FIRST_SEED=0 SEED_FLAG=--seed NAME_FLAG=--name
source "${BASH_SOURCE[0]%/*}/table.sh" xnorm "$@"

arguments() {
    local data small=()
    case $2 in
        xnorm.main) kitchens "$1"; FLAGS=("${@:3}" --data_root "$data" "${small[@]}") ;;
        xnorm.emotion) emotions; FLAGS=("${@:3}" --data "$data" "${small[@]}") ;;
    esac
}

kitchens() {
    data=${DATA:-data/epic_kitchens}
    $STANDIN || return 0
    # Sized for two cores: an eighth of I3D's width, crops of 32 pixels, 9 frames, 30 epochs of 12 steps.
    data=data/standins/epic_kitchens_36px
    local weights=data/standins/i3d_narrow8
    standin epic_kitchens $data --size 36 36
    standin weights $weights --only i3d --narrow 8
    small=(--i3d $weights --narrow 8 --crop-size 32 --num_frames 9 --batch_size 8 --learning_rate 2e-3
        --num_epochs 30 --patience 30 --num_gb_epochs 1 --num_workers 0
        --cache data/standins/epic_kitchens_36px_cache)
    if [ "$1" = misa ]; then small+=(--learning_rate 2e-4); fi # at 2e-3 its three auxiliary losses win
}

emotions() {
    data=${DATA:-data/emotion}
    $STANDIN || return 0
    data=data/standins/emotion
    standin emotion $data
    small=(--width 32 --layers 2 --exchange 0 1 --learning_rate 2e-3 --num_epochs 25 --patience 10)
}
