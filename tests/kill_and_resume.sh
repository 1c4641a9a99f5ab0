#!/usr/bin/env bash
# Kills a training run at random moments, resumes it each time, and compares its end with that of a run that was left
# alone: weights and metrics must have the same bits. For each loss.
#   tests/kill_and_resume.sh [BIN_FOLDER] [KILLS] [OPTIONS OF clx-train…]
# By default build/dev/bin, 20 kills, and a network that saves about ten times a second.
set -uo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." || exit 1
bin=${1:-build/dev/bin} kills=${2:-20}
shift $(($# < 2 ? $# : 2))
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
options=(--image-size 16 --train-samples 64 --test-samples 16 --width 0.25 --batch-size 16 --epochs 60 --lr 0.02
  --threads 1 --quiet "$@")
failed=0

now() { date +%s%N; }

for loss in ce supcon triplet; do
  whole=$work/$loss/whole killed=$work/$loss/killed
  start=$(now)
  "$bin/clx-train" "${options[@]}" --loss "$loss" --output-dir "$whole" >/dev/null || exit 1
  span=$((($(now) - start) / 1000000))
  done_kills=0
  for ((kill = 0; kill < kills; ++kill)); do
    resume=()
    [[ -e $killed/seed0/config.toml ]] && resume=(--resume)
    "$bin/clx-train" "${options[@]}" --loss "$loss" --output-dir "$killed" "${resume[@]}" >/dev/null &
    # On average as long as it takes to do a share of the work, so that most kills meet a run that is not done.
    sleep "$(awk -v span="$span" -v kills="$kills" -v seed="$RANDOM" \
      'BEGIN { srand(seed); print span / 1000 * 1.8 / kills * rand() }')"
    kill -KILL $! 2>/dev/null && done_kills=$((done_kills + 1))
    wait $! 2>/dev/null
  done
  resume=()
  [[ -e $killed/seed0/config.toml ]] && resume=(--resume)
  "$bin/clx-train" "${options[@]}" --loss "$loss" --output-dir "$killed" "${resume[@]}" >/dev/null || exit 1
  verdict=same
  for file in metrics.jsonl checkpoints/{last,best,final}.safetensors; do
    cmp -s "$whole/seed0/$file" "$killed/seed0/$file" || { verdict="$file differs" failed=1; }
  done
  starts=$(grep -c '"started"' "$killed/seed0/env.json")
  printf '%-8s %d kills, %d starts that got as far as the run folder: %s\n' "$loss" "$done_kills" "$starts" "$verdict"
done
exit $failed
