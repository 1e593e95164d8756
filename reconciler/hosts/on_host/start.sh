# Uploading, starting, and staying until nothing of the job is left.

receive() { # unpacks standard input into $upload; what an upload that was cut off left behind goes too
    [ -d "$jobs" ] && [ -d "$root/uploads" ] || mkdir -p "$jobs" "$root/uploads" || die 4 "cannot write to $root"
    for leftover in "$root/uploads"/*; do
        [ -d "/proc/${leftover##*.}" ] || rm -rf "$leftover"
    done
    upload=$root/uploads/$job.$$
    trap 'rm -rf "$upload"' EXIT
    trap 'exit 143' HUP INT TERM
    mkdir "$upload" || die 4 "cannot write to $root"
    (cd "$upload" && tar -xof -) || die 4 "cannot unpack what was sent: the disk is full, or the upload was cut off"
    # A tar that was cut off between two members unpacks without complaint: the last one must have come.
    [ -f "$upload/spec/end" ] || die 4 "the upload was cut off"
}

cmd_start() { # JOB BOOT_ID < tar
    use_job "${1:-}"
    [ "${2:-}" = "$boot" ] || die 3 "this machine is on another boot ($boot)"
    if [ ! -d "$dir" ]; then
        receive
        read_clock
        {
            printf '%s\n' "$boot $now" >"$upload/born"
            printf '%300s\n' '' >"$upload/spare.stop"
            printf '%300s\n' '' >"$upload/spare.exit"
        } 2>/dev/null || die 4 "cannot write to $root"
        # Where another start, or a kill, was quicker, mv either fails or puts the upload into the folder that is there.
        late=$dir/${upload##*/}
        if [ ! -d "$dir" ] && mv "$upload" "$dir" 2>/dev/null && [ ! -d "$late" ]; then
            trap - EXIT
            $detach sh "$root/agent" supervise "$job" </dev/null >/dev/null 2>&1 &
        elif [ -d "$late" ]; then
            rm -rf "$late"
        fi
        [ -d "$dir" ] || die 4 "cannot make $dir"
    fi
    judge
    printf '%s\n' "$line"
}

sample_memory() { # FIND: the sum over all processes now, or the highest that one alone ever had, if that is more
    $1
    [ -n "$pids" ] || return 0
    files=
    for pid in $pids; do files="$files /proc/$pid/status"; done
    # shellcheck disable=SC2086
    used=$(cat $files 2>/dev/null | awk '
        /^VmRSS:/ { sum += $2 }
        /^VmHWM:/ { if ($2 > top) top = $2 }
        END { printf "%d\n", (sum > top ? sum : top) }')
    [ "$used" -gt "$peak" ] || return 0
    peak=$used
    { printf '%s\n' "$peak" >"$dir/usage.$$" && mv -f "$dir/usage.$$" "$dir/usage"; } 2>/dev/null
}

guard() { # runs beside the command: samples memory, and enforces the time limit
    sleeper='' peak=0 interval=30 limit=''
    trap '[ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null; exit 0' TERM
    { read -r limit <"$dir/spec/limit"; } 2>/dev/null
    read_clock
    due=$((now + ${limit:-0}))
    while :; do
        pause=$interval
        if [ -n "$limit" ]; then
            if [ "$now" -ge "$due" ]; then publish stop timeout; end_processes 1000 find_processes; fi
            [ $((due - now)) -ge "$pause" ] || pause=$((due - now))
            [ "$pause" -gt 0 ] || pause=100
        fi
        seconds "$pause"
        sleep "$duration" 2>/dev/null &
        sleeper=$!
        if ! wait "$sleeper"; then sleep "$whole" & sleeper=$!; wait "$sleeper"; fi
        # A look at all processes costs more than many a short job does: at first its own session has to do.
        if [ "$interval" -lt 500 ]; then sample_memory find_in_session; else sample_memory find_processes; fi
        if [ -z "$pids" ] && ! kill -0 $$ 2>/dev/null; then return; fi
        # After 0.3, 1.5 and 6 s, then every 5 s.
        [ "$interval" -ge 500 ] || interval=$((interval * 4))
        [ "$interval" -le 500 ] || interval=500
        read_clock
    done
}

cmd_supervise() { # JOB: stays until nothing of the job is left, then says how it ended
    use_job "${1:-}"
    read_stat $$
    make_group
    RECONCILER_ATTEMPT=$job $detach sh "$root/agent" run "$job" $$ "$alive" </dev/null >>"$dir/log" 2>&1 &
    child=$!
    guard &
    watcher=$!
    wait "$child"
    result=$?
    { kill -s TERM "$watcher"; wait "$watcher"; } 2>/dev/null
    # Another gate than our child's: the job was killed, or given up, before it could begin.
    read_gate && [ "$boss" = $$ ] && [ "$gate_boot" = "$boot" ] || exit 0
    grace=200 cause=''
    { read -r cause <"$dir/stop"; } 2>/dev/null
    case $cause in timeout) grace=1000 ;; request) grace=500 ;; esac
    until end_processes $grace find_processes; do :; done
    ! name_group || rmdir "$group" 2>/dev/null
    until close_job exited $result || [ -e "$dir/exit" ]; do nap 100; done
}

read_value() { # FILE; sets value, line ends and all
    value='' piece=''
    while IFS= read -r piece; do
        value="$value$piece
"
    done <"$1"
    value=$value$piece
}

# Variables that some shell keeps for itself, so that exporting one would fail or change it. No secret is called so.
shells_own() { # NAME
    case $1 in
    _ | BASH* | COMP_* | DIRSTACK | EPOCH* | EUID | FUNCNAME | GROUPS | HISTCMD | IFS | LINENO | OPT* | PATH | PPID | PS[0-9] | \
        RANDOM | SECONDS | SHELLOPTS | SHLVL | SRANDOM | UID) return 0 ;;
    esac
    return 1
}

cmd_run() { # JOB SUPERVISOR ITS_START: becomes the command. The environment says already whose process this is.
    use_job "${1:-}"
    read_stat $$
    read_clock
    # Nobody is woken: `start` has answered that the job is known here, and its end is what is waited for.
    publish pid "$boot $$ $alive $2 $3 $(date +%s) $now" || exit 0
    join_group
    read_value "$dir/spec/runs_in"
    case $value in home) place=$HOME ;; *) place=$dir/work ;; esac
    cd "$place" || exit 126
    unset RECONCILER_BOOT_ID_FILE RECONCILER_CGROUPS
    [ -z "$machine" ] || export "RECONCILER_MACHINE=$machine"
    set --
    for file in "$dir"/spec/env/*; do
        name=${file##*/}
        if [ -f "$file" ] && shells_own "$name"; then
            read_value "$file"
            set -- "$@" "$name=$value"
        fi
    done
    set -- "$(command -v env)" "$@" "RECONCILER_ATTEMPT=$job" /bin/sh "$dir/spec/command"
    become "$dir/spec/env" "$@"
}

# A value never becomes an argument: everybody on the machine can read those. The variables are exported one by one, so
# none of ours may be called as one of a job's could be: names with RECONCILER_ in front are ours.
become() { # FOLDER COMMAND...: becomes the command, with the variables that the folder's files hold
    RECONCILER_FOLDER=$1
    shift
    for RECONCILER_FILE in "$RECONCILER_FOLDER"/*; do
        if [ ! -f "$RECONCILER_FILE" ] || shells_own "${RECONCILER_FILE##*/}"; then continue; fi
        RECONCILER_VALUE='' RECONCILER_PIECE=''
        while IFS= read -r RECONCILER_PIECE; do
            RECONCILER_VALUE="$RECONCILER_VALUE$RECONCILER_PIECE
"
        done <"$RECONCILER_FILE"
        export "${RECONCILER_FILE##*/}=$RECONCILER_VALUE$RECONCILER_PIECE"
    done
    exec "$@"
}
