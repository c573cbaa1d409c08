#!/usr/bin/env bash
# One training on several machines of a Slurm cluster, one program a machine with all of its GPUs.
#
#     sbatch deploy/slurm.sh chapter06_progan --preset paper --dataset /shared/photos \
#         --no-smaller-batches --batch-size 32
#     sbatch --nodes=1 deploy/slurm.sh chapter09_cyclegan --preset paper --batch-size 4
#
# Submit it from the repository's folder, within an environment with requirements.txt and
# TensorFlow's GPU build (see "GPU" in the README). When a machine or a program fails, the job goes back into the queue, and then goes on from
# the last checkpoint. At its time limit Slurm ends the job: submit it again then, with the flags
# `--output-dir runs/CHAPTER/slurm-JOB` of the job before.
#
# Many small runs need no script, as one for each of ten seeds, each on a GPU of its own:
#
#     sbatch --array=0-9 --gpus=1 --wrap \
#         'python chapter03_gan/train.py --distribute none --seed $SLURM_ARRAY_TASK_ID'
#SBATCH --job-name=gans
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

chapter=${1:?usage: sbatch deploy/slurm.sh CHAPTER [FLAG...]}
shift
# One folder for the job, however often it is begun again; the first machine alone writes into it.
folder="runs/$chapter/slurm-${SLURM_JOB_ID:?is set by sbatch}"
mkdir -p "runs/$chapter"
export FAILED="$folder.failed"

# A wrong flag (2) or a traceback (1) would come again: whoever ends so, leaves a file that says so,
# since srun passes on the highest exit code of all, and the others' is 138 then.
# shellcheck disable=SC2016
program='"$@" || { code=$?; ((code > 2)) || touch "$FAILED"; exit "$code"; }'
status=0
srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" bash -c "$program" bash \
    python "$chapter/train.py" --resume auto --output-dir "$folder" "$@" || status=$?
# More than 128: a program was killed, or has told that another one has ended.
if ((status > 128 && ${SLURM_RESTART_COUNT:-0} < 20)) && [[ ! -e $FAILED ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
