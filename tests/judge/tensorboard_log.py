#!/usr/bin/env python3
"""What the real TensorBoard reads of a run's events, against metrics.jsonl and the samples printed.

    tensorboard_log.py RUN PRINTED STEPS
"""
import json
import os
import re
import sys

from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator


def check(good, words):
    if not good:
        sys.exit("FAIL: " + words)


def main():
    run, steps = sys.argv[1], int(sys.argv[3])
    samples = dict(re.findall(r"^sample +(\d+): (.*)$", open(sys.argv[2]).read(), re.M))
    events = EventAccumulator(run, size_guidance={TENSORS: 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    lines = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
    n = 0
    for tag, key in (("train/loss", "loss"), ("train/grad_norm", "grad_norm"), ("train/lr", "lr"),
                     ("train/tokens_per_s", "tokens_per_s"), ("valid/loss", "val_loss"),
                     ("valid/train_loss", "train_loss")):
        expected = {line["step"]: line[key] for line in lines if key in line}
        seen = {e.step: e.value for e in events.Scalars(tag)}
        check(expected, f"{key} is not in metrics.jsonl")
        check(len(events.Scalars(tag)) == len(expected), f"{tag}: a step stands there twice")
        check(seen.keys() == expected.keys(), f"{tag}: steps {sorted(seen)[:5]}...")
        for step, value in expected.items():
            check(abs(seen[step] - value) <= 1e-6 * abs(value), f"{tag} of step {step}")
            n += 1
    check(max(e.step for e in events.Scalars("train/loss")) == steps, "the last step")
    texts = sorted(tag for tag in tags["tensors"] if tag.startswith("sample/"))
    check(texts == sorted("sample/" + i for i in samples) and any(samples.values()), f"{texts}")
    for tag in texts:
        event = events.Tensors(tag)[-1]
        plugin = events.SummaryMetadata(tag).plugin_data.plugin_name
        text = event.tensor_proto.string_val[0].decode()
        check(plugin == "text" and event.step == steps and text == samples[tag.split("/")[1]],
              f"{tag}: {plugin} {text!r}")
        n += 1
    print(f"judge: TensorBoard read {n} values as they were logged")


if __name__ == "__main__":
    main()
