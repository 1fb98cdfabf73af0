// Package attack has scenarios that try to stall a server or to fill its memory, and a prober that measures the latency
// of other clients. Each scenario is bounded in bytes and in time. The stalls benchmark runs one at a time; the soak runs
// them beside everything else. For tests and benchmarks only.
package attack
