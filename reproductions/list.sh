#!/usr/bin/env bash
# Every table script: what it shows, and its rows.
#
#   bash reproductions/list.sh

set -euo pipefail
cd "$(dirname "$0")"

for script in *_*.sh; do
    echo "$script: $(sed -n '2,/^$/s/^# \{0,1\}//p' "$script" | tr '\n' ' ')"
    bash "$script" --list | sed 's/^/    /'
done
