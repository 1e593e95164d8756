# Ending jobs and machines, and forgetting what is home.

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
    # Only a job that took rights away from itself makes this take two.
    set -- "$dir/work" "$dir/spec" "$dir/log" "$dir/usage" "$dir/refused" "$dir"/spare.* "$dir"/pack.* "$dir/$job".*
    rm -rf "$@" 2>/dev/null || { chmod -R u+rwx "$dir/work" 2>/dev/null; rm -rf "$@" || die 4 "cannot free $dir"; }
    ! name_group || rmdir "$group" 2>/dev/null
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
        exec sh "$root/agent" kill-all "$machine"
    fi
    job='' machine=$1
    [ -n "$machine" ] || die 2 "kill-all needs the name of a machine"
    end_processes 200 find_machine || die 6 "processes are left: $pids"
}
