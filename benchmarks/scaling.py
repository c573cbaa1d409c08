"""What it costs to train on several devices: measured on this machine, and worked out for GPUs.

    python benchmarks/scaling.py measure chapter03_gan     milliseconds a step
    python benchmarks/scaling.py costs                     bytes and arithmetic of a step

`measure` trains on the CPU, under Linux, in turns: in one program on two cores (chapter 3 once more
with XLA); in one program with the CPU divided into two devices; in two programs with a core each;
and in one program with one core and half the batch, which is what each of the two computes. What
two programs take beyond that is communication, and waiting for each other.

`costs` counts the weights whose gradients are all-reduced in a step, and the arithmetic of the
networks' forward passes, by TensorFlow's profiler; a backward pass counts as two forward passes.
From these and the speeds below, which are assumed and not measured, it works out how long a GPU
computes and communicates in a step.
"""

import argparse
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
ROUNDS = 3
# Assumed: a GPU that reaches a third of 312 TFLOP/s; eight to a machine, connected by 200 GB/s; and
# eight machines, connected by 100 Gbit/s.
ARITHMETIC, WITHIN, BETWEEN, EACH_MACHINE, MACHINES = 100e12, 200e9, 12.5e9, 8, 8
SHORT = {  # flags of a short run, and its batch
    "chapter03_gan": (
        ["--preset", "book", "--iterations", "900", "--sample-interval", "300"],
        128,
    ),
    "chapter04_dcgan": (["--preset", "book", "--iterations", "30", "--sample-interval", "10"], 128),
    "chapter09_cyclegan": (
        ["--epochs", "3", "--sample-epochs", "1", "--evaluator-epochs", "1"],
        16,
    ),
}
MEASURED_BUT = ["--fid-images", "65"]  # what is not timed is kept short
SYSTEM = Path("/sys/devices/system/cpu")
LAST_LINES = 10  # of what a run that has failed says


def two_cores():
    """The numbers of two CPUs that are not siblings, which share the arithmetic of one core.

    Exits with a line if this program may not use two cores.
    """
    cores = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = SYSTEM / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        cores.setdefault(siblings.read_text() if siblings.exists() else cpu, cpu)
    if len(cores) < 2:
        sys.exit("this takes two CPU cores")
    return list(cores.values())[:2]


def ways_of(chapter, first, second):
    """By name: the CPUs and the flags of each program that trains together."""
    half = ["--batch-size", str(SHORT[chapter][1] // 2), "--distribute", "none"]
    xla = ["--no-xla"] if chapter == "chapter03_gan" else []  # it does not divide a step
    ways = {
        "one program, two cores": [({first, second}, ["--distribute", "none", *xla])],
        "two devices of one program": [({first, second}, ["--devices", "2", *xla])],
        "two programs, a core each": [({first}, xla), ({second}, xla)],
        "one program, one core, half the batch": [({first}, [*half, *xla])],
    }
    if xla:
        ways["one program, two cores, XLA"] = [({first, second}, ["--distribute", "none"])]
    return ways


def flags_of(chapter, flags, folder):
    """Those of a short run of train.py."""
    but = [] if chapter == "chapter09_cyclegan" else MEASURED_BUT
    short = [*SHORT[chapter][0], "--precision", "float32", *but, *flags]
    return [*short, "--output-dir", f"{folder}/run"]


def environments(count):
    """Of so many programs that train together, on this machine's CPU: without its GPUs, and without
    the cluster that this program may be part of."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    alone.pop("TF_CONFIG", None)
    alone["CUDA_VISIBLE_DEVICES"] = ""
    if count == 1:
        return [alone]
    servers = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    return [
        alone | {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task})}
        for task in tasks
    ]


def milliseconds(chapter, ways):
    """Of a step, in a new run: `ways` are the CPUs and the flags of each program.

    Exits with the last lines of each program if one of them fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        programs, logs = [], []
        for (cores, flags), environment in zip(ways, environments(len(ways)), strict=True):
            script = str(REPOSITORY / chapter / "train.py")
            logs.append(Path(folder, f"{len(logs)}.log"))
            with open(logs[-1], "w") as log:
                programs.append(
                    subprocess.Popen(
                        [sys.executable, script, *flags_of(chapter, flags, folder)],
                        env=environment,
                        stdout=subprocess.DEVNULL,
                        stderr=log,
                        preexec_fn=lambda cores=cores: os.sched_setaffinity(0, cores),
                    )
                )
        if any([program.wait() for program in programs]):
            said = [log.read_text(errors="replace").splitlines()[-LAST_LINES:] for log in logs]
            sys.exit("\n".join([f"{chapter}: a run has failed", *itertools.chain(*said)]))
        results = json.loads(Path(folder, "run", "results.json").read_text())
    return results["seconds_per_iteration"] * 1000


def measure(chapter, rounds):
    ways = ways_of(chapter, *two_cores())
    times = {way: [] for way in ways}
    for _ in range(rounds):
        for way, programs in ways.items():
            times[way].append(milliseconds(chapter, programs))
    for way, found in times.items():
        each = ", ".join(f"{time:.1f}" for time in found)
        print(f"{chapter:<20}{way:<40}{statistics.median(found):8.1f} ms   ({each})", flush=True)


def seconds_of_step(reduced, operations):
    """What a step takes of a GPU's arithmetic; of communication in a machine; and among all GPUs.

    An all-reduce in a ring of n GPUs moves 2 (n - 1) / n of the bytes.

    Args:
        reduced: bytes of the gradients that are all-reduced.
        operations: floating-point operations of a GPU.
    """
    within, among_all = (2 * (n - 1) / n for n in (EACH_MACHINE, MACHINES * EACH_MACHINE))
    return operations / ARITHMETIC, within * reduced / WITHIN, among_all * reduced / BETWEEN


def costs():
    """Prints, for some settings, all-reduced weights, and floating-point operations an image."""
    from chapter03_gan import networks as dense
    from chapter04_dcgan import networks as convolutional
    from chapter06_progan.networks import Discriminator, Generator
    from chapter09_cyclegan import networks as translating
    from common import cli

    cli.setup(0)

    def row(name, updated, passes, images):
        """`updated`: networks and their updates in a step; `passes`: operations an image."""
        reduced = 4 * sum(count * trainable(network) for network, count in updated)
        seconds = seconds_of_step(reduced, images * passes)
        print(
            f"{name:<30}{reduced / 2**20:8.1f} MiB{passes / 1e9:10.2f} GFLOP{images:8} images"
            + "".join(f"{each * 1e3:9.2f}" for each in seconds),
            flush=True,
        )

    print(
        "all-reduced in a step; an image; images a GPU; ms of arithmetic, of "
        f"{EACH_MACHINE} and of {MACHINES * EACH_MACHINE} GPUs"
    )
    g, d = dense.build_generator(), dense.build_discriminator()
    row("chapter 3, book", [(d, 2), (g, 1)], 9 * flops(d) + 4 * flops(g), 16)
    g, d = convolutional.build_generator(), convolutional.build_discriminator()
    row("chapter 4, book", [(d, 2), (g, 1)], 9 * flops(d) + 4 * flops(g), 16)
    for size in (256, 1024):
        levels = size.bit_length() - 2
        g = Generator(levels, 512, 3, total_filters=16_384, most_filters=512)
        d = Discriminator(levels, 3, total_filters=16_384, most_filters=512)
        one_g, one_d = of_level(g, levels, size), of_level(d, levels, size)
        # The critic: two forward passes, a third for the penalty with its gradients of gradients.
        row(
            f"chapter 6, paper, {size}×{size}",
            [(d, 1), (g, 1)],
            3 * (one_g + one_d) + one_g + 12 * one_d,
            4,
        )
    g = translating.build_resnet(3, 64, 9)
    d = translating.build_discriminator(3, 64, 70, True)
    at_256 = flops(g, 256), flops(d, 256)
    row("chapter 9, paper, 256×256", [(g, 2), (d, 2)], 18 * at_256[0] + 18 * at_256[1], 1)


def trainable(network):
    return sum(weight.shape.num_elements() for weight in network.trainable_variables)


def of_level(network, levels, size):
    """Operations of the forward pass at the last level, an image."""
    import tensorflow as tf

    shape = (1, network.latent_dim) if hasattr(network, "latent_dim") else (4, size, size, 3)
    return counted(lambda x: network(x, level=levels - 1), tf.TensorSpec(shape)) / shape[0]


def flops(network, size=None):
    """Operations of a network's forward pass, an image."""
    import tensorflow as tf

    shape = [1, *(size if axis is None else axis for axis in network.inputs[0].shape[1:])]
    return counted(lambda x: network(x, training=False), tf.TensorSpec(shape))


def counted(function, spec):
    import tensorflow as tf
    from tensorflow.python.profiler import model_analyzer, option_builder

    options = option_builder.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    graph = tf.function(function).get_concrete_function(spec).graph
    return model_analyzer.profile(graph, options=options).total_float_ops


def main():
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("what", choices=["measure", "costs"])
    flags.add_argument("chapters", nargs="*", metavar="CHAPTER", help=", ".join(SHORT))
    flags.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help=f"turns (default: {ROUNDS})"
    )
    arguments = flags.parse_args()
    for name in arguments.chapters:
        if name not in SHORT:
            flags.error(f"there is no chapter {name}; choose from {', '.join(SHORT)}")
    if arguments.rounds < 1:
        flags.error(f"--rounds {arguments.rounds} is less than 1")
    if arguments.what == "costs":
        costs()
        return
    for chapter in arguments.chapters or SHORT:
        measure(chapter, arguments.rounds)


if __name__ == "__main__":
    from common import cli

    cli.run(main)
