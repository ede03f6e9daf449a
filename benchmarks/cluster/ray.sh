#!/usr/bin/env bash
# A Ray cluster of two nodes (two raylets of a core each on this machine) and a grid of six runs by hydra/launcher=ray. In the middle one
# node is killed: Ray begins its job again on the other. Then once more without retries: the job of the node that is killed has failed, and
# the same command with resume=true runs it. Ends with 0 only if all of this is seen; everything lives in a temporary folder and is
# ended at exit.
#   bash benchmarks/cluster/ray.sh              takes the Python of .venv; or PYTHON=...; it needs pip install 'malaria_exp[ray]'
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
ray=$(dirname "$PYTHON")/ray

say() { printf '\n== %s\n' "$*"; }
fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$work"/*.log >&2
  exit 1
}
wait_for() { # seconds, what, command ...
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "$what did not come within its time"
    sleep 0.5
  done
}

work=$(mktemp -d)
nodes=()
stop() {
  set +e
  if [ -n "${sweep:-}" ]; then kill "$sweep" 2> /dev/null; fi
  for pid in "${nodes[@]}"; do kill "$pid"; done 2> /dev/null
  for pid in "${nodes[@]}"; do timeout 30 tail --pid="$pid" -f /dev/null; done
  rm -rf "$work"
}
trap stop EXIT

export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$work/token" RAY_ADDRESS=127.0.0.1:6399
export MALARIA_EXP_CACHE="$work/cache" COLUMNS=130
head -c 32 /dev/urandom | sha256sum | cut -d' ' -f1 > "$work/token"
start_node() { # name, argument of ray start
  "$ray" start --block --num-cpus=1 --node-name="$1" "${@:2}" > "$work/$1.log" 2>&1 &
  nodes+=($!)
}
cluster_of() { [ "$("$ray" status 2> /dev/null | grep -c '^ 1 node_')" = "$1" ]; }
raylet_of() { pgrep -P "${nodes[$1]}" raylet; }

say "starting a cluster of two nodes"
start_node first --head --port=6399 --include-dashboard=false --temp-dir="$work/ray" --min-worker-port=20000 --max-worker-port=20099
wait_for 120 "the first node" cluster_of 1
start_node second --address="$RAY_ADDRESS" --min-worker-port=20100 --max-worker-port=20199
wait_for 120 "the second node" cluster_of 2
"$ray" --version
"$ray" status | sed -n '/^Active/,/^Pending/p; /^Total/,$p'

command=("$PYTHON" run.py -m hydra/launcher=ray model=lenet_sequential,lenet_functional model.image_size=32 dataset.infected_patients=8
  dataset.healthy_patients=3 dataset.cells_per_patient=8 batch_size=16 trainer.epochs=20 trainer.precision=float32 evaluation.resamples=20)
status() { sed -n 's/^  "status": "\(.*\)",$/\1/p' "$out/$1/status.json" 2> /dev/null || true; }
expect() { [ "$(status "$1")" = "$2" ] || fail "job $1 is '$(status "$1")', expected '$2'"; }
process() { sed -n 's/^  "pid": \([0-9]*\),$/\1/p' "$out/$1/status.json"; }
found_on() { # raylet: sets `job` to the one that trains on its node
  local path
  for path in "$out"/[0-9]*/; do
    job=$(basename "$path")
    if [ "$(status "$job")" = running ] && [ "$(wc -l < "$path/history.csv")" -gt 2 ] && [ "$(ps -o ppid= -p "$(process "$job")")" -eq "$1" ]; then
      return
    fi
  done
  return 1
}
kill_a_node_during() { # the grid's arguments: runs it, kills the second node while it trains a job, sets `code` and `job`
  echo "\$ ${command[*]} $* hydra.sweep.dir=$out"
  "${command[@]}" "$@" "hydra.sweep.dir=$out" > "$work/grid.log" 2>&1 &
  sweep=$!
  local raylet end=$((SECONDS + 300))
  raylet=$(raylet_of 1)
  until found_on "$raylet" 2> /dev/null; do
    [ $SECONDS -lt $end ] || fail "no job trains on the second node"
    sleep 0.2
  done
  echo "\$ kill -KILL $raylet     # the raylet of the second node, which trains job $job"
  kill -KILL "$raylet"
  code=0
  wait "$sweep" || code=$?
  sweep=
  sed 's/\x1b\[[0-9;]*m//g' "$work/grid.log"
}

say "a grid of six runs; the second node is killed"
out="$work/out/retried"
kill_a_node_during "seed=range(3)"
[ "$code" = 0 ] || fail "the grid ended with $code"
for number in 0 1 2 3 4 5; do expect $number done; done
[ "$(ls "$out/earlier")" = "$job-1" ] || fail "the first attempt at job $job was not kept"
grep -q '"status": "running"' "$out/earlier/$job-1/status.json" || fail "the first attempt at job $job ended by itself"

say "the second node comes back"
unset 'nodes[1]'
start_node second --address="$RAY_ADDRESS" --min-worker-port=20100 --max-worker-port=20199
wait_for 120 "the second node" cluster_of 2

say "a grid of four runs without retries; the second node is killed"
out="$work/out/resumed"
kill_a_node_during "seed=range(2)" hydra.launcher.retries=0
[ "$code" = 1 ] || fail "a multirun with a job that did not end well ended with $code"
expect "$job" failed
for number in 0 1 2 3; do [ "$number" = "$job" ] || expect $number done; done
(cd "$out" && ls -d [0-9] | grep -v "$job" | sed 's|$|/status.json|' | xargs sha256sum) > "$work/before"

say "the same command with resume=true"
echo "\$ ... resume=true"
"${command[@]}" "seed=range(2)" hydra.launcher.retries=0 "hydra.sweep.dir=$out" resume=true 2>&1 | sed 's/\x1b\[[0-9;]*m//g' | tee "$work/resumed.log"
for number in 0 1 2 3; do expect $number done; done
(cd "$out" && sha256sum --quiet -c "$work/before") || fail "a job that was done ran again"
grep -q '3 of 4 jobs .* are done; 1 to do' "$work/resumed.log" || fail "resume did not say what was left"

say "seen: the job of a node that died was begun again on the other; without retries, resume=true ran it"
