#!/usr/bin/env bash
# Table 2 of CEN, NYUDv2: RGB, depth (ours), and CEN with ResNet-101 and ResNet-152, single scale.

set -euo pipefail
source "$(dirname "$0")/tables/cen.sh"

table refinenet_r101_rgb refinenet_r101_depth cen_r101 cen_r152
