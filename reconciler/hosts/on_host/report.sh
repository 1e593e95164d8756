# All jobs in one answer, and waiting for news of them.

survey() { # sets lines, count and mark: how many jobs there ever were, how many are over, notice, watch, what is open
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
    read_notice
    read_watch
    mark=$ever.$over.$notice.$watch$open
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
    renew
    until=$((now + patience * 100))
    survey
    while [ "$mark" = "$known" ] && [ "$now" -lt "$until" ]; do
        remaining=$((until - now))
        [ "$remaining" -le "$tick" ] || remaining=$tick
        listen "$remaining"
        survey
        if [ "$mark" = "$known" ]; then hear; survey; else exec 4<&-; fi
        read_clock
        renew
    done
    read -r uptime rest </proc/uptime
    printf 'agent %s %s %s %s %s %s\n%send %s\n' \
        "$version" "$boot" "$uptime" "$mark" "$notice" "$watch" "$lines" "$count"
}
