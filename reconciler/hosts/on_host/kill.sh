# Ending jobs and machines, and forgetting what is home.

cmd_kill() { # JOB...: also those that have not come yet, which then never will
    use_every "$@"
    end_jobs "$@"
    for job in "$@"; do
        use_job "$job"
        judge
        printf '%s\n' "$line"
    done
}

end_jobs() { # JOB...: all at the same time
    [ -d "$jobs" ] || mkdir -p "$jobs" || die 4 "cannot write to $root"
    for job in "$@"; do
        use_job "$job"
        [ -d "$dir" ] || mkdir "$dir" 2>/dev/null || [ -d "$dir" ] || die 4 "cannot make $dir"
        judge
        case $line in "$job starting "* | "$job running "*) kill_job & ;; esac
    done
    wait
}

kill_job() { # in a fork of its own, since it may take its time
    read_self
    publish stop request
    if publish pid closed || end_processes 500 find_processes; then close_job killed -; fi
}

cmd_forget() { # JOB...
    use_every "$@"
    over=
    for job in "$@"; do
        use_job "$job"
        [ -d "$dir" ] || continue
        judge
        case $line in "$job starting "* | "$job running "*) die 6 "$job is not over" ;; esac
        over="$over $job"
    done
    # shellcheck disable=SC2086 # ids, to be split
    free $over
    for job in $over; do
        use_job "$job"
        ! name_group || rmdir "$group" 2>/dev/null
        { : >"$dir/forgotten"; } 2>/dev/null || die 4 "cannot write to $dir"
    done
}

free() { # JOB...: what they hold on the disk
    freed="$*"
    set --
    for job in $freed; do
        use_job "$job"
        set -- "$@" "$dir/work" "$dir/spec" "$dir/log" "$dir/usage" "$dir/spare" "$dir"/*.*
    done
    [ $# -gt 0 ] || return 0
    rm -rf "$@" 2>/dev/null && return
    # Only a job that took rights away from itself makes this take two.
    for job in $freed; do chmod -R u+rwx "$jobs/$job/work" 2>/dev/null; done
    rm -rf "$@" || die 4 "cannot free $freed"
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
        exec sh "$root/agent" kill-all "$machine"
    fi
    job='' machine=$1
    [ -n "$machine" ] || die 2 "kill-all needs the name of a machine"
    end_processes 200 find_machine || die 6 "processes are left: $pids"
}
