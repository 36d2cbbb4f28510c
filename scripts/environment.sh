# Sourced by scripts/demo and scripts/test. POSIX sh. Expects $ROOT; after `make_environment EXTRAS`, $PYTHON runs edgekit.

say() { printf '%s\n' "$*" >&2; }

stop() {
    say "$0: $1"
    [ -z "${2:-}" ] || say "  hint: $2"
    exit 3
}

find_python() {
    for candidate in "${EDGEKIT_PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    stop "no Python 3.11 or newer was found" "install one (for example: apt-get install python3.11 python3.11-venv), or name it in EDGEKIT_PYTHON"
}

# The environment is the checkout's own .venv, called by its path: nothing needs to be activated, and an active one is left alone.
make_environment() {
    extras=$1
    PYTHON=$ROOT/.venv/bin/python
    if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        base=$(find_python) || exit 3
        say "making .venv with $("$base" --version 2>&1)"
        "$base" -m venv --clear "$ROOT/.venv" ||
            stop "$base cannot make a virtual environment" "install its venv module (for example: apt-get install python3-venv)"
    fi
    # Installing again is skipped while pyproject.toml, the extras and the interpreter are those of the last successful install.
    stamp=$ROOT/.venv/.edgekit-installed${extras:+-$extras}
    wanted=$({ cat "$ROOT/pyproject.toml"; "$PYTHON" --version; printf '%s\n' "$ROOT"; } | "$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || ! "$PYTHON" -c 'import edgekit' >/dev/null 2>&1; then
        say "installing edgekit${extras:+ with its $extras tools} into .venv"
        "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable "$ROOT${extras:+[$extras]}" >&2 ||
            stop "the installation failed" "see pip's message above; it needs a package index (or PIP_INDEX_URL, PIP_PROXY)"
        printf '%s\n' "$wanted" >"$stamp"
    fi
    # Tools are called by name from here on, and find each other.
    PATH=$ROOT/.venv/bin:$PATH
    export PATH
    unset PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE # with the last, every process would compile all that it imports
}
