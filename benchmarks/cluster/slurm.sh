#!/usr/bin/env bash
# A real Slurm on this one machine (Debian, as root) and a grid of six runs by hydra/launcher=submitit_slurm. In the middle one job is
# canceled, one killed without a word, and one taken off its node and queued again, as when a node dies or a job of higher priority
# comes. Then the same command with resume=true, which runs the first two only. Ends with 0 only if all of this is seen; everything
# lives in a temporary folder and is ended at exit.
#   bash benchmarks/cluster/slurm.sh            takes the Python of .venv; or PYTHON=...; it needs pip install 'malaria_exp[submitit]'
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
export DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin"

say() { printf '\n== %s\n' "$*"; }
fail() {
  echo "FAILED: $*" >&2
  [ -n "${work:-}" ] && tail -n 5 "$work"/*.log >&2
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

[ "$(id -u)" = 0 ] || fail "Slurm's daemons are started as root"
if ! command -v slurmctld slurmd slurmdbd munged mariadbd > /dev/null; then
  say "installing Debian's Slurm, munge and MariaDB (whose accounting tells how jobs ended)"
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client slurmdbd munge mariadb-server > /dev/null
fi

work=$(mktemp -d)
host=$(hostname -s)
pids=()
stop() {
  set +e
  if [ -n "${sweep:-}" ]; then kill "$sweep" 2> /dev/null; fi
  if [ -e "$work/slurm.conf" ]; then
    scancel --user=root
    for _ in $(seq 40); do
      [ -z "$(squeue -h)" ] && ! pgrep slurmstepd > /dev/null && break
      sleep 0.5
    done
  fi 2> /dev/null
  for pid in $(printf '%s\n' "${pids[@]}" | tac); do kill "$pid" 2> /dev/null; done
  for pid in "${pids[@]}"; do timeout 20 tail --pid="$pid" -f /dev/null; kill -9 "$pid" 2> /dev/null; done
  rm -rf "$work"
}
trap stop EXIT

say "starting munge, MariaDB, slurmdbd, slurmctld and slurmd in $work"
chmod 755 "$work"
mkdir -m 755 "$work/munge" "$work/state" "$work/spool" "$work/db" "$work/out"
dd if=/dev/urandom of="$work/munge.key" bs=1024 count=1 status=none
chmod 600 "$work/munge.key"
munged --foreground --force --key-file="$work/munge.key" --socket="$work/munge/socket" --pid-file="$work/munge.pid" \
  --log-file="$work/munge.log" --seed-file="$work/munge.seed" 2> /dev/null &
pids+=($!)
mariadb-install-db --no-defaults --user=root --datadir="$work/db" --auth-root-authentication-method=normal > /dev/null 2>&1
mariadbd --no-defaults --user=root --datadir="$work/db" --socket="$work/db.socket" --bind-address=127.0.0.1 --port=16806 \
  --pid-file="$work/db.pid" --innodb-buffer-pool-size=64M > "$work/db.log" 2>&1 &
pids+=($!)
wait_for 60 MariaDB mariadb --no-defaults --socket="$work/db.socket" -u root -e 'select 1'
mariadb --no-defaults --socket="$work/db.socket" -u root \
  -e "create database slurm; create user slurm@'%' identified by 'slurm'; create user slurm@localhost identified by 'slurm'; grant all on slurm.* to slurm@'%'; grant all on slurm.* to slurm@localhost;"

cat > "$work/slurmdbd.conf" << END
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
DbdHost=localhost
DbdPort=16819
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=16806
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
LogFile=$work/slurmdbd.log
PidFile=$work/slurmdbd.pid
END
chmod 600 "$work/slurmdbd.conf"
cat > "$work/slurm.conf" << END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket,cred_expire=5
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=16819
AccountingStoragePass=$work/munge/socket
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 - 512)) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF="$work/slurm.conf"
slurmdbd -D > /dev/null 2>&1 &
pids+=($!)
wait_for 60 slurmdbd sacctmgr -n list cluster
sacctmgr -i add cluster one > /dev/null 2>&1 || true
slurmctld -D > /dev/null 2>&1 &
pids+=($!)
slurmd -D > /dev/null 2>&1 &
pids+=($!)
wait_for 60 "an idle node" bash -c 'sinfo -h -o %t | grep -q idle'
slurmctld -V
sinfo

# Two at a time, as each job takes one of two cores.
out="$work/out/grid"
command=("$PYTHON" run.py -m hydra/launcher=submitit_slurm hydra.launcher.cpus_per_task=1 hydra.launcher.mem_gb=null
  model=lenet_sequential,lenet_functional "seed=range(3)" model.image_size=32 dataset.infected_patients=8 dataset.healthy_patients=3
  dataset.cells_per_patient=8 batch_size=16 trainer.epochs=20 trainer.precision=float32 evaluation.resamples=20 "hydra.sweep.dir=$out")
export MALARIA_EXP_CACHE="$work/cache" COLUMNS=130
status() { sed -n 's/^  "status": "\(.*\)",$/\1/p' "$out/$1/status.json" 2> /dev/null || true; }
expect() { [ "$(status "$1")" = "$2" ] || fail "job $1 is '$(status "$1")', expected '$2'"; }
trains() { [ "$(status "$1")" = running ] && [ "$(wc -l < "$out/$1/history.csv")" -gt 2 ]; }

say "a grid of six runs as one Slurm array"
echo "\$ ${command[*]}"
"${command[@]}" > "$work/first.log" 2>&1 &
sweep=$!
wait_for 300 "training of job 1" trains 1
squeue
array=$(squeue -h -o %F | head -1)
do_to() { # job, command ...: when the job trains
  wait_for 300 "training of job $1" trains "$1"
  echo "\$ ${*:2}"
  "${@:2}"
}
process() { sed -n 's/^  "pid": \([0-9]*\),$/\1/p' "$out/$1/status.json"; }
do_to 1 scancel "${array}_1"
wait_for 300 "training of job 2" trains 2
do_to 2 kill -KILL "$(process 2)" # as the kernel does when memory is short
do_to 3 scontrol requeue "${array}_3"
code=0
wait "$sweep" || code=$?
sweep=
cat "$work/first.log"
[ "$code" = 1 ] || fail "a multirun with two jobs that did not end well ended with $code"
for job in 0 3 4 5; do expect $job done; done
expect 1 interrupted
expect 2 failed
[ "$(ls "$out/earlier")" = 3-1 ] || fail "the first attempt at job 3 was not kept"
sacct -X -n -D -o JobID%12,State%24,Elapsed,NodeList%20
sha256sum "$out"/[0345]/status.json > "$work/before"

say "the same command with resume=true"
echo "\$ ... resume=true"
"${command[@]}" resume=true 2>&1 | tee "$work/second.log"
for job in 0 1 2 3 4 5; do expect $job done; done
sha256sum --quiet -c "$work/before" || fail "a job that was done ran again"
grep -q '4 of 6 jobs .* are done; 2 to do' "$work/second.log" || fail "resume did not say what was left"
[ "$(ls "$out/earlier" | xargs)" = "1-1 2-1 3-1" ] || fail "the earlier attempts were not kept"
sacct -X -n -D -o JobID%12,State%24,Elapsed,NodeList%20

say "seen: one job canceled, one killed, one queued again by Slurm and done; two more runs to finish all six"
