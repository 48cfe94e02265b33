"""Completes commands in real shells, with the scripts that the program prints.

bash and zsh run in a pseudo-terminal, where this script types a line and the Tab key. fish has a command that prints its
completions. Elvish offers its completions only in an interactive shell, so the start file of Elvish requests them.

Usage: main.py PROGRAM [SHELL...]
"""

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# The expected completions of each line. The shell completes the last word of the line.
CASES = [
    ("a subcommand", "claude-batch resu", ["results", "resume"]),
    ("a verb", "claude-batch batches c", ["collect", "cancel"]),
    ("a verb of config", "claude-batch config s", ["show"]),
    ("a flag", "claude-batch run --max-c", ["--max-cost"]),
    ("a flag of a verb", "claude-batch config init --pro", ["--profile"]),
    ("a value of --tier", "claude-batch run --tier st", ["start"]),
    ("a value of --format", "claude-batch run --format c", ["csv"]),
    ("a model after -m", "claude-batch run -m claude-haiku-4", ["claude-haiku-4-5"]),
    ("a model", "claude-batch models claude-haiku-4", ["claude-haiku-4-5"]),
    ("a preset", "claude-batch run --provider openr", ["openrouter"]),
    ("a provider of the configuration", "claude-batch run --provider gat", ["gateway"]),
    ("a profile", "claude-batch run --profile ni", ["night"]),
    ("a file after run", "claude-batch run promp", ["prompts.jsonl"]),
    ("a file after a flag", "claude-batch run --prices pri", ["prices.toml"]),
    ("an error log after resume", "claude-batch resume failed", ["failed.errors.jsonl"]),
    ("a shell", "claude-batch completions f", ["fish"]),
]

# A configuration file in the working folder, as a stranger could have written it. The names of the profiles in this
# file contain commands. The shell must not run these commands.
FOREIGN = """
[profile."$(touch RAN-1)"]
[profile."`touch RAN-2`"]
[profile."(touch RAN-3)"]
[profile."x;touch RAN-4"]
[profile."ni';touch RAN-5;'"]
[profile."ni\\";touch RAN-6;\\""]
[profile."nine lives"]
"""

# The command with which each shell reads a script without running it. Elvish can't do this, because its editor exists
# only in an interactive shell.
CHECKS = {
    "bash": ["bash", "-n"],
    "zsh": ["zsh", "-n"],
    "fish": ["fish", "--no-config", "--no-execute"],
}

# The longest wait for one completion, in seconds. On a busy machine, a completion takes several seconds.
PATIENCE = 30
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>()][A-Z0-9]?|\r|\x07|\x1b\][^\x07]*\x07")


class Terminal:
    """A shell in a pseudo-terminal."""

    def __init__(self, args, env, folder):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(args[0], args, env)
        self.seen = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def read_until(self, is_there, patience=PATIENCE):
        """Reads until the text meets a condition. Returns whether the condition is met in time."""
        end = time.monotonic() + patience
        while not is_there(self.seen) and time.monotonic() < end:
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                self.seen += ESCAPES.sub("", os.read(self.fd, 65536).decode(errors="replace"))
            except OSError:
                break
        return is_there(self.seen)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def in_terminal(args, env, folder, start, tabs):
    """Returns a function that starts a new shell, types a line, and says whether the shell offers words."""

    def offers(line, words):
        terminal = Terminal(args, env, folder)
        try:
            terminal.type(start)
            if not terminal.read_until(lambda seen: re.search(r"(?<!echo )is-read\s*> *$", seen)):
                return f"the shell did not start: {terminal.seen!r}"
            terminal.seen = ""
            # The line itself can contain an expected word, so only the text after the line counts.
            terminal.type(line)
            terminal.read_until(lambda seen: line in seen, 5)
            terminal.seen = terminal.seen.split(line)[-1]
            terminal.type("\t" * tabs)
            last = line.rsplit(" ", 1)[-1]

            def is_there(seen):
                # If there is only one candidate, the shell inserts it into the line, so only the rest of the word
                # appears.
                whole = last + seen.lstrip()
                return all(word in seen or (len(words) == 1 and whole.startswith(word)) for word in words)

            return None if terminal.read_until(is_there) else f"found {terminal.seen!r}"
        finally:
            terminal.close()

    return offers


def bash(folder, env, script):
    start = f"bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; source {script}; echo is-read\n"
    return in_terminal(["bash", "--norc", "--noprofile", "-i"], env, folder, start, 2)


def zsh(folder, env, script):
    functions = folder / "zfunc"
    functions.mkdir()
    shutil.copy(script, functions / "_claude-batch")
    start = f"PS1='> '; unsetopt prompt_sp prompt_cr; fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -D; echo is-read\n"
    return in_terminal(["zsh", "-f", "-i"], env, folder, start, 2)


def fish(folder, env, script):
    def offers(line, words):
        command = ["fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]', str(script), line]
        found = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE)
        names = [row.split("\t")[0] for row in found.stdout.splitlines()]
        missing = [word for word in words if word not in names]
        return f"{missing} is not in {names} {found.stderr}" if missing else None

    return offers


def elvish(folder, env, script):
    def offers(line, words):
        out = folder / "elvish-out"
        out.unlink(missing_ok=True)
        typed = " ".join(f"'{word}'" for word in line.split(" "))
        start = folder / "rc.elv"
        start.write_text(
            f"eval (slurp < {script})\n"
            "try {\n"
            f"  $edit:completion:arg-completer[claude-batch] {typed} | each {{|found|\n"
            "    if (eq (kind-of $found) string) { echo $found } else { echo $found[stem] }\n"
            f"  }} > {out}.part\n"
            f"}} catch e {{ echo (to-string $e[reason]) > {out}.part }}\n"
            f"e:mv {out}.part {out}\n"
            "exit\n"
        )
        terminal = Terminal(["elvish", "-rc", str(start)], env, folder)
        try:
            terminal.read_until(lambda _: out.exists())
        finally:
            terminal.close()
        names = out.read_text().split() if out.exists() else [f"nothing: {terminal.seen!r}"]
        # Elvish itself offers only candidates that begin with the word, so this script does the same.
        names = [name for name in names if name.startswith(line.rsplit(" ", 1)[-1])] or names
        missing = [word for word in words if word not in names]
        return f"{missing} is not in {names[:20]}" if missing else None

    return offers


def syntax(name, script):
    """Returns what is wrong with the syntax of a script, or None."""
    found = subprocess.run([*CHECKS[name], str(script)], capture_output=True, text=True, timeout=PATIENCE)
    return f"{found.returncode} {found.stderr}" if found.returncode or found.stderr else None


def ran(folder):
    """Returns a text about the commands that the shell ran; None if it ran no command.

    In the foreign file, the names of profiles are commands.
    """
    files = sorted(file.name for file in folder.glob("RAN-*"))
    return f"names were run as commands: {files}" if files else None


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish, "elvish": elvish}


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:] or list(SHELLS)
    failures = 0
    for name in wanted:
        with tempfile.TemporaryDirectory() as place:
            place = pathlib.Path(place)
            (place / "bin").mkdir()
            (place / "bin" / "claude-batch").symlink_to(program)
            settings = place / "home" / ".config" / "claude-batch"
            settings.mkdir(parents=True)
            (settings / "claude-batch.toml").write_text(
                '[profile.night]\ntier = 2\n[providers.gateway]\nkind = "messages"\nbase-url = "http://127.0.0.1:9"\n'
            )
            folder = place / "work"
            folder.mkdir()
            for file in ["prompts.jsonl", "prices.toml", "failed.errors.jsonl"]:
                (folder / file).write_text("")
            env = {
                "HOME": str(place / "home"),
                "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
                "TERM": "xterm",
                "LC_ALL": "C.UTF-8",
                "PS1": "> ",
            }
            script = place / "script"
            script.write_text(subprocess.run(
                [program, "completions", name], env=env, capture_output=True, text=True, check=True).stdout)
            (folder / "claude-batch.toml").write_text(FOREIGN)
            offers = SHELLS[name](folder, env, script)
            checks = [("the syntax of the script", lambda: syntax(name, script))] if name in CHECKS else []
            checks += [(title, lambda line=line, words=words: offers(line, words)) for title, line, words in CASES]
            checks.append(("no name is run as a command", lambda: ran(folder)))
            for title, check in checks:
                fault = check()
                print(f"{name:7} {'ok    ' if fault is None else 'FAILED'} {title}{'' if fault is None else ': ' + fault}", flush=True)
                failures += fault is not None
    print(f"{len(wanted)} shells, {len(CASES)} lines each, {failures} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
