#!/bin/sh
# Says what is missing before anything is installed, with the line that installs it.
python="${1:-python3}"
missing=""
command -v "$python" >/dev/null 2>&1 || missing="python3 python3-venv"
if [ -z "$missing" ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "PhaseArm needs Python 3.11 or newer; $python is $("$python" -V 2>&1). Name another with: make PYTHON=python3.12 ..." >&2
        exit 1
    }
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="python3-venv"
fi
command -v git >/dev/null 2>&1 || missing="$missing git"
if [ -n "$missing" ]; then
    echo "missing: $missing. Install with: sudo apt-get install -y $missing" >&2
    exit 1
fi
