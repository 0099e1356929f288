#!/usr/bin/env python3
"""The same weights and the same windows in microgpt and in PyTorch: losses and gradients agree.

    parity.py MICROGPT INI TEXT FOLDER

The gradient of microgpt is what one step of plain descent takes off its weights; the learning rate
is large, so that rounding of the weights does not drown it.
"""
import json
import os
import subprocess
import sys

import torch
from safetensors.torch import load_file

import toygpt

GRADIENT, LOSS, LATER_LOSS = 1e-4, 1e-5, 1e-3
checks = 0


def check(good, words):
    global checks
    checks += 1
    if not good:
        sys.exit("FAIL: " + words)


class Ours:
    """Runs of the program, each in a folder of its own."""

    def __init__(self, program, ini, text, folder):
        self.command = [program, "train", "-c", ini, "-q", "--samples", "0",
                        "--set", "dataset.path=" + text, "--set", "train.val_batches=1"]
        self.folder = folder

    def train(self, name, steps, *words):
        run = os.path.join(self.folder, name)
        subprocess.run([*self.command, "--dir", run, "--steps", str(steps), *words], check=True,
                       stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
        return run, [line["loss"] for line in lines if "loss" in line]

    @staticmethod
    def weights(run, step):
        return load_file(os.path.join(run, "checkpoints", f"step-{step}", "model.safetensors"))


def gradients(ours, words, sizes, text):
    """One step: loss and the gradient of every tensor."""
    lr = 1000.0
    run, losses = ours.train("one", 1, "--set", "optimizer.use=sgd", "--set", f"train.lr={lr}",
                             "--set", "scheduler.use=constant", "--set", "train.weight_decay=0",
                             "--set", "train.clip=0", *words)
    before, after = ours.weights(run, 0), ours.weights(run, 1)
    o = toygpt.options(["--data", text, "--crops", "philox", *sizes])
    data, model = toygpt.build(o)
    model.load_state_dict(before)
    x, y = toygpt.batch_of(data, 0, o)
    loss = toygpt.loss_of(model(x), y)
    loss.backward()
    check(abs(loss.item() - losses[0]) <= LOSS, f"loss {losses[0]}, PyTorch {loss.item()}")
    worst = 0.0
    for name, p in model.named_parameters():
        mine = (before[name].double() - after[name].double()) / lr
        away = ((mine - p.grad).norm() / p.grad.norm()).item()
        worst = max(worst, away)
        check(away <= GRADIENT, f"gradient of {name}: {away:.3g} away, relative")
    print(f"loss {abs(loss.item() - losses[0]):.1e} and gradients {worst:.1e} away")
    return before


def hundred_steps(ours, start, words, sizes, text):
    """The recipe itself from the same weights on the same windows: every loss."""
    steps = 100
    losses = ours.train("many", steps, "--val-every", "0", *words)[1]
    check(len(losses) == steps, f"{len(losses)} losses")
    o = toygpt.options(["--data", text, "--crops", "philox", "--steps", str(steps), *sizes])
    data, model = toygpt.build(o)
    model.load_state_dict(start)
    optimizer = toygpt.make_optimizer(model, o)
    worst = 0.0
    for step, loss in enumerate(losses):
        batch = toygpt.batch_of(data, step, o)
        theirs = toygpt.train_step(model, optimizer, batch, toygpt.rate(step, o), o).item()
        worst = max(worst, abs(theirs - loss))
        check(worst <= LATER_LOSS, f"loss of step {step + 1}: {loss}, PyTorch {theirs}")
    print(f"{steps} losses {worst:.1e} away")


def main():
    ours = Ours(*sys.argv[1:])
    text = sys.argv[3]
    small = {"layers": 2, "heads": 4, "embd": 32, "mlp": 128, "context": 16, "batch": 4}
    words, sizes = [], []
    for key, value in small.items():
        words += ["--set", f"{'train' if key == 'batch' else 'model'}.{key}={value}"]
        sizes += ["--" + key, str(value)]
    torch.set_num_threads(2)
    start = gradients(ours, words, sizes, text)
    hundred_steps(ours, start, words, sizes, text)
    ours.folder = os.path.join(ours.folder, "full")
    gradients(ours, [], [], text)
    print(f"judge: {checks} checks")


if __name__ == "__main__":
    main()
