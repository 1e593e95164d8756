# Uploading, starting, and staying until nothing of the job is left.

receive() { # unpacks standard input into $upload; what an upload that was cut off left behind goes too
    [ -d "$jobs" ] && [ -d "$root/uploads" ] || mkdir -p "$jobs" "$root/uploads" || die 4 "cannot write to $root"
    for leftover in "$root/uploads"/*; do
        [ -d "/proc/${leftover##*/}" ] || rm -rf "$leftover"
    done
    upload=$root/uploads/$$
    trap 'rm -rf "$upload"' EXIT
    trap 'exit 143' HUP INT TERM
    mkdir "$upload" || die 4 "cannot write to $root"
    (cd "$upload" && tar -xof -) || die 4 "cannot unpack what was sent: the disk is full, or the upload was cut off"
}

put_in_place() { # JOB...; sets placed: those that nobody else, neither a start nor a kill, put there before
    read_clock
    for job in "$@"; do
        # A tar that was cut off between two members unpacks without complaint: the last one must have come.
        [ -f "$upload/$job/spec/terms" ] || die 4 "the upload was cut off"
        {
            printf '%s\n%300s\n' "$boot $now" '' >"$upload/$job/born"
            printf '%300s\n' '' >"$upload/$job/spare"
        } 2>/dev/null || die 4 "cannot write to $root"
    done
    # Renaming fails where there is a folder already that is not empty. In one that is, a kill is about to close the gate.
    (cd "$upload" && mv -f "$@" "$jobs/" 2>/dev/null)
    placed=
    for job in "$@"; do
        [ -d "$upload/$job" ] || placed="$placed $job"
        [ -d "$jobs/$job" ] || die 4 "cannot make $jobs/$job"
    done
}

cmd_start() { # BOOT_ID JOB... < tar of a folder for each
    [ "${1:-}" = "$boot" ] || die 3 "this machine is on another boot ($boot)"
    shift
    use_every "$@"
    new=
    for job in "$@"; do [ -d "$jobs/$job" ] || new="$new $job"; done
    if [ "$new" ]; then
        receive
        # shellcheck disable=SC2086 # ids, to be split
        put_in_place $new
        if [ "$placed" ]; then
            # shellcheck disable=SC2086
            $detach sh "$root/agent" supervise $placed </dev/null >/dev/null 2>&1 &
        fi
    fi
    for job in "$@"; do
        use_job "$job"
        judge
        printf '%s\n' "$line"
    done
}

# Of job $job: the sum over all its processes now, or the highest that one alone ever had, if that is more.
sample_memory() { # FIND; fails where it finds none
    $1
    [ -n "$pids" ] || return
    files='' peak=0
    for pid in $pids; do files="$files /proc/$pid/status"; done
    # shellcheck disable=SC2086
    used=$(cat $files 2>/dev/null | awk '
        /^VmRSS:/ { sum += $2 }
        /^VmHWM:/ { if ($2 > top) top = $2 }
        END { printf "%d\n", (sum > top ? sum : top) }')
    { read -r peak <"$dir/usage"; } 2>/dev/null
    [ "$used" -gt "$peak" ] || return 0
    { printf '%s\n' "$used" >"$dir/usage.$$" && mv -f "$dir/usage.$$" "$dir/usage"; } 2>/dev/null
}

guard() { # JOB...: runs beside the commands: samples memory, and enforces time limits
    sleeper='' interval=30
    trap '[ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null; exit 0' TERM
    while :; do
        pause=$interval active=''
        for job in "$@"; do
            use_job "$job"
            if [ ! -e "$dir/exit" ] && guard_job; then active=yes; fi
        done
        [ "$active" ] || return
        seconds "$pause"
        sleep "$duration" 2>/dev/null &
        sleeper=$!
        if ! wait "$sleeper"; then sleep "$whole" & sleeper=$!; wait "$sleeper"; fi
        # After 0.3, 1.5 and 6 s, then every 5 s.
        [ "$interval" -ge 500 ] || interval=$((interval * 4))
        [ "$interval" -le 500 ] || interval=500
    done
}

guard_job() { # a look at job $job; makes pause shorter if its time is over sooner; fails when nothing is left of it
    read_terms
    read_clock
    if read_gate; then
        # A look at all processes costs more than many a short job does: at first its own session has to do.
        case $interval in
        30) ;;
        500) sample_memory find_processes || is_supervised || return ;;
        *) sample_memory find_in_session || is_supervised || return ;;
        esac
        due=$((started_at + ${limit:-0}))
    else
        [ -z "$gate" ] || return
        due=$((now + ${limit:-0}))
    fi
    [ "$limit" ] || return 0
    if [ "$now" -ge "$due" ]; then
        # In a fork, since the limits of others go on.
        if [ ! -e "$dir/stop" ]; then end_late & fi
        due=$((now + 100))
    fi
    [ $((due - now)) -ge "$pause" ] || pause=$((due - now))
}

is_supervised() {
    read_stat "$boss"
    [ "$alive" = "$boss_start" ]
}

end_late() {
    read_self
    publish stop timeout
    end_processes 1000 find_processes
}

cmd_supervise() { # JOB...: stays until nothing of them is left
    use_every "$@"
    read_date
    supervisors=
    for job in "$@"; do
        use_job "$job"
        supervise &
        supervisors="$supervisors $!"
    done
    guard "$@" &
    watcher=$!
    for supervisor in $supervisors; do wait "$supervisor"; done
    kill -s TERM "$watcher" 2>/dev/null || :
}

supervise() { # what the command of job $job came to is said when nothing is left of it
    read_self
    boss=$self boss_start=$self_start
    make_group
    become_job </dev/null >>"$dir/log" 2>&1 &
    wait $!
    result=$?
    # Another gate than our child's: the job was killed, or given up, before it could begin.
    read_gate && [ "$boss" = "$self" ] && [ "$gate_boot" = "$boot" ] || exit 0
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

become_job() { # a fork of the supervisor that becomes the command. Until its gate is closed behind it, it may end as nothing.
    read_self
    join_group
    read_date
    # Nobody is woken: `start` has answered that the job is known here, and its end is what is waited for.
    publish pid "$boot $self $self_start $boss $boss_start $date $now" || exit 0
    read_terms
    case $runs_in in home) place=$HOME ;; *) place=$dir/work ;; esac
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
    [ $# -eq 0 ] || set -- "$(command -v env)" "$@"
    RECONCILER_JOB=$job RECONCILER_COMMAND=$dir/spec/command RECONCILER_DETACH=$detach
    export_all "$dir/spec/env"
    # The environment says whose process this is, from here on to whatever it starts.
    export "RECONCILER_ATTEMPT=$RECONCILER_JOB"
    exec $RECONCILER_DETACH "$@" /bin/sh "$RECONCILER_COMMAND"
}

# A value never becomes an argument: everybody on the machine can read those. The variables are exported one by one, so
# none of ours may be called as one of a job's could be: names with RECONCILER_ in front are ours.
export_all() { # FOLDER: the variables that its files hold
    RECONCILER_FOLDER=$1
    for RECONCILER_FILE in "$RECONCILER_FOLDER"/*; do
        if [ ! -f "$RECONCILER_FILE" ] || shells_own "${RECONCILER_FILE##*/}"; then continue; fi
        RECONCILER_VALUE='' RECONCILER_PIECE=''
        while IFS= read -r RECONCILER_PIECE; do
            RECONCILER_VALUE="$RECONCILER_VALUE$RECONCILER_PIECE
"
        done <"$RECONCILER_FILE"
        export "${RECONCILER_FILE##*/}=$RECONCILER_VALUE$RECONCILER_PIECE"
    done
}
