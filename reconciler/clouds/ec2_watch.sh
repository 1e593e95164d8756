# Ends this machine when nobody cares for it: the dead-man watch of a machine that has not been prepared yet.
# Run as root at each boot, with LEASE (whole seconds of uptime) and USER (who logs in) as arguments.
# The agent on the machine takes over: while its own watch says `armed BOOT_ID PID` for this boot and lives, this one
# only looks on. It never ends by itself, so that killing the agent's watch does not leave the machine without any.
# For tests: RECONCILER_ROUND is the seconds between looks, RECONCILER_UPTIME and RECONCILER_BOOT_ID files to read.
lease=$1
user=$2
uptime=${RECONCILER_UPTIME:-/proc/uptime}
boot_id=${RECONCILER_BOOT_ID:-/proc/sys/kernel/random/boot_id}

# Whether the agent's watch of this boot lives.
taken_over() {
    home=$(getent passwd "$user" | cut -d: -f6)
    { [ -n "$home" ] && [ -f "$home/.reconciler/watch" ]; } || return 1
    word='' boot='' pid=''
    read -r word boot pid _ <"$home/.reconciler/watch" || [ -n "$pid" ] || return 1
    read -r this <"$boot_id" || return 1
    { [ "$word" = armed ] && [ "$boot" = "$this" ]; } || return 1
    case $pid in '' | *[!0-9]*) return 1 ;; esac
    [ -d "/proc/$pid" ]
}

watch() {
    trap '' HUP
    while sleep "${RECONCILER_ROUND:-30}"; do
        read -r up _ <"$uptime" || continue
        if [ "${up%%.*}" -gt "$lease" ] && ! taken_over; then
            shutdown -h now || poweroff || halt -p
        fi
    done
}

# Nothing of the boot waits for it.
watch </dev/null >/dev/null 2>&1 &
