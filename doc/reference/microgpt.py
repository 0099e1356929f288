#!/usr/bin/env python3
"""A GPT, trained and sampled, in one file of plain Python.

This is the whole algorithm of microgpt's default recipe and nothing else: no library, no tensor, no
speed. Every number is a `Value` that remembers how it was made, so that the chain rule can be walked
backwards through all of them. The C program does the same sums in the same order of random draws, so
with `backend = ref` and `precision = fp64` it prints the same lines as this file.
"""

import argparse
import math
import os
import random

HERE = os.path.dirname(os.path.abspath(__file__))
LAYERS, HEADS, EMBD, MLP, CONTEXT = 1, 4, 16, 64, 8
EPS, STD = 1e-5, 0.02


class Value:
    """A number, what it was computed from, and d(result)/d(input) for each of those inputs."""

    __slots__ = ("x", "grad", "inputs", "slopes")

    def __init__(self, x, inputs=(), slopes=()):
        self.x, self.grad, self.inputs, self.slopes = x, 0.0, inputs, slopes

    def __add__(self, other):
        return Value(self.x + other.x, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        return Value(self.x * other.x, (self, other), (other.x, self.x))

    def times(self, c):
        return Value(self.x * c, (self,), (c,))

    def exp(self):
        y = math.exp(self.x)
        return Value(y, (self,), (y,))

    def log(self):
        return Value(math.log(self.x), (self,), (1.0 / self.x,))

    def power(self, n):
        return Value(self.x**n, (self,), (n * self.x ** (n - 1),))

    def relu2(self):
        """max(0, x) squared"""
        r = max(0.0, self.x)
        return Value(r * r, (self,), (2.0 * r,))


def total(values):
    """The sum of many values, as one node."""
    return Value(sum(v.x for v in values), tuple(values), (1.0,) * len(values))


def dot(a, b):
    """The inner product of two vectors, as one node."""
    return Value(
        sum(p.x * q.x for p, q in zip(a, b)),
        tuple(a) + tuple(b),
        tuple(q.x for q in b) + tuple(p.x for p in a),
    )


# --- idea: mlp ---
def linear(x, weights):
    """One output for each row of weights."""
    return [dot(row, x) for row in weights]


# --- idea: norm ---
def norm(x):
    """Root mean square 1: x / sqrt(mean(x^2) + eps)."""
    scale = (dot(x, x).times(1.0 / len(x)) + Value(EPS)).power(-0.5)
    return [v * scale for v in x]


# --- idea: attention ---
def softmax(x):
    top = max(v.x for v in x)
    powers = [(v + Value(-top)).exp() for v in x]
    inverse = total(powers).power(-1)
    return [p * inverse for p in powers]


# --- idea: embedding ---
def embed(params, token, position):
    """Who it is plus where it stands."""
    x = [a + b for a, b in zip(params["wte"][token], params["wpe"][position])]
    return norm(x)


# --- idea: attention ---
def attention(params, layer, x, keys, values):
    """Each head looks back at all positions so far and takes a weighted mean of what they offer."""
    y = norm(x)
    q = linear(y, params[f"wq{layer}"])
    keys.append(linear(y, params[f"wk{layer}"]))
    values.append(linear(y, params[f"wv{layer}"]))
    size, out = EMBD // HEADS, []
    for head in range(0, EMBD, size):
        part = slice(head, head + size)
        scores = [dot(q[part], k[part]).times(1.0 / math.sqrt(size)) for k in keys]
        weights = softmax(scores)
        out += [dot(weights, [v[i] for v in values]) for i in range(head, head + size)]
    return [a + b for a, b in zip(x, linear(out, params[f"wo{layer}"]))]


# --- idea: mlp ---
def mlp(params, layer, x):
    """Widen, cut off, square, narrow: each position thinks for itself."""
    hidden = [v.relu2() for v in linear(norm(x), params[f"fc1{layer}"])]
    return [a + b for a, b in zip(x, linear(hidden, params[f"fc2{layer}"]))]


# --- idea: model ---
def gpt(params, token, position, cache):
    """Logits for the token that follows; `cache` holds keys and values of the positions before."""
    x = embed(params, token, position)
    for layer in range(LAYERS):
        x = attention(params, layer, x, *cache[layer])
        x = mlp(params, layer, x)
    return linear(x, params["wte"])


# --- end of idea ---
def new_cache():
    return [([], []) for _ in range(LAYERS)]


# --- idea: loss ---
def losses(params, tokens):
    """How surprised the model is by each next token: log(sum(exp(logits))) - logit of the target."""
    cache, out = new_cache(), []
    for position in range(min(CONTEXT, len(tokens) - 1)):
        logits = gpt(params, tokens[position], position, cache)
        top = max(v.x for v in logits)
        log_sum = total([(v + Value(-top)).exp() for v in logits]).log() + Value(top)
        out.append(log_sum + logits[tokens[position + 1]].times(-1.0))
    return out


# --- idea: backward ---
def backward(loss):
    """The chain rule, from the loss to everything it was made of, each node after all its uses."""
    order, seen, stack = [], set(), [(loss, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((i, False) for i in node.inputs)
    loss.grad = 1.0
    for node in reversed(order):
        for i, slope in zip(node.inputs, node.slopes):
            i.grad += slope * node.grad


# --- idea: clip ---
def clip_scale(flat):
    """What to multiply gradients by so that their norm is at most 1."""
    length = math.sqrt(sum(p.grad**2 for p in flat))
    return 1.0 / length if length > 1.0 else 1.0


# --- idea: optimizer ---
class AdamW:
    """Kingma & Ba 2015; weight decay apart from the gradient, Loshchilov & Hutter 2019."""

    B1, B2, TINY, DECAY = 0.9, 0.95, 1e-8, 1e-4

    def __init__(self, flat):
        self.flat, self.m, self.v = flat, [0.0] * len(flat), [0.0] * len(flat)

    def step(self, t, lr):
        scale = clip_scale(self.flat)
        for i, p in enumerate(self.flat):
            g = p.grad * scale
            self.m[i] = self.B1 * self.m[i] + (1 - self.B1) * g
            self.v[i] = self.B2 * self.v[i] + (1 - self.B2) * g * g
            m, v = self.m[i] / (1 - self.B1**t), self.v[i] / (1 - self.B2**t)
            p.x -= lr * (m / (math.sqrt(v) + self.TINY) + self.DECAY * p.x)
            p.grad = 0.0


# --- idea: sampling ---
def sample(params, bos, temperature, top_k):
    """From BOS on, draw each next token among the top_k likeliest, until BOS or the context's end."""
    cache, tokens = new_cache(), [bos]
    for position in range(CONTEXT):
        logits = [v.x / temperature for v in gpt(params, tokens[-1], position, cache)]
        top = max(logits)
        powers = [math.exp(v - top) for v in logits]
        probabilities = [p / sum(powers) for p in powers]
        best = sorted(range(len(logits)), key=lambda i: -logits[i])[: top_k or None]
        token = random.choices(best, weights=[probabilities[i] for i in best])[0]
        if token == bos:
            break
        tokens.append(token)
    return tokens[1:]
# --- end of idea ---


def matrix(rows, columns, std):
    return [[Value(random.gauss(0, std)) for _ in range(columns)] for _ in range(rows)]


def new_params(vocab):
    """Drawn in this order. The two matrices that write into the residual stream start at zero."""
    params = {"wte": matrix(vocab, EMBD, STD), "wpe": matrix(CONTEXT, EMBD, STD)}
    for layer in range(LAYERS):
        for name, rows, columns, std in (
            ("wq", EMBD, EMBD, STD),
            ("wk", EMBD, EMBD, STD),
            ("wv", EMBD, EMBD, STD),
            ("wo", EMBD, EMBD, 0.0),
            ("fc1", MLP, EMBD, STD),
            ("fc2", EMBD, MLP, 0.0),
        ):
            params[f"{name}{layer}"] = matrix(rows, columns, std)
    return params


def options():
    parser = argparse.ArgumentParser(description="train a tiny GPT on names and print new ones")
    data = os.path.join(HERE, "..", "..", "conf", "data", "given-names.txt")
    parser.add_argument("--data", default=data, help="text file, one document a line")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--val-every", type=int, default=100)
    parser.add_argument("--val-docs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--top-k", type=int, default=5)
    return parser.parse_args()


def main():
    args = options()
    random.seed(args.seed)

    with open(args.data, encoding="utf-8") as file:
        docs = [line.strip() for line in file if line.strip()]
    random.shuffle(docs)
    letters = sorted(set("".join(docs)))
    bos, ids = 0, {c: i + 1 for i, c in enumerate(letters)}
    docs = [[bos] + [ids[c] for c in doc] + [bos] for doc in docs]
    split = int(0.9 * len(docs))
    train, valid = docs[:split], docs[split:]

    params = new_params(len(letters) + 1)
    flat = [value for rows in params.values() for row in rows for value in row]
    optimizer = AdamW(flat)
    print(f"num docs: {len(docs)} (train {len(train)}, val {len(valid)})")
    print(f"vocab size: {len(letters) + 1}")
    print(f"num params: {len(flat)}")

    # --- idea: step ---
    for step in range(args.steps):
        each = losses(params, train[step % len(train)])
        loss = total(each).times(1.0 / len(each))
        backward(loss)
        lr = 1e-2 * 0.5 * (1 + math.cos(math.pi * step / args.steps))
        optimizer.step(step + 1, lr)
        print(f"step {step + 1:4d}/{args.steps:4d} | loss {loss.x:.4f}", flush=True)
        if args.val_every and (step + 1) % args.val_every == 0:
            each = [v.x for doc in valid[: args.val_docs] for v in losses(params, doc)]
            print(f"val loss: {sum(each) / len(each):.4f}", flush=True)
    # --- end of idea ---

    for i in range(args.samples):
        tokens = sample(params, bos, args.temperature, args.top_k)
        print(f"sample {i + 1:2d}: {''.join(letters[t - 1] for t in tokens)}")


if __name__ == "__main__":
    main()
