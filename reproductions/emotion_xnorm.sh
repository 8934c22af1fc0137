#!/usr/bin/env bash
# Emotion recognition from text and audio, X-Norm's second task: one modality, and four ways to bring two together.
# Data layout, sizes and protocol are ours.

set -euo pipefail
source "$(dirname "$0")/tables/xnorm.sh"

table emotion_text emotion_audio emotion_early emotion_late emotion_mult emotion_xnorm
