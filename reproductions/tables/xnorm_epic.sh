# Sourced by the tables of X-Norm on EPIC-KITCHENS: `xnorm FUSION` runs one method by the published defaults.

FIRST_SEED=0 SEED_FLAG=--seed NAME_FLAG=--name
source reproductions/tables/table.sh
data=${DATA:-data/epic_kitchens} small=()
if $STANDIN; then
    # Sized for two cores: an eighth of I3D's width, crops of 32 pixels, 9 frames, 30 epochs of 12 steps.
    data=data/standins/epic_kitchens_36px weights=data/standins/i3d_narrow8
    [ -f $data/standin.json ] || say_and_do python -m common.standins epic_kitchens $data --size 36 36
    [ -f $weights/standin.json ] || say_and_do python -m common.standins weights $weights --only i3d --narrow 8
    small=(--i3d $weights --narrow 8 --crop-size 32 --num_frames 9 --batch_size 8 --learning_rate 2e-3
        --num_epochs 30 --patience 30 --num_gb_epochs 1 --num_workers 0
        --cache data/standins/epic_kitchens_36px_cache)
fi

xnorm() {
    local own=()
    if $STANDIN && [ "$1" = misa ]; then own=(--learning_rate 2e-4); fi # at 2e-3 its three auxiliary losses win
    row "$1" xnorm.main --fusion "$1" --data_root "$data" "${small[@]}" "${own[@]}"
}
