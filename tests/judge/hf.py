#!/usr/bin/env python3
"""Folders of Hugging Face transformers: it reads ours, we read its, and both compute the same.

    hf.py MICROGPT TEXT FOLDER
"""
import json
import os
import subprocess
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

LOGIT, LOSS, NEW = 1e-4, 1e-5, 32
checks = 0

GPT2 = """[dataset]
use = text
path = {text}
[tokenizer]
use = {tokenizer}
[tokenizer.{tokenizer}]
bos = false
[model]
layers = 2
heads = 4
embd = 32
mlp = 128
context = 64
norm = layer
norm_gain = true
norm_bias = true
embed_norm = false
final_norm = true
activation = {activation}
bias = {bias}
tied = {tied}
init_residual = 0.5
[train]
steps = {steps}
batch = 8
val_batches = 1
[sampler]
use = greedy
[generate]
samples = 1
max_tokens = {new}
[backend]
use = {backend}
[precision]
use = {precision}
"""


def check(good, words):
    global checks
    checks += 1
    if not good:
        sys.exit("FAIL: " + words)


class Ours:
    def __init__(self, program, text, folder):
        self.program, self.text, self.folder = program, text, folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words):
        done = subprocess.run([self.program, *words], stdout=subprocess.PIPE)
        check(done.returncode == 0, f"microgpt {' '.join(words)}: exit {done.returncode}")
        return done.stdout

    def ini(self, name, **settings):
        values = {"text": self.text, "tokenizer": "byte", "activation": "gelu_tanh", "tied": "true",
                  "bias": "qkv,proj,mlp", "steps": 200, "new": NEW, "backend": "cpu",
                  "precision": "fp32", **settings}
        with open(self.path(name), "w") as file:
            file.write(GPT2.format(**values))
        return self.path(name)

    def logits(self, run):
        path = self.path("logits.safetensors")
        out = self.run("eval", "--dir", run, "--json", "--logits", path)
        return load_file(path), json.loads(out)["val_loss"]

    def greedy(self, run, prompt):
        return self.run("generate", "-q", "--dir", run, "--prompt", prompt)


def same_function(ours, run, model, name):
    """Logits and loss of a batch of windows."""
    model = model.double() if name == "fp64" else model.float()
    seen, val_loss = ours.logits(run)
    with torch.no_grad():
        theirs = model(seen["ids"].long()).logits
    away = (seen["logits"] - theirs).abs().max().item()
    check(theirs.std() > 0.3, f"{name}: logits that do not tell ids apart")
    check(away <= LOGIT, f"{name}: logits {away:.3g} away")
    loss = torch.nn.functional.cross_entropy(theirs.flatten(0, 1), seen["targets"].long().flatten())
    check(abs(loss.item() - val_loss) <= LOSS, f"{name}: loss {val_loss}, theirs {loss.item()}")
    return away


def same_text(ours, run, model, encode, decode, prompt, name, spare=()):
    """32 greedy ids, none of them `spare`; ours come as the bytes they stand for, and a newline."""
    ids = torch.tensor([encode(prompt)])
    model = model.double() if name == "fp64" else model.float()
    out = model.generate(ids, max_new_tokens=NEW, do_sample=False, pad_token_id=0,
                         suppress_tokens=list(spare) or None)[0].tolist()
    mine = ours.greedy(run, prompt)
    check(len(out) == ids.shape[1] + NEW, f"{name}: {len(out)} ids")
    check(mine == decode(out) + b"\n", f"{name}: greedy text {mine!r}, theirs {decode(out)!r}")
    return len(set(out))


def judge_export(ours, name, prompt, **settings):
    """One that we trained."""
    run, folder = ours.path("run-" + name), ours.path("hf-" + name)
    ours.run("train", "-q", "-c", ours.ini(name + ".ini", **settings), "--dir", run)
    ours.run("export", "--to", "hf", folder, "--dir", run)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    check(isinstance(model, GPT2LMHeadModel), "the class of the model")
    text = open(ours.text, encoding="utf-8").read()[:200]
    if settings.get("tokenizer") != "char":
        check(tokenizer(text).input_ids == list(text.encode()), f"{name}: ids of a text")
    check(tokenizer.decode(tokenizer(text).input_ids) == text, f"{name}: text, ids and back")
    away = same_function(ours, run, model, name)
    different = same_text(ours, run, model, lambda t: tokenizer(t).input_ids,
                          lambda ids: tokenizer.decode(ids).encode(), prompt, name)
    print(f"export {name}: logits {away:.1e} away, {NEW} greedy ids the same ({different} different)")
    back = ours.path("back-" + name)
    ours.run("import", folder, "-c", ours.path(name + ".ini"), "--dir", back)
    first, second = (ours.logits(r)[0]["logits"] for r in (run, back))
    check(torch.equal(first, second), f"{name}: exported and imported, other logits")


def write_theirs(ours, name, vocab=256, dtype=torch.float32, bare=False, **settings):
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=vocab, n_positions=64, n_embd=32, n_layer=2, n_head=4,
                        initializer_range=0.3, bos_token_id=None, eos_token_id=None, **settings)
    model = GPT2LMHeadModel(config).to(dtype).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if p.dim() == 1:  # they start as 0 and 1, which hides mistakes
                p.add_(torch.randn(p.shape).to(dtype) * 0.1)
    folder = ours.path("theirs-" + name)
    model.save_pretrained(folder)
    if bare:  # as GPT2Model writes it
        path = os.path.join(folder, "model.safetensors")
        save_file({k.removeprefix("transformer."): v for k, v in load_file(path).items()}, path,
                  {"format": "pt"})
    return model, folder


def judge_import(ours, name, **settings):
    """One that transformers made."""
    model, folder = write_theirs(ours, name, **settings)
    run = ours.path("run-" + name)
    ini = ours.ini(name + ".ini", steps=60)
    ours.run("import", folder, "-c", ini, "--dir", run)
    away = same_function(ours, run, model, name)
    different = same_text(ours, run, model, lambda t: list(t.encode()), bytes, "First", name)
    ours.run("train", "-q", "--resume", "--dir", run)
    lines = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
    losses = [line["loss"] for line in lines if "loss" in line]
    check(len(losses) == 60 and sum(losses[-5:]) < 0.8 * sum(losses[:5]),
          f"{name}: fine-tuned from {losses[:2]} to {losses[-2:]}")
    ours.run("export", "--to", "hf", folder + "-tuned", "--dir", run)
    tuned = same_function(ours, run, AutoModelForCausalLM.from_pretrained(folder + "-tuned"), name)
    print(f"import {name}: logits {away:.1e} away, {NEW} greedy ids the same ({different} different);"
          f" fine-tuned {losses[0]:.2f} to {losses[-1]:.2f}, then {tuned:.1e} away")


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(2)
    ours = Ours(*sys.argv[1:])
    judge_export(ours, "gpt2", "First")
    judge_export(ours, "chars", "First", tokenizer="char", activation="gelu", tied="false",
                 bias="proj,mlp")
    judge_export(ours, "fp64", "First", backend="ref", precision="fp64", activation="relu",
                 bias="none", steps=20)
    judge_import(ours, "random")
    judge_import(ours, "untied", tie_word_embeddings=False, bare=True, activation_function="gelu",
                 n_inner=96)
    judge_import(ours, "bf16", dtype=torch.bfloat16, layer_norm_epsilon=1e-3)
    print(f"judge: {checks} checks")


if __name__ == "__main__":
    main()
