# Which processes are a job's or the machine's, and ending them.

read_stat() { # PID; sets alive (empty: no such process, or a zombie) to its start time
    alive=
    stat=
    while IFS= read -r stat; do case $stat in *") "*) break ;; esac; done 2>/dev/null <"/proc/$1/stat"
    stat=${stat##*) }
    # shellcheck disable=SC2086 # numbers, to be split
    set -- $stat
    case ${1:-Z} in Z | X) ;; *) alive=${20:-} ;; esac
}

read_self() { # sets self and self_start: this very process, which in a fork of the shell is not $$
    read -r self rest </proc/self/stat
    read_stat "$self"
    self_start=$alive
}

read_gate() { # sets gate; and for a job that ran: gate_boot main main_start boss boss_start started started_at
    gate=
    { read -r gate <"$dir/pid"; } 2>/dev/null
    # shellcheck disable=SC2086 # words of our own, to be split
    set -- $gate
    [ $# -eq 7 ] || return 1
    gate_boot=$1 main=$2 main_start=$3 boss=$4 boss_start=$5 started=$6 started_at=$7
}

# As a rule nothing is left of a job, and one process sees it. Whatever else it finds is looked at more closely.
is_deserted() { # whether there is surely neither a process with the job's mark, nor one in its session
    read_gate || main=none
    set -- /proc/[0-9]*/environ /proc/[0-9]*/stat
    # A grep that knows no -z does not find itself.
    found=$(LC_ALL=C RECONCILER_LOOK=${self:-$$} grep -slzxE -e "RECONCILER_LOOK=${self:-$$}" \
        -e "RECONCILER_ATTEMPT=$job" -e ".*\) [^ZX] [0-9]+ [0-9]+ $main .*" -e "$main \(.*\) [^ZX] .*" \
        /proc/self/environ "$@" 2>/dev/null)
    [ "$found" = /proc/self/environ ]
}

find_by_environment() { # prints pids: those of job $job, or of the whole machine while $job is empty
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
            if ($1 ~ /^[ZX]/) return
            # Between the gate and its own session it is in another.
            if (pid in start && $20 == start[pid]) { session[pid] = pid; return }
            if (!($4 in start)) return
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

name_group() { # sets group: the folder of the job's group of processes, if there is one; fails if not
    group=$cgroups/reconciler.$boot.$machine.$job
    [ -n "$cgroups" ] && [ -d "$group" ]
}

make_group() { # for the processes of job $job, before there are any
    case $machine$job in */*) return ;; esac
    [ -z "$cgroups" ] || mkdir "$cgroups/reconciler.$boot.$machine.$job" 2>/dev/null
}

join_group() { # with all that this process will start; where that is not allowed, there shall be no group
    name_group || return 0
    { printf '0\n' >"$group/cgroup.procs"; } 2>/dev/null || rmdir "$group" 2>/dev/null
}

find_in_group() { # sets pids: the processes in the job's group, however they got away from its session; fails without one
    name_group || return 1
    pids='' populated=''
    while read -r word rest; do [ "$word" != populated ] || populated=$rest; done 2>/dev/null <"$group/cgroup.events"
    [ "$populated" != 0 ] || return 0
    for file in "$group/cgroup.procs" "$group"/*/cgroup.procs "$group"/*/*/cgroup.procs; do
        while read -r pid; do pids="$pids $pid"; done 2>/dev/null <"$file"
    done
    pids=${pids# }
    [ -n "$pids" ]
}

find_in_session() { # sets pids: the processes of job $job that stayed in its session
    pids=
    if read_gate; then pids=$(find_by_session "$main:$main_start"); fi
}

find_processes() { # sets pids: every process of job $job, by its group, else by its environment and its session
    ! find_in_group || return 0
    pids=
    ! is_deserted || return 0
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
