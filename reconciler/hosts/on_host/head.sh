#!/bin/sh
# The job agent: runs commands on one machine and tells the truth about them, whoever asks, however often, whatever dies.
#
# It lives in ~/.reconciler/agent and needs a POSIX userland and /proc. Jobs need no daemon: what it knows of them lies
# in ~/.reconciler/jobs/<job>/, where every file appears whole or not at all:
#
#   born    boot id, centiseconds of uptime       written by `start`: from when `starting` counts
#   spare                                         disk space for how it ends, should there be none left
#   pid     the gate: whoever makes it decides what becomes of the job. Either `closed` (it will never run), or
#           boot id, main pid, its start time, supervisor pid, its start time, started (epoch s), started (uptime cs)
#   stop    timeout | request                     why it is being ended
#   usage   peak memory in KiB, so far
#   exit    the job's line of the report, final
#   log, work/, spec/                             output, the uploaded folder, what to run and how
#   forgotten                                     the results are home: only the tombstone is left
#
# Of the machine as a whole, in ~/.reconciler/:
#
#   watch   armed | powerless, boot id, pid       the dead-man watch; then its start time, version and arguments
#   lease   boot id, centiseconds of uptime       when a report last renewed it
#   notice  boot id, rebalance | eviction         what the cloud said of this machine's end
#   claim   whose machine this is
#
# Exit status: 0 done, 2 wrong usage, 3 another boot, 4 no space or no permission here, 5 no such job, 6 not over yet,
# 7 (`log --follow`) not over within 50 s, 8 another's machine.
# shellcheck disable=SC2015,SC2317 # `A && B || C` is meant as written; find_machine is called by its name
set -u

version='@version@'
root=$HOME/.reconciler
jobs=$root/jobs
waiters=$root/waiters
machine=${RECONCILER_MACHINE:-}
start_grace=3000  # centiseconds that a job may be `starting`
longest_wait=50   # seconds that a report may wait
tick=500          # centiseconds after which a waiting report looks for what nobody told it of
log_half=512      # pieces of 64 KiB: a longer log comes home as its first and its last 32 MiB
# Where groups of processes may be made: by root, as a rule, and where the kernel's cgroups are version 2.
if [ "${RECONCILER_CGROUPS+set}" ]; then cgroups=$RECONCILER_CGROUPS; else
    for cgroups in /sys/fs/cgroup /sys/fs/cgroup/unified ''; do
        [ -n "$cgroups" ] && [ -e "$cgroups/cgroup.controllers" ] && [ -w "$cgroups/cgroup.procs" ] && break
    done
fi
epoch=            # seconds since 1970 when this machine was booted, once somebody needs to know
detach=
if command -v setsid >/dev/null 2>&1; then detach=setsid; fi

die() { # STATUS WORD...
    status=$1
    shift
    printf 'agent: %s\n' "$*" >&2
    exit "$status"
}

read_clock() { # sets now: centiseconds of uptime, which no one can set back
    read -r now rest </proc/uptime
    now=${now%.*}${now#*.}
    while :; do case $now in 0?*) now=${now#0} ;; *) break ;; esac; done
}

read_date() { # sets date: seconds since 1970, counted on from the one time that a process was asked for them
    read_clock
    [ "$epoch" ] || epoch=$(($(date +%s) - now / 100))
    date=$((epoch + now / 100))
}

read_boot() { # sets boot
    read -r boot <"${RECONCILER_BOOT_ID_FILE:-/proc/sys/kernel/random/boot_id}" || die 4 "cannot read this boot's id"
}

seconds() { # CENTISECONDS; sets duration for sleep, and whole for a sleep that knows only whole seconds
    whole=$((($1 + 99) / 100))
    fraction=$(($1 % 100))
    case $fraction in ?) fraction=0$fraction ;; esac
    duration=$(($1 / 100)).$fraction
}

nap() { # CENTISECONDS
    seconds "$1"
    sleep "$duration" 2>/dev/null || sleep "$whole"
}

use_job() { # JOB; sets job and dir
    case ${1:-} in
    '' | .* | -* | *[!A-Za-z0-9._-]*) die 2 "a job's id consists of letters, digits, dots, underscores and dashes" ;;
    esac
    [ ${#1} -le 100 ] || die 2 "a job's id has at most 100 characters"
    job=$1
    dir=$jobs/$job
}

use_every() { # JOB...: whether all of them can be ids, and each is there once
    [ $# -gt 0 ] || die 2 "which job?"
    named=' '
    for job in "$@"; do
        use_job "$job"
        case $named in *" $job "*) die 2 "$job is named twice" ;; esac
        named="$named$job "
    done
}

# Makes the file $dir/NAME, whole; fails if it exists. Spares written at the start serve a full disk: `born` is one, for
# nobody asks for it once there is a gate. What it is linked from has a name that no other process ever uses, and stays
# until the job is forgotten: removing it costs a process.
publish() { # NAME TEXT
    read_clock
    temporary=$dir/$1.${self:-$$}.$now
    if ! { printf '%s\n' "$2" >"$temporary"; } 2>/dev/null; then
        spare=$dir/spare
        [ "$1" != exit ] || spare=$dir/born
        mv -f "$spare" "$temporary" 2>/dev/null && printf '%s\n' "$2" 1<>"$temporary"
    fi
    ln "$temporary" "$dir/$1" 2>/dev/null
}

read_terms() { # sets runs_in: home | work; max_files, max_bytes; limit: centiseconds, empty where there is none
    runs_in=work max_files=0 max_bytes=0 limit=''
    { read -r runs_in max_files max_bytes limit <"$dir/spec/terms"; } 2>/dev/null
    case $limit in *[!0-9]*) limit='' ;; esac
}

wake() { # every report that waits
    for waiter in "$waiters"/*; do
        # Opened for reading too, so that a waiter that died does not block us.
        [ ! -p "$waiter" ] || printf '\n' 1<>"$waiter"
    done
}
