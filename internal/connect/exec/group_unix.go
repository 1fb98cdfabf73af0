//go:build unix

package exec

import (
	"os/exec"
	"syscall"
)

// setGroup gives a program a process group, which is sent SIGTERM when its context ends.
func setGroup(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
}

// killGroup ends what a program that has ended left in its group.
func killGroup(c *exec.Cmd) {
	_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // mostly there is nothing left
}
