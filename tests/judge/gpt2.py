#!/usr/bin/env python3
"""The training step of GPT-2 124M in PyTorch, on random ids: tests/bench/gpt2.sh holds microgpt against it.

    gpt2.py [--steps N] [--rows B] [--columns T] [--threads N] [--compile]

Prints one line of JSON with the seconds of the median and of the fastest step. Tuned as practitioners
would: fused attention, fused AdamW. Run it with OMP_WAIT_POLICY=passive on shared machines.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

LAYERS, HEADS, WIDTH, VOCAB = 12, 12, 768, 50257


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc, self.out = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            y.view(b, t, HEADS, c // HEADS).transpose(1, 2)
            for y in self.qkv(self.ln_1(x)).split(c, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.out(F.gelu(self.fc(self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, WIDTH), nn.Embedding(columns, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.ln_f = nn.LayerNorm(WIDTH)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        return F.linear(self.ln_f(self.layers(x)), self.wte.weight)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, value in (("steps", 5), ("rows", 4), ("columns", 64), ("threads", 0)):
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--compile", action="store_true")
    o = p.parse_args()
    if o.threads:
        torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    model = GPT2(o.columns)
    run = torch.compile(model) if o.compile else model
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-9, fused=True)
    ids = torch.randint(VOCAB, (o.rows, o.columns + 1))
    times = []
    for _ in range(2 + o.steps):  # the first two warm up
        begun = time.perf_counter()
        logits = run(ids[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - begun)
    times = times[2:]
    print(json.dumps({"parameters": sum(p.numel() for p in model.parameters()), "loss": loss.item(),
                      "seconds": statistics.median(times), "fastest": min(times)}))


if __name__ == "__main__":
    main()
