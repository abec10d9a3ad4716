package redistest

import "syscall"

// attributes has the kernel end the server with the test binary, even one that panics.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
