# Outputs and logs on their way home.

make_box() { # sets box: a folder for lists, which have a dot in front as no job has; a job may have filled its disk
    for base in "$dir" /dev/shm /tmp; do
        box=$base/pack.$$
        (umask 077 && mkdir "$box") 2>/dev/null || continue
        trap 'rm -rf "$box"' EXIT
        trap 'exit 143' HUP INT TERM
        if dd if=/dev/zero of="$box/.probe" bs=65536 count=16 2>/dev/null && mkdir "$box/$job"; then
            : >"$box/.probe"
            return
        fi
        rm -rf "$box"
    done
    die 4 "no space for the list of what to send"
}

is_long() { # LOG...: whether one of them is longer than what is sent of a log
    [ -n "$(find "$@" -prune -size +$((2 * log_half * 65536))c)" ]
}

pack_log() {
    place=$jobs
    if [ -L "$dir/log" ] || [ ! -f "$dir/log" ]; then
        place=$box
        : >"$box/$job/log"
    elif is_long "$dir/log"; then
        place=$box
        # shellcheck disable=SC2012,SC2046 # of a name we know; POSIX has no other way to ask for a size
        set -- $(ls -dln "$dir/log")
        {
            dd if="$dir/log" bs=65536 count=$log_half 2>/dev/null
            printf '\n[%s bytes of the log are left out here]\n' $(($5 - 2 * log_half * 65536))
            tail -c $((log_half * 65536)) "$dir/log"
        } >"$box/$job/log" || die 4 "no space to shorten the log"
    fi
    (cd "$place" && tar -cf - "$job/log") || die 4 "cannot send the log"
}

# Into $box/.found: names relative to work/ that match, a line each; a line end in a name becomes \001. A link is there
# also as the folder that it may stand for.
find_outputs() {
    : >"$box/.found"
    [ -s "$dir/spec/outputs" ] && [ -d "$dir/work" ] || return 0
    chmod -R u+rX "$dir/work" 2>/dev/null
    (cd "$dir/work" && find . ! -type d -exec printf '%s\000' {} + -type l -exec printf '%s/\000' {} +) |
        tr '\n\000' '\001\n' | sed 's|^\./||' |
        LC_ALL=C grep -E -f "$dir/spec/outputs" | LC_ALL=C sort >"$box/.found"
}

sort_out() { # $box/.found into $box/.files and $box/.refused, by what they are
    while IFS= read -r name; do
        path=$dir/work/$name
        case $name in
        *[[:cntrl:]]*) why='a control character in its name' ;;
        */) name=${name%/} why='a link, where a folder was to be' ;;
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
    done <"$box/.found" 3>"$box/.files" 4>"$box/.refused"
}

as_arguments() { # names from standard input, for xargs in $jobs
    LC_ALL=C sed "s/[^A-Za-z0-9_./]/\\\\&/g; s|^|$job/work/|"
}

apply_limits() { # $box/.files into $box/.names and $box/.refused; only sizes are read, never contents
    read_terms
    : >"$box/.names"
    # In the C locale ls keeps the order that sort made, so that the n-th size is the n-th name's.
    (cd "$jobs" && as_arguments <"$box/.files" | LC_ALL=C xargs ls -dln) | awk '{ print $5 }' >"$box/.sizes"
    paste "$box/.sizes" "$box/.files" | AGENT_NAMES=$box/.names LC_ALL=C awk -F '\t' -v files="$max_files" -v bytes="$max_bytes" '
        NF != 2 { exit 1 }
        count + 1 > files + 0 { print $2 ": over the limit of " files " files"; next }
        total + $1 > bytes + 0 { print $2 ": over the limit of " bytes " bytes"; next }
        { count++; total += $1; print $2 >ENVIRON["AGENT_NAMES"] }' >>"$box/.refused" || die 4 "cannot list outputs"
}

pack_one() { # tar, tar, ...: log, outputs, what was refused, and how it ended
    make_box
    pack_log
    find_outputs
    sort_out
    if [ -s "$box/.files" ]; then
        apply_limits
        if [ -s "$box/.names" ]; then
            (cd "$jobs" && as_arguments <"$box/.names" | LC_ALL=C xargs tar -cf -) || die 4 "cannot send the outputs"
        fi
    fi
    awk 'NR <= 100 { print } END { if (NR > 100) print NR - 100 " more: not listed" }' "$box/.refused" \
        >"$box/$job/refused" || die 4 "cannot list what was refused"
    (cd "$box" && tar -cf - "$job/refused") || die 4 "cannot send what was refused"
    (cd "$jobs" && tar -cf - "$job/exit") || die 4 "cannot send how it ended"
    rm -rf "$box"
}

is_plain() { # whether job $job has nothing but a log to send
    [ ! -s "$dir/spec/outputs" ] && [ ! -L "$dir/log" ] && [ -f "$dir/log" ]
}

# Of each job its log, its outputs, and at last how it ended, without which it was cut off. It is ended first.
cmd_pack() { # JOB... > tar, tar, ...
    use_every "$@"
    end_jobs "$@"
    plain='' logs='' others=''
    for job in "$@"; do
        use_job "$job"
        [ ! -e "$dir/forgotten" ] || die 5 "$job was forgotten"
        judge_closed || die 6 "$job is not over: its processes do not end"
        if is_plain; then
            plain="$plain $job/log $job/exit" logs="$logs $job/log"
        else
            others="$others $job"
        fi
    done
    cd "$jobs" || die 4 "cannot enter $jobs"
    # shellcheck disable=SC2086 # ids, to be split
    if [ "$logs" ] && is_long $logs; then plain='' others="$*"; fi
    for job in $others; do
        use_job "$job"
        (pack_one) || exit
    done
    # One process sends the logs of all that have nothing else to send.
    # shellcheck disable=SC2086
    [ -z "$plain" ] || exec tar -cf - $plain
}
