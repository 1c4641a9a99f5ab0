#!/usr/bin/env bash
# The study in small, on two CPU cores: three networks (cross-entropy, SupCon, triplet) trained on CIFAR-10 by the
# configurations beside this, their Grad-CAM and Eigen-CAM maps evaluated under both protocols, one page with all tables.
# What is there already is not done again. Called by `./run study`.
#   study.sh BIN DATA [OUTPUT] [SEEDS] [PAGE] [IMAGES]
set -euo pipefail
bin=${1:?expected the folder of the programs} data=${2:?expected cifar-10-batches-bin}
output=${3:-runs/study} seeds=${4:-0} page=${5:-$output/study.md} images=${6:-1000}
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

# number FILE KEY: the last value of KEY in a file of JSON
number() { sed -n "s/.*\"$2\": *\([-0-9.eE+]*\).*/\1/p" "$1" | tail -1; }
# text FILE KEY: the last string of KEY in a file of JSON
text() { sed -n "s/.*\"$2\": *\"\([^\"]*\)\".*/\1/p" "$1" | tail -1; }
# versions FILE...: those of the programs that wrote these, each once
versions() { for file in "$@"; do text "$file" version; done | sort -u | paste -sd, | sed 's/,/, /g'; }
percent() { awk -v x="$1" 'BEGIN { printf "%.2f %%", 100 * x }'; }

for loss in ce scl tl; do
  "$bin/clx-train" --config "$here/cifar10_$loss.toml" --data-dir "$data" --output-dir "$output/$loss" --seeds "$seeds"
  for run in "$output/$loss"/seed*; do
    for protocol in paper reference; do
      [[ -e $run/eval-$protocol/summary.json ]] || "$bin/clx-eval" --run "$run" --data-dir "$data" --limit $images \
        --protocol $protocol --output-dir "$run/eval-$protocol"
    done
  done
done
for protocol in paper reference; do
  "$bin/clx-report" "$output"/{ce,scl,tl}/seed*/eval-$protocol --output-dir "$output/report-$protocol" --overwrite >/dev/null
done

{
  echo '# The study in small'
  echo
  echo "Written by \`./run study\`: ResNet-20 on CIFAR-10, a few minutes of training each (\`configs/cpu\`), seeds $seeds; maps of the"
  echo "first $images test images. Figures to compare with each other, not with the paper's, whose networks train for days."
  echo
  echo "- machine: $(text "$output/ce/seed${seeds%%[,-]*}/env.json" device)"
  echo "- trained by: clx-train $(versions "$output"/{ce,scl,tl}/seed*/env.json)"
  echo "- evaluated by: clx-eval $(versions "$output"/{ce,scl,tl}/seed*/eval-*/summary.json)"
  echo
  echo '## Training'
  echo
  echo '| | seed | epochs | loss, first epoch | loss, last epoch | test accuracy | nearest neighbours | mean max probability | minutes |'
  echo '|---|---:|---:|---:|---:|---:|---:|---:|---:|'
  for loss in ce scl tl; do
    for run in "$output/$loss"/seed*; do
      metrics=$run/metrics.jsonl probe=$run/checkpoints/linear_classifier.json
      first=$(head -1 "$metrics" | sed 's/.*"train_loss": *\([-0-9.eE+]*\).*/\1/')
      if [[ -e $probe ]]; then
        accuracy=$(sed 's/.*"test": *{\([^}]*\)}.*/\1/' "$probe" | sed -n 's/.*"accuracy": *\([-0-9.eE+]*\).*/\1/p' | head -1)
        sure=$(sed 's/.*"test": *{\([^}]*\)}.*/\1/' "$probe" | sed -n 's/.*"max_probability": *\([-0-9.eE+]*\).*/\1/p' | head -1)
        neighbours=$(percent "$(sed -n 's/.*"knn": *{\([^}]*\)}.*/\1/p' "$probe" | sed -n 's/.*"accuracy": *\([-0-9.eE+]*\).*/\1/p')")
      else
        accuracy=$(number "$metrics" test_accuracy) sure= neighbours=
      fi
      printf '| %s | %s | %s | %.4f | %.4f | %s | %s | %s | %.1f |\n' $loss "${run##*seed}" "$(wc -l <"$metrics")" "$first" \
        "$(number "$metrics" train_loss)" "$(percent "$accuracy")" "$neighbours" "${sure:+$(printf %.3f "$sure")}" \
        "$(awk '{ match($0, /"seconds": *[0-9.]+/); s += substr($0, RSTART + 10, RLENGTH - 10) } END { print s / 60 }' "$run/timings.jsonl")"
    done
  done
  for protocol in paper reference; do
    printf '\n## Explanations, protocol %s\n\n' $protocol
    sed -n '/^|/,$p' "$output/report-$protocol/report.md"
  done
} >"$page.part"
mv "$page.part" "$page"
echo "page: $page"
