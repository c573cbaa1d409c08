#!/usr/bin/env bash
# One training on several machines of a Slurm cluster, one program a machine with all of its GPUs.
#
#     sbatch deploy/slurm.sh chapter06_progan --preset paper --dataset /shared/photos \
#         --no-smaller-batches --batch-size 32
#
# Submit it from the repository's folder. When a machine or a program fails, the job goes back into
# the queue, and then goes on from the last checkpoint.
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

status=0
srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" python "$chapter/train.py" \
    --distribute multi-worker --resume auto --output-dir "$folder" "$@" || status=$?
# More than 128: a program was killed, or has told that another one has ended. A wrong flag is 2.
# Slurm ends the job at its time limit without this line; submit it again then.
if ((status > 128 && ${SLURM_RESTART_COUNT:-0} < 20)); then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
