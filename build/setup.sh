#!/bin/sh
# Make the virtual environment that everything else uses, with the tested package versions, and see to the
# system libraries Qt needs. Usage, from the repository's root: sh build/setup.sh [VENV]
# PYTHON=/path/to/python chooses the interpreter.
set -eu

venv=${1:-.venv}

# What Qt's platform plugins (offscreen, X11, Wayland) link to beyond its own wheel, and one font.
qt_packages="fontconfig fonts-dejavu-core libdbus-1-3 libegl1 libfontconfig1 libfreetype6 libgl1
libglib2.0-0 libgssapi-krb5-2 libwayland-client0 libwayland-cursor0 libwayland-egl1 libx11-6 libx11-xcb1
libxcb-cursor0 libxcb-glx0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
libxcb-render0 libxcb-shape0 libxcb-shm0 libxcb-sync1 libxcb-util1 libxcb-xfixes0 libxcb-xkb1 libxcb1
libxkbcommon-x11-0 libxkbcommon0"

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "setup: $*"
    exit 1
}

# Install Debian packages where that is possible here; otherwise print the line to run. $1: required or wanted.
debian_packages() {
    need=$1
    shift
    # shellcheck disable=SC2048  # splitting is meant: one line from a list over several
    packages=$(printf '%s ' $*)
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        say "setup: installing system packages with apt-get: $packages"
        apt-get update -qq
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
        return 0
    fi
    if command -v apt-get >/dev/null 2>&1; then
        say "setup: some system packages are missing. Run this line once:"
        say "    sudo apt-get install -y $packages"
    else
        say "setup: some system packages are missing; install what these Debian packages hold: $packages"
    fi
    [ "$need" = wanted ] || fail "and then make again"
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

python=$(find_python) || fail "Python 3.11 or newer is needed and was not found (python3 is: $(python3 --version 2>&1 ||
    true)). Install it from python.org or your system's packages, or name it: make setup PYTHON=/path/to/python3"

if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    debian_packages required python3-venv
fi

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
    say "setup: making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

# Quiet in logs, with progress bars for a person: torch is a large download.
quiet=-q
[ -t 1 ] && quiet=
say "setup: installing the packages in constraints.txt (the first time takes some minutes)"
pip="$venv/bin/python -m pip --disable-pip-version-check"
# The build back end comes first, pinned, so that building needs no isolated environment with other versions.
$pip install $quiet -c constraints.txt hatchling
$pip install $quiet -c constraints.txt --no-build-isolation -e ".[dev]"

if [ "$(uname -s)" = Linux ] && command -v ldd >/dev/null 2>&1; then
    qt=$("$venv/bin/python" -c 'import importlib.util as u; print(u.find_spec("PySide6").submodule_search_locations[0])')
    missing=$(ldd "$qt"/QtWidgets.abi3.so "$qt"/QtSvg.abi3.so "$qt"/QtOpenGLWidgets.abi3.so \
        "$qt"/Qt/plugins/platforms/libqxcb.so "$qt"/Qt/plugins/platforms/libqwayland.so \
        "$qt"/Qt/plugins/platforms/libqoffscreen.so "$qt"/Qt/plugins/xcbglintegrations/*.so 2>/dev/null |
        awk '/not found/ { print $1 }' | sort -u)
    fonts=$(find /usr/share/fonts /usr/local/share/fonts "$HOME/.fonts" "$HOME/.local/share/fonts" \
        \( -name '*.ttf' -o -name '*.otf' -o -name '*.ttc' \) 2>/dev/null | head -n 1)
    if [ -n "$missing" ] || [ -z "$fonts" ]; then
        [ -z "$missing" ] || say "setup: missing libraries:" $missing
        # The command line works without them, so this is no reason to stop.
        debian_packages wanted "$qt_packages"
    fi
fi
say "setup: done"
