//! Names of results files that an error log must not contain. Such a name does not lead to a file in the folder of the
//! log.

use std::path::Path;

/// Returns names of results files. No name leads to a file in the folder of the log. `root` also contains a folder
/// beside the folder of the run.
pub fn names(root: &Path) -> Vec<String> {
    let sibling = root.join("sibling");
    let mut names: Vec<String> = [
        "",
        ".",
        "..",
        "/",
        "//",
        "./out.jsonl",
        "../out.jsonl",
        "../sibling/new.jsonl",
        "../sibling/empty.jsonl",
        "out.jsonl/",
        "out.jsonl/.",
        "x/../out.jsonl",
        "work/../../sibling/new.jsonl",
        "....//sibling/new.jsonl",
        "~/new.jsonl",
        "$HOME/new.jsonl",
        "file:///tmp/new.jsonl",
        "http://evil.example.invalid/x",
        "/dev/null",
        "/dev/stdout",
        "/proc/self/environ",
        "..\\sibling\\new.jsonl",
        "\\new.jsonl",
        "C:\\new.jsonl",
        "C:/new.jsonl",
        "\\\\evil.example.invalid\\share\\new.jsonl",
        "\\\\.\\pipe\\x",
        "\\\\?\\C:\\x",
        "a\\b",
        "new\0.jsonl",
        "out.jsonl\0",
        "\0",
        "new\n.jsonl",
        "\r",
        "\u{1b}]0;x\u{7}",
        "\u{1b}[2J",
        "a\u{7f}",
        "a\u{85}b",
        "a\u{9b}1m",
        "\t",
        "NUL",
        "nul.jsonl",
        "CON",
        "con.txt.jsonl",
        "aux",
        "PRN.x",
        "COM1",
        "com9.jsonl",
        "LPT3",
        "CONIN$",
        "lpt¹",
        ".bashrc",
        "new.jsonl",
        "empty.txt",
        "Makefile",
        "claude-batch.toml",
        ".env",
        "prompts",
        "out.jsonl ",
        "-o",
        "--api-key-cmd=x",
        "$(touch x)",
        "out.jsonl.run/manifest.json",
    ]
    .map(str::to_owned)
    .into();
    names.push(sibling.join("new.jsonl").display().to_string());
    names.push(sibling.join("empty.jsonl").display().to_string());
    names.push(root.join("work/out.jsonl/").display().to_string());
    names.push("a".repeat(300));
    names.push("../".repeat(60) + "tmp/new.jsonl");
    names.push("\u{202e}".repeat(200));
    names
}
