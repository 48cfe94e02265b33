"""The program that is judged."""

import os
import shutil
import subprocess


class Program:
    """Runs the program in a folder without this process's settings. `has_tables` says whether the program can read
    and write Parquet and Excel files."""

    def __init__(self, binary, folder, has_tables):
        self.binary, self.folder, self.has_tables = binary, folder, has_tables
        self.empty()
        ours = ("CLAUDE_BATCH_", "ANTHROPIC_")
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(ours) and not name.upper().endswith("_PROXY")
        }
        self.environment |= {"XDG_CONFIG_HOME": str(folder / "none"), "ANTHROPIC_API_KEY": "sk-ant-test-0123456789"}

    def empty(self):
        """Empties the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def __call__(self, *args, code=0):
        """Runs the program, and asserts that it ends with this exit code."""
        said = subprocess.run(
            [self.binary, *map(str, args)], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True
        )
        if said.returncode != code:
            words = said.stderr.decode("utf-8", "replace")
            raise SystemExit(f"claude-batch {args} ended with {said.returncode}, not {code}: {words[-3000:]}")
        return said.stdout
