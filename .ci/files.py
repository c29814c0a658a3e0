"""Simple checks of files: UTF-8, tidy ends, no leftovers of a merge, nothing huge; JSON, TOML and YAML that parse.

Give paths, or none to check all files that git tracks. Without git there is nothing to check.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

MOST_BYTES = 2_000_000
BINARY = {".gz", ".png", ".pdf", ".parquet", ".whl"}
PARSERS = {".json": json.loads, ".toml": tomllib.loads, ".yml": yaml.safe_load, ".yaml": yaml.safe_load}
MERGE = re.compile(r"^(<{7} |>{7} |={7}$)", re.MULTILINE)


def faults(path):
    """What is wrong with a file, one line each."""
    if path.stat().st_size > MOST_BYTES:
        yield f"larger than {MOST_BYTES:,} bytes"
    if path.suffix in BINARY:
        return
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        yield "not UTF-8"
        return
    if "\r" in text:
        yield "carriage returns"
    if text and path.suffix != ".json" and (not text.endswith("\n") or text.endswith("\n\n")):
        yield "must end with one line feed"
    if MERGE.search(text):
        yield "leftovers of a merge"
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            yield f"line {number} ends in white space"
    if path.suffix in PARSERS:
        try:
            PARSERS[path.suffix](text)
        except (ValueError, yaml.YAMLError) as error:
            yield f"does not parse: {error}"


def tracked():
    """Files that git tracks; none outside a checkout."""
    done = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=False)
    return [name for name in done.stdout.split("\0") if name]


paths = [Path(name) for name in sys.argv[1:] or tracked()]
found = [f"{path}: {fault}" for path in paths if path.is_file() for fault in faults(path)]
print("\n".join(found), end="\n" if found else "")
sys.exit(bool(found))
