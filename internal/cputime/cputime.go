// Package cputime is the CPU time that this process has used.
package cputime
