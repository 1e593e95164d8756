# The truth about one job, from its files and its processes.

close_job() { # STATE CODE: writes the final line. The first one to come decides.
    state=$1 code=$2 cause='-' peak='-'
    if { read -r cause <"$dir/stop"; } 2>/dev/null; then state=killed code='-'; else cause='-'; fi
    read_gate || started='-' started_at=0
    { read -r peak <"$dir/usage"; } 2>/dev/null || peak='-'
    # A clock may have been set right since a long job began.
    read_clock
    [ $((now - started_at)) -lt 6000 ] || epoch=''
    read_date
    publish exit "$job $state $cause $code $started $date $peak"
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
    read_terms
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
