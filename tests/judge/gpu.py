#!/usr/bin/env python3
"""Training steps of PyTorch on a GPU, for tests/bench/gpu.sh to hold microgpt against.

    gpu.py --model toygpt|gpt2|names [--rows B] [--steps N] [--format fp32|tf32|bf16|fp16]
           [--compile] [--device cuda]

Prints one line of JSON: the mean seconds of a step, without waiting for the device in between. As
practitioners would: fused attention, fused AdamW, batches that are on the device already. `names` is
a model of the default recipe's size, not its equal.
"""
import argparse
import json
import os
import sys
import time

import torch
from torch.nn import functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpt2
import toygpt

SHAPES = {  # layers, heads, embd, mlp, context, vocab
    "toygpt": (8, 8, 128, 512, 128, 65),
    "names": (1, 4, 16, 64, 8, 27),
}


def make(o):
    if o.model == "gpt2":
        return gpt2.GPT2(1024), 1024, 50257
    layers, heads, embd, mlp, context, vocab = SHAPES[o.model]
    words = ["--data", "-", "--layers", str(layers), "--heads", str(heads), "--embd", str(embd),
             "--mlp", str(mlp), "--context", str(context)]
    return toygpt.ToyGPT(toygpt.options(words), vocab), context, vocab


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--model", choices=("toygpt", "gpt2", "names"), required=True)
    p.add_argument("--rows", type=int, default=32)
    p.add_argument("--steps", type=int, default=50)
    p.add_argument("--format", choices=("fp32", "tf32", "bf16", "fp16"), default="fp32")
    p.add_argument("--device", default="cuda")
    p.add_argument("--compile", action="store_true")
    o = p.parse_args()
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high" if o.format == "tf32" else "highest")
    model, columns, vocab = make(o)
    model.to(o.device)
    run = torch.compile(model) if o.compile else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(o.format)
    scaler = torch.amp.GradScaler(o.device, enabled=o.format == "fp16")
    ids = torch.randint(vocab, (o.rows, columns + 1), device=o.device)

    def step():
        with torch.autocast(o.device, half or torch.bfloat16, enabled=half is not None):
            logits = run(ids[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    def wait():
        if o.device == "cuda":
            torch.cuda.synchronize()

    for _ in range(5):  # warms up, compiles
        step()
    wait()
    begun = time.perf_counter()
    for _ in range(o.steps):
        loss = step()
    wait()
    print(json.dumps({"seconds": (time.perf_counter() - begun) / o.steps,
                      "tokens": o.rows * columns, "loss": loss.item(),
                      "torch": torch.__version__}))


if __name__ == "__main__":
    main()
