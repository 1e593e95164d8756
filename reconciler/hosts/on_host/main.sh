# Which command is which.

main() {
    command=${1:-}
    [ $# -eq 0 ] || shift
    read_boot
    case $command in
    report) cmd_report "$@" ;;
    start) cmd_start "$@" ;;
    supervise) cmd_supervise "$@" ;;
    kill) cmd_kill "$@" ;;
    kill-all) cmd_kill_all "$@" ;;
    forget) cmd_forget "$@" ;;
    pack) cmd_pack "$@" ;;
    log) cmd_log "$@" ;;
    watch) cmd_watch "$@" ;;
    watching) cmd_watching "$@" ;;
    claim) cmd_claim "$@" ;;
    release) cmd_release "$@" ;;
    version) printf '%s\n' "$version" ;;
    *) die 2 "use report, start, kill, kill-all, forget, pack, log, watch, claim, release or version" ;;
    esac
}

main "$@"
exit
