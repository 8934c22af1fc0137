# Sourced by the scripts: the pinned environment in .venv, made with uv (installed with pip where it is missing).
# Afterwards `python` is that environment's, and the working folder is the repository. Where .venv is active already,
# it is taken as it is.

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

find_uv() {
    if command -v uv >/dev/null 2>&1; then UV=(uv)
    elif python3 -m uv --version >/dev/null 2>&1; then UV=(python3 -m uv)
    elif [ -x .uv/bin/uv ]; then UV=(.uv/bin/uv)
    else return 1
    fi
}

if [ "${VIRTUAL_ENV:-}" != "$PWD/.venv" ]; then
    if ! find_uv; then
        echo "installing uv with pip" >&2
        # Where the system's Python forbids that, into a small environment of its own.
        python3 -m pip install --quiet uv 2>/dev/null || { python3 -m venv .uv && .uv/bin/pip install --quiet uv; }
        find_uv
    fi
    "${UV[@]}" sync --frozen --quiet
    export VIRTUAL_ENV="$PWD/.venv" PATH="$PWD/.venv/bin:$PATH"
fi
