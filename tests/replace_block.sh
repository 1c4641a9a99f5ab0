#!/usr/bin/env bash
# Replaces what stands between the lines <!-- NAME --> and <!-- /NAME --> of FILE by stdin.
# Run: tests/replace_block.sh FILE NAME <TEXT
set -euo pipefail
file=$1 name=$2
grep -qx "<!-- $name -->" "$file" && grep -qx "<!-- /$name -->" "$file" || { echo "error: $file has no block $name" >&2; exit 1; }
text=$(mktemp)
trap 'rm -f "$text"' EXIT
cat >"$text"
awk -v name="$name" -v text="$text" '
  $0 == "<!-- /" name " -->" { while ((getline line < text) > 0) print line; inside = 0 }
  !inside { print }
  $0 == "<!-- " name " -->" { inside = 1 }' "$file" >"$file.part" && mv "$file.part" "$file"
