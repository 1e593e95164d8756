# A job's log, so far or as it grows.

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
