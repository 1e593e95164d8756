# Outputs and logs on their way home.

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

pack_plainly() { # a job without outputs and with a log that need not be shortened: most processes can be saved
    [ ! -s "$dir/spec/outputs" ] && [ ! -L "$dir/log" ] && [ -f "$dir/log" ] || return 0
    size_of "$dir/log"
    [ "$size" -le $((2 * log_half * 65536)) ] && { : >"$dir/refused"; } 2>/dev/null || return 0
    cd "$dir" && exec tar -cf - log refused
}

cmd_pack() { # JOB > tar, tar, ...: log, the outputs, and at last `refused`, without which it was cut off
    use_job "${1:-}"
    [ -d "$dir" ] && [ ! -e "$dir/forgotten" ] || die 5 "this machine has no job $job, or it was forgotten"
    pack_plainly
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
