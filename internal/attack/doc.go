// Package attack is load that is meant to stop a server or to fill its memory, and a prober that measures what others
// feel of it. Each scenario is bounded in bytes and in time. The stalls benchmark runs them one at a time; the soak
// runs them beside everything else. Tests and benchmarks only.
package attack
