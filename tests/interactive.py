"""microgpt generate --interactive under a pseudo terminal, key by key.

interactive.py MICROGPT RUN edit|plain: RUN has a model whose text never ends by itself; `plain`: the
program has no libedit, so neither editing of its own nor history.
"""

import os
import pty
import re
import select
import signal
import sys
import time

PROGRAM, RUN, HOW = sys.argv[1:]


class Terminal:
    """The program on a terminal, and all that it wrote, but for what was already looked at."""

    def __init__(self, *options, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "LC_ALL": "C", **environment})
            os.execv(PROGRAM, [PROGRAM, "generate", "--dir", RUN, "--interactive", *options])
        self.seen = ""

    def wait(self, pattern, seconds=20):
        """The match of what comes until the pattern does."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            left = until - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.fd], [], [], left)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError as end:
                    raise AssertionError(f"it ended before {pattern!r}: {self.seen!r}") from end
        self.seen = self.seen[found.end():]
        return found

    def type(self, keys):
        """Not at once: libedit shows its prompt just before it takes the keys over."""
        time.sleep(0.15)
        os.write(self.fd, keys.encode())

    def end(self):
        """The exit status, after all was read."""
        try:
            while select.select([self.fd], [], [], 20)[0] and (data := os.read(self.fd, 65536)):
                self.seen += data.decode(errors="replace")
            os.kill(self.pid, signal.SIGKILL)  # it does not end
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def talk():
    t = Terminal("--max-tokens", "8", "--show-probs")
    t.wait("> $")
    t.type("an\r")
    t.wait("an\x1b\\[38;5;[0-9]+m")  # the prompt as it is, tokens in color
    t.wait("\x1b\\[0m\r\n")
    t.wait("> $")
    t.type("\r")  # the same again
    t.wait("an\x1b\\[38;5;[0-9]+m")
    t.wait("> $")
    t.type("/set temperature nothing\r")
    t.wait("error.*temperature = nothing")
    t.wait("> $")
    t.type("/set temperature 0\r")
    t.wait("> $")
    t.type("/set\r")
    t.wait("temperature 0, .*max_tokens 8")
    t.wait("> $")
    # One key takes a character of two bytes away.
    t.type("\u00e9\x7fno\r" if HOW == "edit" else "no\r")
    t.wait("no\x1b\\[38;5;[0-9]+m")
    t.wait("> $")
    return t


def break_off(t):
    """Ctrl-C, after which a terminal may drop what was written or typed just then, the prompt too."""
    t.type("\x03")
    time.sleep(0.3)
    t.type("/set\r")
    t.wait("max_tokens")
    t.wait("> $")


def interrupt(t):
    t.type("/set max-tokens 1000000000\r")
    t.wait("> $")
    t.type("an\r")
    for _ in range(3):
        t.wait("\x1b\\[0m")
    break_off(t)
    t.type("half a line")
    t.wait("half a line")
    break_off(t)
    t.type("/set max-tokens 3\r")
    t.wait("> $")
    t.type("\r")
    t.wait("an\x1b\\[38;5;[0-9]+m")
    t.wait("> $")


def check_history():
    """What was typed before is one key away in the next program."""
    path = os.path.join(os.environ["XDG_STATE_HOME"], "microgpt", "history")
    lines = open(path).read()
    assert "no\n" in lines and "half" not in lines, lines
    assert os.stat(path).st_mode & 0o077 == 0, oct(os.stat(path).st_mode)
    t = Terminal("--max-tokens", "8", NO_COLOR="1", LC_ALL="C.UTF-8")
    t.wait("> $")
    t.type("\x1b[A" * 4)
    t.wait("/set max-tokens 1000000000")
    t.type("\x15no more\x17\x7f\r")
    t.wait("\r\nno[^\x1b]*\r\n")
    t.wait("> $")
    os.kill(t.pid, signal.SIGTERM)
    assert t.end() == -signal.SIGTERM


def refuse():
    """What a sampler refuses leaves the one before, and its settings."""
    t = Terminal("--max-tokens", "2", "-P", os.environ["MICROGPT_TEST_PLUGINS"],
                 "--set", "sampler.use=picky", NO_COLOR="1")
    t.wait("> $")
    t.type("/set favorite 13\r")
    t.wait("error.*favorite = 13: expected another")
    t.wait("> $")
    t.type("/set\r")
    t.wait("favorite 7, ")
    t.wait("> $")
    t.type("an\r")
    t.wait("\r\nan[^\x1b]*\r\n> $")
    t.type("QQ\r")
    t.wait("error: prompt: byte 0: unknown character 'Q'")
    t.wait("> $")
    t.type("\r")
    t.wait("\r\nan[^\x1b]*\r\n> $")
    t.type("\x04")
    assert t.end() == 0, t.seen


refuse()
terminal = talk()
interrupt(terminal)
terminal.type("\x04")
assert terminal.end() == 0, terminal.seen
if HOW == "edit":
    check_history()
quitter = Terminal("--prompt", "an", "--max-tokens", "1", NO_COLOR="1")
quitter.wait("\r\nan[^\x1b]*\r\n> $")
quitter.type("/quit\r")
assert quitter.end() == 0
print("interactive: the terminal did all that was asked")
