#!/usr/bin/env python3
"""The same weights and the same windows in microgpt and in PyTorch: logits, losses and gradients agree.

    parity.py MICROGPT INI TEXT FOLDER

The weights are PyTorch's: random ones, gains and biases too, which go into a checkpoint of ours as
safetensors. The gradient of microgpt is what one step of plain descent takes off its weights; the
learning rate is large, so that rounding of the weights does not drown it.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys

import torch
from safetensors.torch import load_file, save_file

import toygpt

LOGIT, LOSS, GRADIENT, LATER_LOSS = 1e-4, 1e-5, 1e-4, 1e-3
checks = 0


def check(good, words):
    global checks
    checks += 1
    if not good:
        sys.exit("FAIL: " + words)


class Ours:
    """Runs of the program, each in a folder of its own."""

    def __init__(self, program, ini, text, folder):
        self.program, self.ini, self.folder = program, ini, folder
        self.data = ["--set", "dataset.path=" + text, "--set", "train.val_batches=1"]

    def train(self, name, steps, *words):
        run = os.path.join(self.folder, name)
        subprocess.run([self.program, "train", "-c", self.ini, "-q", "--samples", "0", *self.data,
                        "--dir", run, "--steps", str(steps), *words], check=True,
                       stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
        return run, [line["loss"] for line in lines if "loss" in line]

    def logits(self, run):
        """Of the first batch of validation: ids, targets, logits; and the loss that eval prints."""
        path = os.path.join(run, "logits.safetensors")
        out = subprocess.run([self.program, "eval", "--dir", run, "--json", "--logits", path,
                              "--set", "train.val_train=false"], check=True, capture_output=True)
        return load_file(path), json.loads(out.stdout)["val_loss"]

    @staticmethod
    def weights(run, step):
        return load_file(os.path.join(run, "checkpoints", f"step-{step}", "model.safetensors"))

    @staticmethod
    def put_weights(run, tensors):
        """The run begins at step 0, with these."""
        folder = os.path.join(run, "checkpoints", "step-0")
        for link in "latest", "best":
            os.remove(os.path.join(run, link))
            os.symlink("checkpoints/step-0", os.path.join(run, link))
        shutil.rmtree(os.path.join(run, "checkpoints", "step-1"))
        path = os.path.join(folder, "model.safetensors")
        save_file(tensors, path)
        data = open(path, "rb").read()
        path = os.path.join(folder, "manifest.json")
        manifest = json.load(open(path))
        manifest["files"]["model.safetensors"] = {"size": len(data),
                                                  "sha256": hashlib.sha256(data).hexdigest()}
        with open(path, "w") as file:
            json.dump(manifest, file)


def random_weights(model):
    """Large enough that a wrong gain, bias or scale shows in the logits."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.normal_(1.0 if name.endswith("weight") and p.dim() == 1 else 0.0, 0.1)


def one_step(ours, words, sizes, text):
    """Weights of PyTorch's in both: logits, loss and the gradient of every tensor. Returns what ours
    had drawn itself."""
    lr = 1000.0
    words = ["--set", "optimizer.use=sgd", "--set", f"train.lr={lr}",
             "--set", "scheduler.use=constant", "--set", "train.weight_decay=0",
             "--set", "train.clip=0", *words]
    o = toygpt.options(["--data", text, "--crops", "philox", *sizes])
    data, model = toygpt.build(o)
    random_weights(model)
    run, _ = ours.train("one", 1, *words)
    first = ours.weights(run, 0)
    ours.put_weights(run, model.state_dict())

    seen, val_loss = ours.logits(run)
    x, y = seen["ids"].long(), seen["targets"].long()
    theirs = model(x).detach()
    logit = (seen["logits"] - theirs).abs().max().item()
    check(seen["logits"].shape == (o.batch, o.context, len(data.chars)), "shape of the logits")
    check(theirs.std() > 0.3, "logits that do not tell ids apart")
    check(logit <= LOGIT, f"logits {logit:.3g} away")
    away = abs(toygpt.loss_of(theirs, y).item() - val_loss)
    check(away <= LOSS, f"validation loss {away:.3g} away")

    losses = ours.train("one", 1, "--resume", *words)[1]
    before, after = ours.weights(run, 0), ours.weights(run, 1)
    x, y = toygpt.batch_of(data, 0, o)
    loss = toygpt.loss_of(model(x), y)
    loss.backward()
    check(len(losses) == 1 and abs(loss.item() - losses[0]) <= LOSS,
          f"loss {losses}, PyTorch {loss.item()}")
    worst = 0.0
    for name, p in model.named_parameters():
        check(torch.equal(before[name], p), f"{name} is not what was put there")
        mine = (before[name].double() - after[name].double()) / lr
        away = ((mine - p.grad).norm() / p.grad.norm()).item()
        worst = max(worst, away)
        check(away <= GRADIENT, f"gradient of {name}: {away:.3g} away, relative")
    print(f"logits {logit:.1e}, loss {abs(loss.item() - losses[0]):.1e}, gradients {worst:.1e} away")
    return first


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
    start = one_step(ours, words, sizes, text)
    hundred_steps(ours, start, words, sizes, text)
    ours.folder = os.path.join(ours.folder, "full")
    start = one_step(ours, [], [], text)
    if os.environ.get("MGPT_JUDGE") == "full":  # minutes
        hundred_steps(ours, start, [], [], text)
    print(f"judge: {checks} checks")


if __name__ == "__main__":
    main()
