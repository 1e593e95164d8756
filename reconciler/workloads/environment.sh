#!/bin/sh
# Puts the environment that a pool names in front of PATH. It stands in front of a workload's own lines.
#
# At most one of these is set; no value of them is ever made part of a command's text:
#   RECONCILER_CONDA_ENV  the name of a conda environment
#   RECONCILER_VENV       the folder of a virtual environment; ~/ is the machine's home
#   RECONCILER_PYTHON     the path of an interpreter; ~/ is the machine's home
#
# use_environment sets bin: the folder of the environment's programs; empty where none is named. Exit status 127: what
# is named is not there. Nothing of an environment is run here, neither its activation scripts nor its interpreter.

no_environment() { # WORD...
    printf 'environment: %s\n' "$*" >&2
    exit 127
}

on_machine() { # PATH; sets path: the machine's home in the place of ~
    case $1 in
    [~]/*) path=$HOME/${1#??} ;;
    *) path=$1 ;;
    esac
}

strings_of() { # KEY < JSON: its text, or the texts of its list, one a line. Bytes, so that every awk does the same.
    LC_ALL=C awk -v key="\"$1\"" '
        function hex(digits,    at, value) {
            for (at = 1; at <= 4; at++) value = value * 16 + index("123456789abcdef", tolower(substr(digits, at, 1)))
            return value
        }
        function bytes(code) {
            if (code < 128) return sprintf("%c", code)
            if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
            if (code < 65536) return sprintf("%c", 224 + int(code / 4096)) low(code)
            return sprintf("%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64) low(code)
        }
        function low(code) { return sprintf("%c%c", 128 + int(code / 64) % 64, 128 + code % 64) }
        function plain(said,    at, found, code) {
            while ((at = index(said, "\\")) > 0) {
                found = found substr(said, 1, at - 1)
                if (substr(said, at + 1, 1) != "u") {
                    found = found substr(said, at + 1, 1)
                    said = substr(said, at + 2)
                    continue
                }
                code = hex(substr(said, at + 2, 4))
                said = substr(said, at + 6)
                if (code >= 55296 && code < 56320) {  # half of a pair
                    code = 65536 + (code - 55296) * 1024 + hex(substr(said, 3, 4)) - 56320
                    said = substr(said, 7)
                }
                found = found bytes(code)
            }
            return found said
        }
        { text = text $0 " " }
        END {
            if (!match(text, key "[ \t\r]*:[ \t\r]*[[]?")) exit
            listed = substr(text, RSTART + RLENGTH - 1, 1) == "["
            text = substr(text, RSTART + RLENGTH)
            while (match(text, /^[ \t\r,]*"([^"\\]|\\.)*"/)) {
                said = substr(text, 1, RLENGTH - 1)
                text = substr(text, RLENGTH + 1)
                sub(/^[^"]*"/, "", said)
                print plain(said)
                if (!listed) exit
            }
        }'
}

conda_is_known() { # sets conda: the one that conda's own variable names, or PATH
    conda=${CONDA_EXE:-}
    [ -x "$conda" ] || conda=$(command -v conda) || return 1
    case $conda in /*) [ -x "$conda" ] ;; *) return 1 ;; esac
}

find_conda() { # HOME...; sets conda: as a shell that logged in finds it, else where its installers put it
    conda_is_known && return
    # shellcheck disable=SC1091 # the machine's own
    [ ! -r "$HOME/.profile" ] || . "$HOME/.profile" >/dev/null
    conda_is_known && return
    for place in "$@" /opt /usr/local; do
        for name in miniconda3 miniforge3 mambaforge anaconda3 miniconda anaconda conda; do
            conda=$place/$name/bin/conda
            [ ! -x "$conda" ] || return 0
        done
    done
    return 1
}

prefix_in() { # NAME LISTING; sets prefix: by conda's rule, else by RAMP's (the last part of a path), else empty
    root=$(printf '%s\n' "$2" | strings_of root_prefix)
    [ -n "$root" ] || root=$("$conda" info --base 2>/dev/null)
    [ -d "$root" ] || root=$(printf '%s\n' "$2" | strings_of envs | head -n 1)
    prefix=$root
    [ "$1" != base ] || return 0
    prefix=$(printf '%s\n' "$2" | strings_of envs_dirs | while IFS= read -r folder; do
        [ ! -d "$folder/$1/bin" ] || { printf '%s\n' "$folder/$1" && break; }
    done)
    [ -z "$prefix" ] || return 0
    prefix=$(printf '%s\n' "$2" | strings_of envs | while IFS= read -r each; do
        [ "${each##*/}" != "$1" ] || [ "$each" = "$root" ] || { printf '%s\n' "$each" && break; }
    done)
}

names_in() { # LISTING; after prefix_in. Prints the name of every environment in it.
    printf '%s\n' "$1" | strings_of envs | while IFS= read -r each; do
        if [ "$each" = "$root" ]; then echo base; else printf '%s\n' "${each##*/}"; fi
    done
}

conda_prefix() ( # NAME: prints the environment's folder
    wanted=$1 names=''
    # A local machine's home is a folder of its own: what conda lists there need not be all that the account has.
    account=$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6)
    find_conda "$HOME" "$account" || no_environment "there is no conda here: install it, put it into PATH" \
        "in the machine's .profile, or name a virtual environment by venv: or an interpreter by python:"
    for home in "$HOME" "$account"; do
        [ -n "$home" ] || continue
        listing=$(HOME=$home "$conda" info --envs --json) || no_environment "$conda cannot list its environments"
        prefix_in "$wanted" "$listing"
        if [ -n "$prefix" ] && [ -d "$prefix/bin" ]; then
            printf '%s\n' "$prefix"
            return
        fi
        names=$(printf '%s\n%s\n' "$names" "$(names_in "$listing")" | sed '/^$/d' | sort -u)
    done
    no_environment "conda knows no environment '$wanted' here, only:" \
        "$(printf '%s\n' "$names" | sed -e ':more' -e '$!N' -e 's/\n/, /' -e 't more')"
)

use_environment() {
    bin=''
    if [ -n "${RECONCILER_CONDA_ENV:-}" ]; then
        CONDA_PREFIX=$(conda_prefix "$RECONCILER_CONDA_ENV") || exit
        CONDA_DEFAULT_ENV=$RECONCILER_CONDA_ENV bin=$CONDA_PREFIX/bin
        export CONDA_PREFIX CONDA_DEFAULT_ENV
    elif [ -n "${RECONCILER_VENV:-}" ]; then
        on_machine "$RECONCILER_VENV"
        [ -x "$path/bin/python" ] ||
            no_environment "there is no virtual environment in $path: make it in the pool's setup (python3 -m venv)"
        VIRTUAL_ENV=$path bin=$path/bin
        export VIRTUAL_ENV
    elif [ -n "${RECONCILER_PYTHON:-}" ]; then
        on_machine "$RECONCILER_PYTHON"
        { [ -f "$path" ] && [ -x "$path" ]; } || no_environment "there is no interpreter $path that can be run"
        RECONCILER_PYTHON=$path bin=${path%/*}
        export RECONCILER_PYTHON
    fi
    [ -n "$bin" ] || return 0
    unset PYTHONHOME # another interpreter's libraries are none of this one
    PATH=$bin:$PATH
    export PATH
}
