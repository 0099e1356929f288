#!/usr/bin/env python3
"""Byte-level BPE of Hugging Face tokenizers: the same ids for any text, folders that transformers
wrote are trained on, and what we learned and export it reads.

    bpe.py MICROGPT ENCODE_TEXT GPT2 TEXT FOLDER

GPT2 is a folder with encoder.json and vocab.bpe, or one that is not there: then GPT-2's vocabulary
is left out. TEXT is one to learn from.
"""
import array
import json
import os
import random
import subprocess
import sys
import unicodedata

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel,
                          PreTrainedTokenizerFast)
from transformers.utils import logging

import hf
from hf import NEW, Ours, check, same_function, same_text

END = "<|endoftext|>"
SPECIAL, PLAIN, PADDED = ["<|im_start|>", "<|im_end|>"], ["<tool>", " <tool>"], 768
ODD = ["\u0085", "\u180e", "\ufeff", "\u00a0", "\u3000", "\u2028", "\u200b", "\u001c", "\u0000",
       "'s", "'ll", "'S", "\u2019s", END, "<|", "\r\n", "\t", "  ", "   \n ", "a" * 40, "\u00bd",
       "\u2167", "\u0301", "\U0001f469\u200d\U0001f467", "\u4f60\u597d", "\u0e01\u0e33", "_", "1a"]


class Encoder:
    """Ids of our module by the program that tests have for it."""

    def __init__(self, program, vocabulary):
        self.words = [program, "bpe", vocabulary]

    def __call__(self, text):
        done = subprocess.run(self.words, input=text.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        self.said = done.stderr.decode().strip()
        check(done.returncode == 0, f"{self.words}: {self.said}")
        return array.array("i", done.stdout).tolist()


def long_known():
    """Characters that were assigned in Unicode 3.2 and have had one category since."""
    old = unicodedata.ucd_3_2_0
    return [chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000
            and old.category(chr(c)) not in ("Cn", "Co")
            and old.category(chr(c))[0] == unicodedata.category(chr(c))[0]]


def random_texts(draw, count):
    known, scripts = long_known(), [range(0x20, 0x7f), range(0xa0, 0x250), range(0x370, 0x530),
                                    range(0x5d0, 0x700), range(0x900, 0xa00), range(0x4e00, 0x4f00)]
    for _ in range(count):
        kind = draw.random()
        if kind < 0.4:
            letters = [chr(c) for c in draw.choice(scripts) if unicodedata.category(chr(c)) != "Cn"]
            words = ["".join(draw.choices(letters, k=draw.randint(1, 8))) for _ in range(12)]
            yield draw.choice([" ", "  ", "\n", ""]).join(words)
        elif kind < 0.8:
            yield "".join(draw.choice(ODD) if draw.random() < 0.5 else draw.choice(known)
                          for _ in range(draw.randint(0, 40)))
        else:
            yield "".join(draw.choices(known, k=draw.randint(1, 60)))


def same_ids(encode, theirs, text, name):
    """An added token ends a text as its end does, so END between many tries them all at once."""
    ids, mine = theirs.encode(text, add_special_tokens=False).ids, encode(text)
    if mine != ids:
        at = next((i for i, (a, b) in enumerate(zip(mine, ids)) if a != b), min(len(mine), len(ids)))
        before = theirs.decode(ids[max(0, at - 20):at + 20], skip_special_tokens=False)
        check(False, f"{name}: id {at} of {len(ids)}: {mine[at:at + 9]}, theirs {ids[at:at + 9]}, "
                     f"about {before!r}")
    check(True, name)
    return len(ids)


def judge_ids(encode, theirs, text, name):
    total = same_ids(encode, theirs, END.join(random_texts(random.Random(11), 8000)), name)
    total += same_ids(encode, theirs, END.join(ODD), name)
    total += same_ids(encode, theirs, text, name)
    for alone in ("", " ", " \n", "x  ", END):
        same_ids(encode, theirs, alone, name)
    added = [token.content for token in theirs.get_added_tokens_decoder().values()]
    if len(added) > 1:
        draw = random.Random(13)
        mixed = "".join(draw.choice(added + [" ", "<", "tool", ">", "|", "a"]) for _ in range(4000))
        total += same_ids(encode, theirs, mixed, name + ", added tokens")
    print(f"{name}: {total} ids the same")


def their_folder(ours, name, tokenizer, files=False, size=0):
    """As transformers writes one, or with the two files that GPT-2 had first. Rows behind the ids
    are such that they would be chosen."""
    torch.manual_seed(5)
    known = tokenizer.get_vocab_size()
    size = size or known
    bos = tokenizer.token_to_id(END)
    config = GPT2Config(vocab_size=size, n_positions=64, n_embd=32, n_layer=2, n_head=4,
                        initializer_range=0.3, bos_token_id=bos, eos_token_id=bos)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        model.transformer.wte.weight[known:] *= 5
    folder = ours.path("theirs-" + name)
    model.save_pretrained(folder)
    if files:
        tokenizer.model.save(folder)
        write_added(folder, tokenizer)
    else:
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END,
                                eos_token=END).save_pretrained(folder)
    return model, folder


def write_added(folder, tokenizer):
    """As transformers did before tokenizer.json: what the vocabulary lacks, by name."""
    size = tokenizer.get_vocab_size(with_added_tokens=False)
    added = {token.content: id for id, token in tokenizer.get_added_tokens_decoder().items()
             if id >= size}
    if added:
        with open(os.path.join(folder, "added_tokens.json"), "w", encoding="utf-8") as file:
            json.dump(added, file, sort_keys=True)


def bytes_of(tokenizer, ids, bos):
    """The bytes of tokens, which need not be whole characters; of BOS none."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    others = [b for b in range(256) if b not in plain]
    byte = {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}
    added = {id: token.content.encode() for id, token in
             tokenizer.get_added_tokens_decoder().items()}
    return b"".join(added[i] if i in added else bytes(byte[c] for c in tokenizer.id_to_token(i))
                    for i in ids if i != bos)


def judge_import(ours, program, name, tokenizer, text, files=False, size=0):
    model, folder = their_folder(ours, name, tokenizer, files, size)
    run = ours.path("run-" + name)
    ini = ours.ini(name + ".ini", steps=30, tokenizer="bpe")
    ours.run("import", folder, "-c", ini, "--dir", run)
    encode = Encoder(program, os.path.join(run, "latest", "tokenizer.json"))
    judge_ids(encode, tokenizer, text, name)
    away = same_function(ours, run, model, name)
    bos = tokenizer.token_to_id(END)
    different = same_text(ours, run, model, lambda t: [bos] + encode(t),
                          lambda ids: bytes_of(tokenizer, ids, bos),
                          "First Citizen", name, range(tokenizer.get_vocab_size(), size))
    ours.run("train", "-q", "--resume", "--dir", run)
    lines = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
    losses = [line["loss"] for line in lines if "loss" in line]
    check(len(losses) == 30 and sum(losses[-5:]) < 0.9 * sum(losses[:5]),
          f"{name}: fine-tuned from {losses[:2]} to {losses[-2:]}")
    judge_export(ours, encode, run, text, name)
    print(f"import {name}: logits {away:.1e} away, {NEW} greedy ids the same ({different} different);"
          f" fine-tuned {losses[0]:.2f} to {losses[-1]:.2f}")


def judge_export(ours, encode, run, text, name):
    folder = ours.path("out-" + name)
    ours.run("export", "--to", "hf", folder, "--dir", run)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    check(tokenizer.bos_token == END, f"{name}: BOS is {tokenizer.bos_token!r}")
    for these in (text, END.join(ODD)):
        same_ids(encode, tokenizer.backend_tokenizer, these, f"{name}, exported")
    sample = text[:500] + "  na\u00efve \u4f60\u597d \U0001f642"
    check(tokenizer.decode(tokenizer(sample).input_ids) == sample, f"{name}: ids and back")
    away = same_function(ours, run, AutoModelForCausalLM.from_pretrained(folder), name)
    back = ours.path("back-" + name)
    ours.run("import", folder, "-c", ours.path(name + ".ini"), "--dir", back)
    check(open(f"{run}/latest/tokenizer.json").read() == open(f"{back}/latest/tokenizer.json").read(),
          f"{name}: another tokenizer comes back")
    return away


def judge_learned(ours, program, text):
    """Ids that we learned ourselves."""
    run = ours.path("run-learned")
    ini = ours.ini("learned.ini", steps=30, tokenizer="bpe")
    ours.run("train", "-q", "-c", ini, "--set", "tokenizer.bpe.vocab=700", "--set",
             "tokenizer.bpe.bos=true", "--dir", run)
    encode = Encoder(program, os.path.join(run, "latest", "tokenizer.json"))
    away = judge_export(ours, encode, run, text, "learned")
    tokenizer = Tokenizer.from_file(os.path.join(ours.path("out-learned"), "tokenizer.json"))
    check(tokenizer.get_vocab_size() == 700, f"{tokenizer.get_vocab_size()} ids learned")
    judge_ids(encode, tokenizer, text, "learned")
    print(f"export learned: logits {away:.1e} away")


def judge_padded(ours, program, text):
    """More rows than ids, and tokens that were added to those learned."""
    folder = ours.path("out-learned")
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens(PLAIN)
    judge_import(ours, program, "padded", tokenizer, text, size=PADDED)
    judge_import(ours, program, "padded-files", tokenizer, text, files=True, size=PADDED)
    for name in ("padded", "padded-files"):
        theirs = AutoTokenizer.from_pretrained(ours.path("theirs-" + name))
        sample = text[:500] + "".join(SPECIAL + PLAIN) + "x <tool> y"
        check(theirs(sample).input_ids == tokenizer.encode(sample).ids, f"{name}: as transformers")
        model = AutoModelForCausalLM.from_pretrained(ours.path("out-" + name))
        check(model.config.vocab_size == PADDED, f"{name}: {model.config.vocab_size} rows go out")


def gpt2_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE.from_file(os.path.join(folder, "encoder.json"),
                                               os.path.join(folder, "vocab.bpe")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    return tokenizer


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(2)
    program, encode_text, gpt2, text_path, folder = sys.argv[1:]
    ours = Ours(program, text_path, folder)
    with open(text_path, encoding="utf-8", newline="") as file:
        text = file.read()
    judge_learned(ours, encode_text, text)
    judge_padded(ours, encode_text, text)
    if os.path.exists(os.path.join(gpt2, "encoder.json")):
        judge_import(ours, encode_text, "gpt2", gpt2_tokenizer(gpt2), text)
        judge_import(ours, encode_text, "gpt2-files", gpt2_tokenizer(gpt2), text, files=True)
    print(f"judge: {hf.checks} checks")


if __name__ == "__main__":
    main()
