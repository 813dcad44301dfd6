#!/bin/sh
# examples/batch/parallel.sh DEVICES SHARDS OUT
#
# The shards of a batch on the cores of this machine, by GNU parallel: each into OUT/shard-N with a
# journal of its own, then joined in OUT/whole. When it was stopped, run the same line again: every
# shard goes on where it was. With --sshlogin (see `man parallel`) the shards run on other machines.
#
# CA   folder with ca.pem and ca.key.pem [ca]; make it first, or every shard would make its own
# CLI  where cli.ts is [cli.ts]
# JOBS shards at a time [one for each core]
set -eu
devices=$1 shards=$2 out=$3
: "${CA:=ca}" "${CLI:=cli.ts}" "${JOBS:=100%}"
test -f "$CA/ca.pem" || { echo "error: no CA in $CA; make one with the ca command" >&2; exit 1; }
mkdir -p "$out"

seq "$shards" | parallel --will-cite --jobs "$JOBS" --joblog "$out/joblog" --line-buffer --tag \
  deno run --no-prompt --allow-read --allow-write "$CLI" bulk \
  --devices "$devices" --ca "$CA" --shard "{}/$shards" --workers 1 -o "$out/shard-{}"

# In the order of their numbers, so that the manifest is in the order of the device list.
set --
for shard in $(seq "$shards"); do set -- "$@" "$out/shard-$shard"; done
exec deno run --no-prompt --allow-read --allow-write "$CLI" bulk merge "$@" \
  --devices "$devices" -o "$out/whole"
