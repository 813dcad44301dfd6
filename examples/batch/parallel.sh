#!/bin/sh
# examples/batch/parallel.sh DEVICES SHARDS OUT
#
# Makes the shards of a batch on the cores of this machine with GNU parallel, each in OUT/shard-N with
# its own journal, and joins them in OUT/whole. If it was stopped, run the same command again: every
# shard continues where it stopped. With --sshlogin (see `man parallel`) shards run on other machines.
#
# CA   folder with ca.pem and ca.key.pem [ca]; make it first, or every shard makes its own
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

# Merge in the order of their numbers, so that the manifest has the order of the device list.
set --
for shard in $(seq "$shards"); do set -- "$@" "$out/shard-$shard"; done
exec deno run --no-prompt --allow-read --allow-write "$CLI" bulk merge "$@" \
  --devices "$devices" -o "$out/whole"
