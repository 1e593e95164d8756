#!/bin/sh
# Trains one submission by RAMP's own tool, in the submission's own uploaded folder, beside other jobs of the machine.
#
# Behind environment.sh, whose functions it uses. What it has to know is in its environment; nothing of that is ever made
# part of a command's text:
#   RECONCILER_SUBMISSION    the submission's name
#   RECONCILER_RAMP_KIT      the kit's folder; ~/ is the machine's home
#   RECONCILER_RAMP_DATA     the folder that holds data/; empty: the kit's
#   RECONCILER_RAMP_COMMAND  a shell command to run instead of RAMP's tool; empty: the tool
#   RECONCILER_RAMP_MEMORY   yes: record the memory in mprof.dat
#
# The command runs in .ramp/kit, a folder of links to all that the kit holds, with a submissions/ that holds this
# submission alone: what it writes to the kit's folder stays its own. Exit status: the tool's; 2: the kit is not there,
# 126: no room to work, 127: RAMP's tool, or the environment that the pool names, is not there.

work=$(pwd -P)
# shellcheck disable=SC1091 # the machine's own
[ ! -r "$HOME/.profile" ] || . "$HOME/.profile"
for place in "$HOME/venv" "$HOME/.local" "$HOME/env"; do
    [ ! -d "$place/bin" ] || PATH=$place/bin:$PATH
done
export PATH
use_environment

give_up() { # STATUS WORD...
    status=$1
    shift
    printf 'ramp: %s\n' "$*" >&2
    exit "$status"
}

make_own_kit() { # outputs of an earlier run may have come with the submission: they are no results of this one
    rm -rf "$work/training_output" "$work/mprof.dat" "$work/.ramp"
    mkdir -p "$work/.ramp/kit" "$work/.ramp/submissions" &&
        ln -s "$work" "$work/.ramp/submissions/$RECONCILER_SUBMISSION" &&
        ln -s "$work/.ramp/submissions" "$work/.ramp/kit/submissions" &&
        ln -s "$data/data" "$work/.ramp/kit/data" || return 1
    for entry in "$kit"/* "$kit"/.[!.]*; do
        name=${entry##*/}
        case $name in submissions | data) continue ;; esac
        [ ! -e "$entry" ] || ln -s "$entry" "$work/.ramp/kit/$name" || return 1
    done
}

profile() { # COMMAND...: mprof says nothing of the command's exit status, so that is written down
    # shellcheck disable=SC2016 # for the inner shell
    mprof run --include-children --output "$work/mprof.dat" \
        /bin/sh -c '"$@"; printf "%s\n" "$?" >"$0"' "$work/.ramp/status" "$@"
    status=$?
    [ $status -ne 0 ] || status=1
    { read -r status <"$work/.ramp/status"; } 2>/dev/null
    exit "$status"
}

find_tool() { # sets tool: of the environment that is named, and of no other; empty when there is none
    for tool in ramp-test ramp_test_submission; do
        [ -z "$bin" ] || tool=$bin/$tool
        ! command -v "$tool" >/dev/null 2>&1 || return 0
    done
    tool=''
    [ -z "${RECONCILER_PYTHON:-}" ] || ! "$RECONCILER_PYTHON" -c "$has_ramp" || tool=module
}

on_machine "$RECONCILER_RAMP_KIT"
# shellcheck disable=SC2154 # on_machine, of environment.sh, sets it
kit=$path
on_machine "${RECONCILER_RAMP_DATA:-$RECONCILER_RAMP_KIT}"
data=$path
[ -d "$kit" ] || give_up 2 "there is no kit in $kit: bring it with files: or setup: in the pool's spec"

RECONCILER_RAMP_KIT=$kit RECONCILER_RAMP_DATA=$data RECONCILER_RAMP_SUBMISSIONS=$work/.ramp/submissions
TERM=dumb PYTHONUNBUFFERED=1 # the log is read by people and by the reconciler: no colours, and each line at once
export RECONCILER_RAMP_KIT RECONCILER_RAMP_DATA RECONCILER_RAMP_SUBMISSIONS TERM PYTHONUNBUFFERED
{ make_own_kit && cd "$work/.ramp/kit"; } || give_up 126 "cannot write to $work"

has_ramp='import importlib.util, sys; sys.exit(importlib.util.find_spec("rampwf") is None)'
tool=''
[ -n "${RECONCILER_RAMP_COMMAND:-}" ] || find_tool
set -- --submission "$RECONCILER_SUBMISSION" --ramp-kit-dir "$kit" --ramp-data-dir "$data" \
    --ramp-submission-dir "$work/.ramp/submissions" --save-output
[ -z "${RECONCILER_CONDA_ENV:-}" ] || set -- "$@" --ignore-warning # as RAMP's own conda worker does
case $tool in
*ramp-test) set -- "$tool" "$@" ;;
module) set -- "$RECONCILER_PYTHON" -m rampwf.utils.cli.testing "$@" ;;
*ramp_test_submission)
    # Its first versions take no other folder for submissions, and they all look around where they are started.
    set -- "$tool" --submission "$RECONCILER_SUBMISSION" --save-y-preds
    ;;
*)
    place=${bin:+in $bin}
    [ -n "${RECONCILER_RAMP_COMMAND:-}" ] || give_up 127 "neither ramp-test nor ramp_test_submission is" \
        "${place:-here}: install ramp-workflow in the pool's setup"
    set -- /bin/sh -c "$RECONCILER_RAMP_COMMAND"
    ;;
esac

if [ "${RECONCILER_RAMP_MEMORY:-}" = yes ]; then
    command -v mprof >/dev/null 2>&1 || give_up 127 "there is no mprof for memory_profiling: install memory_profiler"
    profile "$@"
fi
exec "$@"
