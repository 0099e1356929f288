#!/usr/bin/env python3
"""Optimizer muon against torch.optim.Muon (PyTorch 2.9 or newer) on ToyGPT, weights after each step.

    muon.py MICROGPT INI TEXT FOLDER

PyTorch iterates in bfloat16; told to do it in double here, it agrees closely, and as it is, within
what bfloat16 loses. Exits 77 where PyTorch has no Muon.
"""
import os
import sys
from unittest import mock

import torch

import parity
import toygpt

STEPS, LR, DECAY = 5, 1e-2, 0.1
CLOSE, CLOSE_BFLOAT16 = 1e-4, 0.15  # of the way that a tensor has moved


def is_hidden(name):
    return name.startswith("h.") and ".ln_" not in name and name.endswith(".weight")


class Parts:
    """q, k and v of every qkv matrix as parameters of their own, which PyTorch's Muon wants."""

    def __init__(self, model):
        self.whole = [p for name, p in model.named_parameters() if is_hidden(name)]
        self.count = [3 if "attn.qkv" in name else 1
                      for name, _ in model.named_parameters() if is_hidden(name)]
        self.parts = [torch.nn.Parameter(part.clone()) for p, n in zip(self.whole, self.count)
                      for part in p.detach().chunk(n)]

    def take_gradients(self):
        grads = [g for p, n in zip(self.whole, self.count) for g in p.grad.chunk(n)]
        for part, g in zip(self.parts, grads):
            part.grad = g.clone()

    def give_back(self):
        at = 0
        for p, n in zip(self.whole, self.count):
            p.data.copy_(torch.cat([part.detach() for part in self.parts[at:at + n]]))
            at += n


def theirs(start, text, sizes, words, exact):
    """The weights after each step of PyTorch's Muon and AdamW from the same start."""
    o = toygpt.options(["--data", text, "--crops", "philox", *sizes])
    data, model = toygpt.build(o)
    model.load_state_dict(start)
    hidden = Parts(model)
    rest = [(n, p) for n, p in model.named_parameters() if not is_hidden(n)]
    muon = torch.optim.Muon(hidden.parts, lr=LR, weight_decay=DECAY, **words)
    adamw = torch.optim.AdamW(
        [{"params": [p for _, p in rest if p.ndim > 1], "weight_decay": DECAY},
         {"params": [p for _, p in rest if p.ndim < 2], "weight_decay": 0.0}],
        lr=LR, betas=(0.9, 0.95), eps=1e-8)
    double = torch.Tensor.double
    for step in range(STEPS):
        model.zero_grad()
        x, y = toygpt.batch_of(data, step, o)
        toygpt.loss_of(model(x), y).backward()
        hidden.take_gradients()
        if exact:
            with mock.patch.object(torch, "bfloat16", torch.float64), \
                    mock.patch.object(torch.Tensor, "bfloat16", double):
                muon.step()
        else:
            muon.step()
        adamw.step()
        hidden.give_back()
        yield {n: p.detach().clone() for n, p in model.named_parameters()}


def compare(ours, name, options, words, text, small):
    settings, sizes = small
    run, _ = ours.train(name, STEPS, "--set", "optimizer.use=muon",
                        "--set", f"train.lr={LR}", "--set", f"train.weight_decay={DECAY}",
                        "--set", "scheduler.use=constant", "--set", "train.clip=0",
                        "--set", "train.checkpoint_every=1", "--set", f"train.keep={STEPS + 1}",
                        *settings, *(w for o in options for w in ("--set", "optimizer.muon." + o)))
    start = ours.weights(run, 0)
    for exact, limit in ((True, CLOSE), (False, CLOSE_BFLOAT16)):
        worst = 0.0
        for step, weights in enumerate(theirs(start, text, sizes, words, exact), 1):
            mine = ours.weights(run, step)
            for key, w in weights.items():
                if not exact and step > 1:
                    break  # from then on the gradients differ as well
                away = ((mine[key] - w).norm() / (w - start[key]).norm()).item()
                worst = max(worst, away)
                parity.check(away <= limit, f"{name}: {key} after step {step}: {away:.3g} away")
        print(f"muon {name}, {'double' if exact else 'bfloat16'}: weights {worst:.1e} away")


def main():
    if not hasattr(torch.optim, "Muon"):
        print(f"PyTorch {torch.__version__} has no Muon")
        sys.exit(77)
    program, ini, text, folder = sys.argv[1:]
    ours = parity.Ours(program, ini, text, os.path.join(folder, "muon"))
    values = {"layers": 2, "heads": 4, "embd": 32, "mlp": 128, "context": 16, "batch": 4}
    settings, sizes = [], []
    for key, value in values.items():
        settings += ["--set", f"{'train' if key == 'batch' else 'model'}.{key}={value}"]
        sizes += ["--" + key, str(value)]
    torch.set_num_threads(2)
    compare(ours, "match", ["adjust_lr=match_rms_adamw"], {"adjust_lr_fn": "match_rms_adamw"}, text,
            (settings, sizes))
    compare(ours, "original", ["adjust_lr=original", "nesterov=false", "ns_steps=3"],
            {"adjust_lr_fn": "original", "nesterov": False, "ns_steps": 3}, text, (settings, sizes))
    print(f"judge of muon: {parity.checks} checks")


if __name__ == "__main__":
    main()
