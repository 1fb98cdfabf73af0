package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/protocol"
)

const clusterText = `conch cluster status                    the nodes of a cluster, as one of them sees them
conch cluster status --json 10.0.0.1:8889
until conch cluster status; do sleep 1; done

The status is 0 if a majority answers and each node is ok: it answers, serves clients and keeps up. Otherwise it is 1, and
standard error has the reason.`

// clusterCommand is conch cluster.
func (e *Env) clusterCommand() *cli.Command {
	status := e.clusterStatusCommand()
	e.prepare(status)
	return &cli.Command{
		Name: "cluster", Usage: "show the nodes of a cluster", Description: clusterText, Commands: []*cli.Command{status},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if word := cmd.Args().First(); word != "" {
				return usageErr("cluster", "unknown subcommand %s%s", config.QuoteIfNeeded(word), config.Suggest("", word, []string{status.Name}))
			}
			return usageErr("cluster", "expected a subcommand: %s", status.Name)
		},
	}
}

// clusterStatusCommand is conch cluster status.
func (e *Env) clusterStatusCommand() *cli.Command {
	o := &doOptions{}
	return &cli.Command{
		Name: "status", Usage: "print the nodes of a cluster; exit status 1 if one is not ok", ArgsUsage: "[ADDRESS]", Description: clusterText + "\n\n" + serverText,
		Flags: append(o.flags(e), toggle("json,j", "print one JSON object", &o.json)),
		Action: e.untilSignal(func(ctx context.Context, args []string) error {
			if err := arguments("cluster status", "an address at most", args, 0, 1); err != nil {
				return err
			}
			if len(args) == 1 {
				o.url = args[0]
			}
			return o.clusterStatus(ctx, e)
		}),
	}
}

// clusterStatus is how a node sees its cluster. docs/cluster.md has the keys.
type clusterStatus struct {
	Name         string          `json:"name"`
	Cluster      string          `json:"cluster"`
	Role         string          `json:"role"`
	Leader       string          `json:"leader"`
	Majority     numberFlag      `json:"majority"`
	Healthy      numberFlag      `json:"healthy"`
	Term         uint64          `json:"term"`
	Committed    uint64          `json:"committed"`
	Applied      uint64          `json:"applied"`
	Last         uint64          `json:"last"`
	Waiting      int             `json:"waiting"`
	WaitingBytes int             `json:"waiting_bytes"`
	Members      []clusterMember `json:"members"`
}

// roleRemoved is the role of a node that was removed from its cluster.
const roleRemoved = "removed"

type clusterMember struct {
	Name         string `json:"name"`
	Address      string `json:"address"`
	Vote         string `json:"vote"`
	Role         string `json:"role"`
	State        string `json:"state"`
	LagEntries   uint64 `json:"lag_entries"`
	LagBytes     int64  `json:"lag_bytes"`
	LinkMicros   int64  `json:"link_us"`
	ClockMillis  int64  `json:"clock_ahead_ms"`
	Snapshot     uint64 `json:"snapshot"`
	SnapshotAge  int64  `json:"snapshot_age"`
	ErrorMessage string `json:"error"`
}

// numberFlag is 0 or 1 in the reply, and a boolean in the output.
type numberFlag bool

// UnmarshalJSON implements [json.Unmarshaler].
func (f *numberFlag) UnmarshalJSON(text []byte) error {
	*f = string(text) == "1"
	return nil
}

func (o *doOptions) clusterStatus(ctx context.Context, e *Env) error {
	var s clusterStatus
	err := o.withServer(ctx, "cluster status", func(c *serverConn) error {
		if err := c.send([]string{"NODE", "STATUS"}); err != nil {
			return err
		}
		var text bytes.Buffer
		out := bufio.NewWriter(&text)
		if err := printReply(c.r, jsonPrinter{out}); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err //nolint:wrapcheck // a buffer has none
		}
		if err := json.Unmarshal(text.Bytes(), &s); err != nil {
			return fmt.Errorf("%w: %w", errReply, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if o.json {
		err = json.NewEncoder(e.Stdout).Encode(s)
	} else {
		err = s.print(e.Stdout)
	}
	if err != nil {
		return unlessClosed(err)
	}
	return s.problem()
}

// print prints a table of the members.
func (s *clusterStatus) print(w io.Writer) error {
	leader := "no node leads"
	switch {
	case s.Role == roleRemoved:
		leader = "this node was removed"
	case s.Leader != "":
		leader = s.Leader + " leads"
	}
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(out, "cluster %s, as %s sees it: %s, term %d, entry %d\n", s.Cluster, s.Name, leader, s.Term, s.Applied) // Flush has the error
	_, _ = fmt.Fprintln(out, "NODE\tADDRESS\tVOTE\tROLE\tSTATE\tLAG\tLINK\tCLOCK\tSNAPSHOT")
	for i := range s.Members {
		m := &s.Members[i]
		link, clock, snapshot := "-", "-", "-"
		if m.LinkMicros > 0 {
			link = (time.Duration(m.LinkMicros) * time.Microsecond).String()
			clock = (time.Duration(m.ClockMillis) * time.Millisecond).String()
		}
		if m.SnapshotAge >= 0 {
			snapshot = fmt.Sprintf("%d, %v ago", m.Snapshot, time.Duration(m.SnapshotAge)*time.Second)
		}
		cells := []string{
			m.Name, m.Address, m.Vote, orDash(m.Role), m.State, fmt.Sprintf("%d entries, %s", m.LagEntries, inBytes(m.LagBytes)), link, clock, snapshot,
		}
		for i, cell := range cells {
			cells[i] = string(protocol.EscapeMessage(nil, []byte(cell)))
		}
		_, _ = fmt.Fprintln(out, strings.Join(cells, "\t"))
	}
	return out.Flush() //nolint:wrapcheck // by the caller
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// problem is why a cluster is not healthy.
func (s *clusterStatus) problem() error {
	if s.Healthy {
		return nil
	}
	if s.Role == roleRemoved {
		return fmt.Errorf("cluster status: %s was removed from the cluster: stop it, or add it again by NODE ADD; %s leads", s.Name, s.Leader)
	}
	var texts []string
	if !s.Majority {
		texts = append(texts, "there is no majority")
	}
	for i := range s.Members {
		m := &s.Members[i]
		if m.State == "ok" {
			continue
		}
		text := m.Name + " is " + m.State
		if m.ErrorMessage != "" {
			text += " (" + m.ErrorMessage + ")"
		}
		texts = append(texts, text)
	}
	return fmt.Errorf("cluster status: %w", errors.New(strings.Join(texts, "; ")))
}
