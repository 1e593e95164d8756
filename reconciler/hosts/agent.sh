#!/bin/sh
# The job agent: runs commands on one machine and tells the truth about them, whoever asks, however often, whatever dies.
#
# It lives in ~/.reconciler/agent and needs a POSIX userland and /proc. There is no daemon: what it knows lies in
# ~/.reconciler/jobs/<job>/, where every file appears whole or not at all:
#
#   born    boot id, centiseconds of uptime       written by `start`: from when `starting` counts
#   pid     the gate: whoever makes it decides what becomes of the job. Either `closed` (it will never run), or
#           boot id, main pid, its start time, supervisor pid, its start time, started (epoch s), started (uptime cs)
#   stop    timeout | request                     why it is being ended
#   usage   peak memory in KiB, so far
#   exit    the job's line of the report, final
#   log, work/, spec/                             output, the uploaded folder, what to run and how
#   forgotten                                     the results are home: only the tombstone is left
#
# Exit status: 0 done, 2 wrong usage, 3 another boot, 4 no space or no permission here, 5 no such job, 6 not over yet,
# 7 (`log --follow`) not over within 50 s.
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
    '' | .* | *[!A-Za-z0-9._-]*) die 2 "a job's id consists of letters, digits, dots, underscores and dashes" ;;
    esac
    [ ${#1} -le 100 ] || die 2 "a job's id has at most 100 characters"
    job=$1
    dir=$jobs/$job
}

publish() { # NAME TEXT: makes the file $dir/NAME, whole; fails if it exists. A spare written at the start serves a full disk.
    temporary=$dir/$1.$$
    if ! { printf '%s\n' "$2" >"$temporary"; } 2>/dev/null; then
        mv -f "$dir/spare.$1" "$temporary" 2>/dev/null && printf '%s\n' "$2" 1<>"$temporary"
    fi
    ln "$temporary" "$dir/$1" 2>/dev/null
    published=$?
    rm -f "$temporary"
    return $published
}

wake() { # every report that waits
    for waiter in "$waiters"/*; do
        # Opened for reading too, so that a waiter that died does not block us.
        [ ! -p "$waiter" ] || printf '\n' 1<>"$waiter"
    done
}

# --- processes -------------------------------------------------------------------------------------------------------

read_stat() { # PID; sets alive (empty: no such process, or a zombie) to its start time
    alive=
    stat=
    while IFS= read -r stat; do case $stat in *") "*) break ;; esac; done 2>/dev/null <"/proc/$1/stat"
    stat=${stat##*) }
    # shellcheck disable=SC2086 # numbers, to be split
    set -- $stat
    case ${1:-Z} in Z | X) ;; *) alive=${20:-} ;; esac
}

read_gate() { # sets gate; and for a job that ran: gate_boot main main_start boss boss_start started started_at
    gate=
    { read -r gate <"$dir/pid"; } 2>/dev/null
    # shellcheck disable=SC2086 # words of our own, to be split
    set -- $gate
    [ $# -eq 7 ] || return 1
    gate_boot=$1 main=$2 main_start=$3 boss=$4 boss_start=$5 started=$6 started_at=$7
}

find_by_environment() { # prints pids; those of job $job, or of the whole machine while $job is empty
    head -n 1000000 /proc/[0-9]*/environ 2>/dev/null | tr '\n\000' '\001\n' |
        AGENT_JOB=$job AGENT_MACHINE=$machine LC_ALL=C awk '
            function flush() {
                if (pid != "" && (job machine) != "" && (job == "" || is_job) && (machine == "" || is_machine)) print pid
            }
            BEGIN {
                job = ENVIRON["AGENT_JOB"]
                machine = ENVIRON["AGENT_MACHINE"]
            }
            /==> \/proc\/[0-9]+\/environ <==\001/ {
                flush()
                sub(/.*==> \/proc\//, "")
                pid = $0
                sub(/\/.*/, "", pid)
                sub(/[^\001]*\001/, "")
                is_job = is_machine = 0
            }
            $0 == "RECONCILER_ATTEMPT=" job { is_job = 1 }
            $0 == "RECONCILER_MACHINE=" machine { is_machine = 1 }
            END { flush() }'
}

find_by_session() { # PID:START...; prints the pids in the sessions that these processes led
    # One awk reads them all, since starting a process costs as much as reading a hundred of them.
    LC_ALL=C awk '
        function take(pid) {
            if ($1 ~ /^[ZX]/ || !($4 in start)) return
            # Its pid went to another process that leads a session of its own: ours is over.
            if (pid == $4 && $20 != start[$4]) foreign[$4] = 1
            session[pid] = $4
        }
        BEGIN {
            count = split(ARGV[1], given, " ")
            for (i = 1; i <= count; i++) { split(given[i], leader, ":"); start[leader[1]] = leader[2] }
            for (i = 2; i < ARGC; i++) {
                file = ARGV[i] "/stat"
                # A name may have line ends in it: what follows it is on the last line.
                while ((getline <file) > 0) if (sub(/.*\) /, "")) take(substr(ARGV[i], 7))
                close(file)
            }
            for (pid in session) if (!(session[pid] in foreign)) print pid
            exit
        }' "$*" /proc/[0-9]*
}

find_processes() { # sets pids: every process of job $job
    pids=$(find_by_environment)
    if read_gate; then pids="$pids $(find_by_session "$main:$main_start")"; fi
    pids=${pids# }
}

end_processes() { # CENTISECONDS FIND: TERM, after that time KILL, until FIND sets no pids; fails after 10 s more
    $2
    [ -n "$pids" ] || return 0
    # shellcheck disable=SC2086 # numbers, to be split
    kill -s TERM $pids 2>/dev/null
    read_clock
    harder_at=$((now + $1))
    while nap 3 && $2 && [ -n "$pids" ]; do
        read_clock
        [ "$now" -lt $((harder_at + 1000)) ] || return 1
        # shellcheck disable=SC2086
        [ "$now" -lt "$harder_at" ] || kill -s KILL $pids 2>/dev/null
    done
    return 0
}

# --- the truth about one job -----------------------------------------------------------------------------------------

close_job() { # STATE CODE: writes the final line. The first one to come decides.
    state=$1 code=$2 cause='-' peak='-'
    if { read -r cause <"$dir/stop"; } 2>/dev/null; then state=killed code='-'; else cause='-'; fi
    read_gate || started='-'
    { read -r peak <"$dir/usage"; } 2>/dev/null || peak='-'
    publish exit "$job $state $cause $code $started $(date +%s) $peak"
    closed=$?
    wake
    return $closed
}

judge_unborn() { # its process is not there yet: it is starting, for a while
    read_clock
    if ! { read -r born_boot born_at <"$dir/born"; } 2>/dev/null; then
        born_boot=$boot born_at=$now
        publish born "$boot $now"
    fi
    line="$job starting - - - - -"
    if [ "$born_boot" != "$boot" ] || [ "$now" -gt $((born_at + start_grace)) ]; then
        # Whoever closes the gate first is right, so a process that comes late finds that it must not run.
        if publish pid closed; then judge; fi
    fi
}

judge_orphan() { # its supervisor is gone: what is left of it decides, and we see to its time limit
    find_processes
    if [ -z "$pids" ]; then
        close_job gone -
        judge_closed || line="$job running - - $started - $peak"
        return
    fi
    limit=
    { read -r limit <"$dir/spec/limit"; } 2>/dev/null
    read_clock
    [ -n "$limit" ] && [ "$now" -ge $((started_at + limit)) ] || return
    publish stop timeout
    signal=TERM
    [ "$now" -lt $((started_at + limit + 1000)) ] || signal=KILL
    # shellcheck disable=SC2086
    kill -s $signal $pids 2>/dev/null
}

judge_closed() { # sets line, if the job is over
    { read -r line <"$dir/exit"; } 2>/dev/null || return 1
    case $line in "$job "*) return 0 ;; esac
    rm -f "$dir/exit" # torn by a crash of the whole machine
    return 1
}

judge() { # sets line
    ! judge_closed || return 0
    read_gate
    case $gate in
    '')
        judge_unborn
        return
        ;;
    closed)
        close_job gone -
        judge_closed || line="$job gone - - - - -"
        return
        ;;
    esac
    if [ "$gate_boot" != "$boot" ]; then
        close_job gone -
        judge_closed || line="$job gone - - $started - -"
        return
    fi
    { read -r peak <"$dir/usage"; } 2>/dev/null || peak='-'
    line="$job running - - $started - $peak"
    read_stat "$boss"
    [ "$alive" != "$boss_start" ] || return 0
    judge_orphan
}

# --- report ----------------------------------------------------------------------------------------------------------

survey() { # sets lines, count and mark: how many jobs there ever were, how many of them are over, and which are not
    lines='' open='' count=0 over=0 ever=0
    for dir in "$jobs"/*/; do
        dir=${dir%/}
        [ -d "$dir" ] || continue
        ever=$((ever + 1))
        [ ! -e "$dir/forgotten" ] || continue
        job=${dir##*/}
        judge
        lines="$lines$line
"
        case $line in
        "$job starting "*) open=$open,$job=starting ;;
        "$job running "*) open=$open,$job=running ;;
        *) over=$((over + 1)) ;;
        esac
        count=$((count + 1))
    done
    # Tombstones count: one job forgotten and another over must not look as if nothing had happened.
    mark=$ever.$over$open
}

listen() { # CENTISECONDS: from here on, a wake-up is kept for us in descriptor 4, which ends after that time
    if [ -z "$fifo" ]; then
        [ -d "$waiters" ] || mkdir -p "$waiters"
        for waiter in "$waiters"/*; do
            [ -d "/proc/${waiter##*/}" ] || rm -f "$waiter"
        done
        fifo=$waiters/$$
        trap 'rm -f "$fifo"; kill "$sleeper" 2>/dev/null' EXIT
        trap 'exit 143' HUP INT TERM
        mkfifo "$fifo" 2>/dev/null || { rm -f "$fifo" && mkfifo "$fifo"; } || die 4 "cannot make $fifo"
    fi
    seconds "$1"
    # The sleep holds the only writing end that stays, so that reading ends with it.
    exec 3<>"$fifo"
    sleep "$whole" >/dev/null 2>&1 &
    sleeper=$!
    exec 4<"$fifo" 3>&-
}

hear() {
    read -r rest <&4
    exec 4<&-
    { kill "$sleeper"; wait "$sleeper"; } 2>/dev/null
}

cmd_report() { # [--wait SECONDS] [--mark MARK]
    patience=0 known='' fifo='' sleeper=''
    while [ $# -gt 1 ]; do
        case $1 in
        --wait) patience=$2 ;;
        --mark) known=$2 ;;
        *) die 2 "report knows no $1" ;;
        esac
        shift 2
    done
    case $patience in '' | *[!0-9]* | ???*) die 2 "--wait takes whole seconds, at most $longest_wait" ;; esac
    [ "$patience" -le "$longest_wait" ] || patience=$longest_wait
    read_clock
    until=$((now + patience * 100))
    survey
    while [ "$mark" = "$known" ] && [ "$now" -lt "$until" ]; do
        remaining=$((until - now))
        [ "$remaining" -le "$tick" ] || remaining=$tick
        listen "$remaining"
        survey
        if [ "$mark" = "$known" ]; then hear; survey; else exec 4<&-; fi
        read_clock
    done
    read -r uptime rest </proc/uptime
    printf 'agent %s %s %s %s\n%send %s\n' "$version" "$boot" "$uptime" "$mark" "$lines" "$count"
}

# --- start -----------------------------------------------------------------------------------------------------------

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
        if mkdir "$dir" 2>/dev/null; then
            mv "$upload/born" "$upload"/spare.* "$upload/spec" "$upload/work" "$dir/" || die 4 "cannot write to $dir"
            $detach sh "$0" supervise "$job" </dev/null >/dev/null 2>&1 &
        fi
        [ -d "$dir" ] || die 4 "cannot make $dir"
    fi
    judge
    printf '%s\n' "$line"
}

sample_memory() { # the sum over all processes now, or the highest that one alone ever had, if that is more
    find_processes
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
        sample_memory
        if [ -z "$pids" ] && ! kill -0 $$ 2>/dev/null; then return; fi
        # After 0.3, 1.5 and 6 s, then every 5 s: looking costs more than many a short job does.
        [ "$interval" -ge 500 ] || interval=$((interval * 4))
        [ "$interval" -le 500 ] || interval=500
        read_clock
    done
}

cmd_supervise() { # JOB: stays until nothing of the job is left, then says how it ended
    use_job "${1:-}"
    read_stat $$
    RECONCILER_ATTEMPT=$job $detach sh "$0" run "$job" $$ "$alive" </dev/null >>"$dir/log" 2>&1 &
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

cmd_run() { # JOB SUPERVISOR ITS_START: becomes the command. The environment says already whose process this is.
    use_job "${1:-}"
    read_stat $$
    read_clock
    # Nobody is woken: `start` has answered that the job is known here, and its end is what is waited for.
    publish pid "$boot $$ $alive $2 $3 $(date +%s) $now" || exit 0
    read_value "$dir/spec/runs_in"
    case $value in home) place=$HOME ;; *) place=$dir/work ;; esac
    cd "$place" || exit 126
    set --
    for file in "$dir"/spec/env/*; do
        [ -f "$file" ] || continue
        read_value "$file"
        set -- "$@" "${file##*/}=$value"
    done
    unset RECONCILER_BOOT_ID_FILE
    [ -z "$machine" ] || set -- "$@" "RECONCILER_MACHINE=$machine"
    exec env "$@" "RECONCILER_ATTEMPT=$job" /bin/sh "$dir/spec/command"
}

# --- kill, forget ----------------------------------------------------------------------------------------------------

cmd_kill() { # JOB: also one that has not come yet, which then never will
    use_job "${1:-}"
    [ -d "$jobs" ] || mkdir -p "$jobs" || die 4 "cannot write to $root"
    [ -d "$dir" ] || mkdir "$dir" 2>/dev/null || [ -d "$dir" ] || die 4 "cannot make $dir"
    judge
    case $line in
    "$job starting "* | "$job running "*)
        publish stop request
        if publish pid closed || end_processes 500 find_processes; then close_job killed -; fi
        judge
        ;;
    esac
    printf '%s\n' "$line"
}

cmd_forget() { # JOB
    use_job "${1:-}"
    [ -d "$dir" ] || return 0
    judge
    case $line in "$job starting "* | "$job running "*) die 6 "$job is not over" ;; esac
    chmod -R u+rwx "$dir/work" 2>/dev/null
    rm -rf "$dir/work" "$dir/spec" "$dir/log" "$dir/usage" "$dir"/spare.* "$dir"/pack.* || die 4 "cannot free $dir"
    { : >"$dir/forgotten"; } 2>/dev/null || die 4 "cannot write to $dir"
}

find_machine() { # sets pids: every process of this machine, and of its jobs' sessions
    leaders=
    for dir in "$jobs"/*/; do
        dir=${dir%/}
        [ ! -e "$dir/exit" ] && read_gate && [ "$gate_boot" = "$boot" ] || continue
        leaders="$leaders $main:$main_start"
    done
    pids=$(find_by_environment)
    [ -z "$leaders" ] || pids="$pids $(find_by_session "$leaders")"
    pids=${pids# }
}

cmd_kill_all() { # [MACHINE]
    if [ $# -eq 0 ]; then
        [ -n "$machine" ] || die 2 "kill-all needs RECONCILER_MACHINE: it ends processes that carry it"
        # Begun anew without the variable, so that it does not find itself.
        unset RECONCILER_MACHINE
        exec sh "$0" kill-all "$machine"
    fi
    job='' machine=$1
    [ -n "$machine" ] || die 2 "kill-all needs the name of a machine"
    end_processes 200 find_machine || die 6 "processes are left: $pids"
}

# --- pack, log -------------------------------------------------------------------------------------------------------

make_box() { # sets box: a folder for lists; a job may have filled its disk
    for base in "$dir" /dev/shm /tmp; do
        box=$base/pack.$$
        (umask 077 && mkdir "$box") 2>/dev/null || continue
        trap 'rm -rf "$box"' EXIT
        trap 'exit 143' HUP INT TERM
        if dd if=/dev/zero of="$box/probe" bs=65536 count=16 2>/dev/null; then : >"$box/probe"; return; fi
        rm -rf "$box"
    done
    die 4 "no space for the list of what to send"
}

size_of() { # FILE; sets size
    # shellcheck disable=SC2012,SC2046 # of names we know; POSIX has no other way to ask for a size
    set -- $(ls -dln "$1")
    size=$5
}

pack_log() {
    place=$dir
    if [ -L "$dir/log" ] || [ ! -f "$dir/log" ]; then
        place=$box
        : >"$box/log"
    else
        size_of "$dir/log"
        left_out=$((size - 2 * log_half * 65536))
        if [ "$left_out" -gt 0 ]; then
            place=$box
            {
                dd if="$dir/log" bs=65536 count=$log_half 2>/dev/null
                printf '\n[%s bytes of the log are left out here]\n' "$left_out"
                tail -c $((log_half * 65536)) "$dir/log"
            } >"$box/log" || die 4 "no space to shorten the log"
        fi
    fi
    (cd "$place" && tar -cf - log) || die 4 "cannot send the log"
}

find_outputs() { # into $box/found: names relative to work/ that match, a line each; a line end in a name becomes \001
    : >"$box/found"
    [ -s "$dir/spec/outputs" ] && [ -d "$dir/work" ] || return 0
    chmod -R u+rX "$dir/work" 2>/dev/null
    (cd "$dir/work" && find . ! -type d -exec printf '%s\000' {} +) | tr '\n\000' '\001\n' | sed 's|^\./||' |
        LC_ALL=C grep -E -f "$dir/spec/outputs" | LC_ALL=C sort >"$box/found"
}

sort_out() { # $box/found into $box/files and $box/refused, by what they are
    while IFS= read -r name; do
        path=$dir/work/$name
        case $name in
        *[[:cntrl:]]*) why='a control character in its name' ;;
        *)
            if [ -L "$path" ]; then why='a link'
            elif [ -f "$path" ] && [ -r "$path" ]; then printf '%s\n' "$name" >&3; continue
            elif [ -f "$path" ]; then why='not readable'
            elif [ -p "$path" ]; then why='a FIFO'
            elif [ -S "$path" ]; then why='a socket'
            else why='a device'
            fi
            ;;
        esac
        printf '%s: %s\n' "$name" "$why" >&4
    done <"$box/found" 3>"$box/files" 4>"$box/refused"
}

as_arguments() { # names from standard input, for xargs
    LC_ALL=C sed 's/[^A-Za-z0-9_./]/\\&/g; s|^|work/|'
}

apply_limits() { # $box/files into $box/names and $box/refused; only sizes are read, never contents
    read -r max_files <"$dir/spec/max_files"
    read -r max_bytes <"$dir/spec/max_bytes"
    : >"$box/names"
    # In the C locale ls keeps the order that sort made, so that the n-th size is the n-th name's.
    (cd "$dir" && as_arguments <"$box/files" | LC_ALL=C xargs ls -dln) | awk '{ print $5 }' >"$box/sizes"
    paste "$box/sizes" "$box/files" | AGENT_NAMES=$box/names LC_ALL=C awk -F '\t' -v files="$max_files" -v bytes="$max_bytes" '
        NF != 2 { exit 1 }
        count + 1 > files + 0 { print $2 ": over the limit of " files " files"; next }
        total + $1 > bytes + 0 { print $2 ": over the limit of " bytes " bytes"; next }
        { count++; total += $1; print $2 >ENVIRON["AGENT_NAMES"] }' >>"$box/refused" || die 4 "cannot list outputs"
}

cmd_pack() { # JOB > tar, tar, ...: log, the outputs, and at last `refused`, without which it was cut off
    use_job "${1:-}"
    [ -d "$dir" ] && [ ! -e "$dir/forgotten" ] || die 5 "this machine has no job $job, or it was forgotten"
    make_box
    pack_log
    find_outputs
    sort_out
    if [ -s "$box/files" ]; then
        apply_limits
        if [ -s "$box/names" ]; then
            (cd "$dir" && as_arguments <"$box/names" | LC_ALL=C xargs tar -cf -) || die 4 "cannot send the outputs"
        fi
    fi
    if [ -s "$box/refused" ]; then
        awk 'NR <= 100 { print } END { if (NR > 100) print NR - 100 " more: not listed" }' "$box/refused" >"$box/list"
        mv "$box/list" "$box/refused"
    fi
    (cd "$box" && tar -cf - refused) || die 4 "cannot send what was refused"
}

cmd_log() { # JOB [--follow] [--from BYTE]
    use_job "${1:-}"
    [ -d "$dir" ] || die 5 "this machine has no job $job"
    shift
    follow='' from=0 fifo='' sleeper=''
    while [ $# -gt 0 ]; do
        case $1 in
        --follow) follow=yes ;;
        --from) from=${2:-}; shift ;;
        *) die 2 "log knows no $1" ;;
        esac
        shift
    done
    case $from in '' | *[!0-9]*) die 2 "--from takes a number of bytes" ;; esac
    read_clock
    until=$((now + longest_wait * 100))
    while :; do
        judge
        if [ -f "$dir/log" ]; then break; fi
        case $line in "$job starting "*) ;; *) return 0 ;; esac
        [ -n "$follow" ] && [ "$now" -lt "$until" ] || return 0
        nap 10
        read_clock
    done
    exec 5<"$dir/log"
    tail -c +$((from + 1)) <&5 || return 1
    [ -n "$follow" ] || return 0
    while :; do
        listen 100
        judge
        cat <&5 || return 1
        case $line in "$job starting "* | "$job running "*) ;; *) return 0 ;; esac
        read_clock
        [ "$now" -lt "$until" ] || exit 7
        hear
    done
}

main() {
    command=${1:-}
    [ $# -eq 0 ] || shift
    read_boot
    case $command in
    report) cmd_report "$@" ;;
    start) cmd_start "$@" ;;
    supervise) cmd_supervise "$@" ;;
    run) cmd_run "$@" ;;
    kill) cmd_kill "$@" ;;
    kill-all) cmd_kill_all "$@" ;;
    forget) cmd_forget "$@" ;;
    pack) cmd_pack "$@" ;;
    log) cmd_log "$@" ;;
    version) printf '%s\n' "$version" ;;
    *) die 2 "use report, start, kill, kill-all, forget, pack, log or version" ;;
    esac
}

main "$@"
exit
