package main

import "syscall"

// attributes put a program into a group of its own, so that Ctrl-C reaches it
// through devstack and in order, and have the kernel end it with a devstack
// that was killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
