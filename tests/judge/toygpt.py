#!/usr/bin/env python3
"""ToyGPT in PyTorch: the second recipe, written from its description, to hold microgpt against.

A model of its own kind: the same tensors under the same names as in microgpt's checkpoints, so
that weights can be exchanged as safetensors; trained as practitioners train it. By default it draws
windows with PyTorch's generator; with --crops philox the same windows as microgpt does.

    toygpt.py --data FILE [--steps N] [--save FILE]     trains, validates, prints what it costs
    toygpt.py --data FILE --time N                      times N steps: one line of JSON
    toygpt.py --data FILE --generate N                  times the writing of N characters
"""
import argparse
import json
import math
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """q k v in one matrix without bias; causal; scaled by 1 / sqrt(head size)."""

    def __init__(self, o):
        super().__init__()
        self.heads, self.plain = o.heads, o.attention == "plain"
        self.qkv = nn.Linear(o.embd, 3 * o.embd, bias=False)
        self.proj = nn.Linear(o.embd, o.embd)
        mask = torch.ones(o.context, o.context).tril() == 0
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            y.view(b, t, self.heads, c // self.heads).transpose(1, 2)
            for y in self.qkv(x).split(c, dim=2)
        )
        if self.plain:  # T x T materialised, as tutorials have it
            a = q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5
            y = a.masked_fill(self.mask[:t, :t], -math.inf).softmax(dim=-1) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(b, t, c))


class MLP(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.fc = nn.Linear(o.embd, o.mlp)
        self.proj = nn.Linear(o.mlp, o.embd)

    def forward(self, x):
        return self.proj(F.gelu(self.fc(x)))  # the exact erf form


class Layer(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(o.embd), Attention(o)
        self.ln_2, self.mlp = nn.LayerNorm(o.embd), MLP(o)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class ToyGPT(nn.Module):
    """Pre-norm GPT with an untied head; PyTorch's own initialisation is the recipe's."""

    def __init__(self, o, vocab):
        super().__init__()
        self.context = o.context
        self.wte, self.wpe = nn.Embedding(vocab, o.embd), nn.Embedding(o.context, o.embd)
        self.h = nn.ModuleList(Layer(o) for _ in range(o.layers))
        self.ln_f, self.lm_head = nn.LayerNorm(o.embd), nn.Linear(o.embd, vocab)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for layer in self.h:
            x = layer(x)
        return self.lm_head(self.ln_f(x))


def loss_of(logits, targets):
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


# ---- data ----


class Text:
    """One stream of characters; the first 90 % train."""

    def __init__(self, path, split=0.9):
        text = open(path, encoding="utf-8", newline="").read()
        self.chars = sorted(set(text))
        places = {c: i for i, c in enumerate(self.chars)}
        ids = torch.tensor([places[c] for c in text])
        n = int(split * len(ids))
        self.parts = {"train": ids[:n], "valid": ids[n:]}

    def windows(self, part, starts, context):
        ids = self.parts[part]
        x = torch.stack([ids[s : s + context] for s in starts])
        y = torch.stack([ids[s + 1 : s + context + 1] for s in starts])
        return x, y

    def random(self, part, rows, context):
        starts = torch.randint(len(self.parts[part]) - context, (rows,))
        return self.windows(part, starts, context)

    def philox(self, seed, step, rows, context):
        """The windows of microgpt's training step."""
        places = len(self.parts["train"]) - context
        starts = [draw_below(seed, step, 1, 0, row, places) for row in range(rows)]
        return self.windows("train", starts, context)


def philox4x32(c, k0, k1):
    """Salmon, Moraes, Dror, Shaw 2011: ten rounds."""
    word = 0xFFFFFFFF
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = (b >> 32 ^ c[1] ^ k0, b & word, a >> 32 ^ c[3] ^ k1, a & word)
        k0, k1 = k0 + 0x9E3779B9 & word, k1 + 0xBB67AE85 & word
    return c


def draw_below(seed, step, purpose, layer, i, n):
    c = (i & 0xFFFFFFFF, i >> 32, step, purpose << 16 | layer)
    v = philox4x32(c, seed & 0xFFFFFFFF, seed >> 32)
    return (v[1] << 32 | v[0]) * n >> 64


# ---- training ----


def rate(step, o):
    """Linear warmup, then half a cosine down to a tenth."""
    if step < o.warmup:
        return o.lr * (step + 1) / o.warmup
    share = (step - o.warmup) / max(1, o.total - o.warmup)
    return o.floor + 0.5 * (1 + math.cos(math.pi * share)) * (o.lr - o.floor)


def make_optimizer(model, o):
    """Decay for tensors of two or more dimensions only."""
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": o.decay},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=o.lr, betas=(0.9, 0.999), eps=1e-8, fused=o.fused or None)


def train_step(model, optimizer, batch, lr, o):
    for group in optimizer.param_groups:
        group["lr"] = lr
    with torch.autocast("cpu", torch.bfloat16, enabled=o.autocast):
        logits = model(batch[0])
    loss = loss_of(logits, batch[1])
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


@torch.no_grad()
def evaluate(model, data, o):
    """Mean loss over random windows of each of o.val_parts."""
    state = torch.random.get_rng_state()
    means = {}
    for part in o.val_parts:
        torch.manual_seed(o.seed + 1)
        losses = []
        for _ in range(o.val_batches):
            x, y = data.random(part, o.batch, o.context)
            losses.append(loss_of(model(x), y).item())
        means[part] = statistics.fmean(losses)
    torch.random.set_rng_state(state)
    return means


@torch.no_grad()
def generate(model, data, n):
    """Characters drawn one at a time, the whole window computed anew for each."""
    ids = torch.zeros((1, 1), dtype=torch.long)
    for _ in range(n):
        logits = model(ids[:, -model.context :])[:, -1]
        ids = torch.cat((ids, torch.multinomial(logits.softmax(-1), 1)), dim=1)
    return "".join(data.chars[i] for i in ids[0].tolist())


def batch_of(data, step, o):
    if o.crops == "philox":
        return data.philox(o.seed, step, o.batch, o.context)
    return data.random("train", o.batch, o.context)


def time_steps(model, data, o):
    """Seconds of each step, batches included, after some that warm up (and compile)."""
    optimizer = make_optimizer(model, o)
    run = torch.compile(model) if o.compile else model
    times = []
    for step in range(o.warm + o.time):
        begun = time.perf_counter()
        loss = train_step(run, optimizer, batch_of(data, step, o), rate(step, o), o)
        times.append(time.perf_counter() - begun)
    times = times[o.warm :]
    return {"seconds": statistics.median(times), "fastest": min(times), "loss": loss.item()}


def train(model, data, o):
    optimizer = make_optimizer(model, o)
    run = torch.compile(model) if o.compile else model
    best, begun = math.inf, time.perf_counter()
    for step in range(o.steps):
        if o.val_every and (step % o.val_every == 0 or step == o.steps - 1):
            losses = evaluate(model, data, o)
            best = min(best, losses.get("valid", math.inf))
            print(json.dumps({"step": step, **{part + "_loss": losses[part] for part in losses},
                              "seconds": time.perf_counter() - begun}), flush=True)
        loss = train_step(run, optimizer, batch_of(data, step, o), rate(step, o), o)
        if o.log:
            print(json.dumps({"step": step + 1, "loss": loss.item()}), flush=True)
    print(json.dumps({"steps": o.steps, "best_val_loss": best}))


def options(words=None):
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--data", required=True)
    for name, value in (("layers", 8), ("heads", 8), ("embd", 128), ("mlp", 512), ("context", 128),
                        ("batch", 32), ("steps", 5000), ("warmup", 100), ("val-every", 100),
                        ("val-batches", 200), ("seed", 1337), ("threads", 0), ("time", 0),
                        ("warm", 3), ("generate", 0)):
        p.add_argument("--" + name, type=int, default=value)
    for name, value in (("lr", 1e-3), ("floor", 1e-4), ("decay", 0.1)):
        p.add_argument("--" + name, type=float, default=value)
    p.add_argument("--total", type=int, help="steps of the schedule; else --steps")
    p.add_argument("--crops", choices=("torch", "philox"), default="torch")
    p.add_argument("--attention", choices=("fused", "plain"), default="fused")
    p.add_argument("--val-parts", nargs="+", choices=("train", "valid"), default=["train", "valid"])
    p.add_argument("--weights", help="safetensors to start from")
    p.add_argument("--save", help="safetensors to end with")
    for name in ("compile", "autocast", "fused", "log"):
        p.add_argument("--" + name, action="store_true")
    o = p.parse_args(words)
    o.total = o.total or o.steps
    return o


def build(o):
    """The data and a model on them."""
    if o.threads:
        torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    data = Text(o.data)
    model = ToyGPT(o, len(data.chars))
    if o.weights:
        from safetensors.torch import load_file
        model.load_state_dict(load_file(o.weights))
    return data, model


def main():
    o = options()
    data, model = build(o)
    if o.time:
        print(json.dumps(time_steps(model, data, o)))
    elif o.generate:
        generate(model, data, 10)
        begun = time.perf_counter()
        text = generate(model, data, o.generate)
        print(json.dumps({"seconds": time.perf_counter() - begun, "text": text}))
    else:
        train(model, data, o)
    if o.save:
        from safetensors.torch import save_file
        save_file(model.state_dict(), o.save)


if __name__ == "__main__":
    main()
