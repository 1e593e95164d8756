# The dead-man watch: a machine that costs money ends itself when nobody renews its lease. It runs apart from any job.

shutdowns='shutdown -h now:poweroff:halt' # tried in this order, as root or by sudo

read_watch() { # sets watch: none | armed | powerless; said_pid, empty where nothing can be read; watch_words
    watch=none said_pid='' said_start='' watch_words=''
    [ -f "$root/watch" ] || return 0
    { { read -r said said_boot said_pid && read -r said_start watch_words; } <"$root/watch"; } 2>/dev/null
    case $said_pid in '' | *[!0-9]*) said_pid='' && return 0 ;; esac
    [ "$said_boot" = "$boot" ] || return 0
    read_stat "$said_pid"
    [ -n "$alive" ] && [ "$alive" = "$said_start" ] || return 0
    case $said in armed | powerless) watch=$said ;; esac
}

renew() { # the lease, as of `now`, where there is a watch. Overwritten in place, for the disk may be full.
    [ ! -f "$root/lease" ] || printf '%s %s\n' "$boot" "$now" 1<>"$root/lease"
} 2>/dev/null

read_lease() { # sets renewed, if the lease was renewed in this boot; what cannot be true renews nothing
    if ! { read -r said_boot said_at <"$root/lease"; } 2>/dev/null; then
        # A job deleted it, and reports renew only what is there.
        { printf '%s %s\n' "$boot" "$renewed" >"$root/lease"; } 2>/dev/null
        return
    fi
    case $said_at in '' | *[!0-9]* | ????????????????*) return ;; esac
    # Only now, so that what was written a moment ago is not from the future.
    read_clock
    [ "$said_boot" = "$boot" ] && [ "$said_at" -le "$now" ] && [ "$said_at" -gt "$renewed" ] || return
    renewed=$said_at
}

is_over() { # whether the lease is
    read_lease
    read_clock
    [ "$now" -ge $((renewed + lease)) ]
}

use_number() { # NAME VALUE
    case $2 in '' | 0* | *[!0-9]* | ??????????*) die 2 "watch takes $1 in whole seconds, at least 1" ;; esac
}

cmd_watch() { # LEASE KEEP_RESULTS METADATA_URL (seconds, seconds, may be empty): arms the watch, unless this one is armed
    use_number 'a lease' "${1:-}"
    use_number 'how long results are kept' "${2:-}"
    case ${3:-} in
    *[[:space:][:cntrl:]]*) die 2 "the address of the machine's metadata is one word" ;;
    '' | http://* | https://*) ;;
    *) die 2 "watch takes the http address of the machine's metadata" ;;
    esac
    wanted="$version $1 $2${3:+ $3}"
    read_clock
    renew
    read_watch
    if [ "$watch" = armed ] && [ "$watch_words" = "$wanted" ]; then return 0; fi
    # One that is powerless is replaced too: the right to shut down may have come meanwhile.
    before='' waited=0
    [ "$watch" = none ] || before=$said_pid
    (
        unset RECONCILER_ATTEMPT
        exec $detach sh "$root/agent" watching "$1" "$2" "${3:-}"
    ) </dev/null >/dev/null 2>&1 &
    while nap 5; do
        read_watch
        [ "$watch" = none ] || [ "$said_pid" = "$before" ] || [ "$watch_words" != "$wanted" ] || return 0
        waited=$((waited + 1))
        [ "$waited" -lt 200 ] || die 4 "the watch does not come up: is the disk full?"
    done
}

say() { # armed | powerless: from here on the watch is this process
    printf '%s %s %s\n%s %s\n' "$1" "$boot" "$$" "$own_start" "$wanted" >"$root/watch.$$" &&
        mv -f "$root/watch.$$" "$root/watch" || rm -f "$root/watch.$$"
    wake
} 2>/dev/null

find_power() { # sets power to what goes before a command that shuts down, and word to `armed` if there is a way
    power='' word=powerless
    if [ "$(id -u)" != 0 ]; then
        power='sudo -n'
        $power true || return 0
    fi
    for tool in shutdown poweroff halt; do
        if command -v "$tool"; then word=armed; fi
    done
} >/dev/null 2>&1

holds_work() { # whether job $job, judged as $line, runs within its limit. A minute more is for its ending.
    case $line in "$job starting "*) return 0 ;; "$job running "*) ;; *) return 1 ;; esac
    read_terms
    [ -n "$limit" ] || return 0
    [ "$now" -lt $((started_at + limit + 6000)) ]
}

look_for_work() { # sets busy: a job runs; uncollected: nobody fetched some results. What a setup leaves is no result.
    busy='' uncollected=''
    for dir in "$jobs"/*/; do
        dir=${dir%/}
        [ -d "$dir" ] && [ ! -e "$dir/forgotten" ] || continue
        job=${dir##*/}
        judge
        read_clock
        if holds_work; then busy=yes; fi
        case $job in setup-*) ;; *) uncollected=yes ;; esac
    done
}

is_time() { # whether nothing holds the machine any longer: called while the lease is over
    look_for_work
    if [ -n "$busy" ]; then unattended=''; return 1; fi
    [ -n "$uncollected" ] || return 0
    [ -n "$unattended" ] || unattended=$now
    [ "$now" -ge $((unattended + keep)) ]
}

shut_down() {
    find_power
    say "$word"
    if [ "$word" = armed ]; then
        rest=$shutdowns:
        while [ -n "$rest" ]; do
            how=${rest%%:*}
            rest=${rest#*:}
            # shellcheck disable=SC2086 # words of our own, to be split
            if command -v "${how%% *}" && $power $how; then break; fi
        done
    fi
    # A minute until the next try: the shutdown takes its time, and asking sudo in vain is written down in logs.
    next_try=$((now + 6000))
} >/dev/null 2>&1

take_over() { # this process becomes the watch: from then on the one before ends by itself
    own_start='' renewed=''
    read_stat $$
    own_start=$alive
    read_clock
    renewed=$now
    { printf '%-80s\n' "$boot $now" >"$root/lease"; } 2>/dev/null
    # Of all processes this is the last that may go when memory does. Only root may say so.
    { printf '%s\n' -1000 >"/proc/$$/oom_score_adj"; } 2>/dev/null
    find_power
    say "$word"
}

is_ours() { # whether this process is the watch still
    read_watch
    [ "$said_pid" != $$ ] || return 0
    [ -z "$said_pid" ] || return 1
    say "$word" # a job deleted the file
}

cmd_watching() { # LEASE KEEP_RESULTS METADATA_URL: the watch itself
    wanted="$version $1 $2${3:+ $3}"
    lease=$(($1 * 100)) keep=$(($2 * 100)) metadata=${3%/} unattended='' next_try=0
    trap '' HUP
    # A login's path leaves out on some systems what shuts them down.
    PATH=$PATH:/usr/sbin:/sbin
    pause=$((lease / 4))
    [ "$pause" -le 500 ] || pause=500
    token='' client=none
    take_over
    while is_ours; do
        look_for_notice
        if ! is_over; then
            unattended=''
        elif [ "$now" -ge "$next_try" ] && is_time && is_over && is_ours; then
            shut_down
        fi
        nap "$pause"
    done
}
