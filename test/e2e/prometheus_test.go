//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

const alertRules = "../../packaging/prometheus/alerts.yml"

// The alerts are valid, notice what they must, and nothing else: their own test says so.
func TestTheAlerts(t *testing.T) {
	needs(t, "promtool")
	for _, args := range [][]string{{"check", "rules", alertRules}, {"test", "rules", "../../packaging/prometheus/alerts_test.yml"}} {
		out, err := exec.Command("promtool", args...).CombinedOutput()
		assert.NoError(t, err, string(out))
	}
}

// promtool reads an answer of /metrics, and has no advice about the metrics of conch. Those of the process are a library's.
func TestPromtoolReadsTheMetrics(t *testing.T) {
	needs(t, "promtool")
	c := start(t, "", "--http", "127.0.0.1:0")
	lint := exec.Command("promtool", "check", "metrics")
	lint.Stdin = strings.NewReader(c.get("/metrics"))
	advice, _ := lint.CombinedOutput() // its status says that there is advice about the library's
	assert.NotEmpty(t, string(advice))
	for line := range strings.Lines(string(advice)) {
		assert.Regexp(t, `^(go|process)_[a-z_]+ [a-z-]+ `, line)
	}
	c.stop()
}

// get is the body of a path of conch.
func (c *conch) get(path string) string {
	c.t.Helper()
	answer, err := http.Get("http://" + c.started["http"].(string) + path)
	require.NoError(c.t, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, answer.StatusCode, string(body))
	return string(body)
}

// prometheus is a running Prometheus that scrapes one conch ten times a second.
type prometheus struct {
	t    *testing.T
	addr string
}

func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	folder := t.TempDir()
	rules, err := filepath.Abs(alertRules)
	require.NoError(t, err)
	settings := filepath.Join(folder, "prometheus.yml")
	require.NoError(t, os.WriteFile(settings, fmt.Appendf(nil, `
global: {scrape_interval: 100ms, evaluation_interval: 100ms}
rule_files: [%q]
scrape_configs:
  - job_name: conch
    basic_auth: {username: prometheus, password: sesame}
    static_configs: [{targets: [%q]}]
`, rules, target), 0o600))
	p := &prometheus{t: t, addr: harness.FreeAddress(t)} // Prometheus does not report which port it took
	cmd := exec.Command("prometheus", "--config.file="+settings, "--storage.tsdb.path="+filepath.Join(folder, "data"),
		"--web.listen-address="+p.addr, "--log.level=warn")
	log := new(strings.Builder)
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	harness.Eventually(t, func() bool {
		answer, err := http.Get("http://" + p.addr + "/-/ready")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, "Prometheus is ready")
	return p
}

// read reads the data of an answer of the API.
func (p *prometheus) read(path string, data any) {
	p.t.Helper()
	answer, err := http.Get("http://" + p.addr + "/api/v1/" + path)
	require.NoError(p.t, err)
	defer func() { _ = answer.Body.Close() }()
	whole := struct {
		Status string
		Error  string
		Data   any
	}{Data: data}
	require.NoError(p.t, json.NewDecoder(answer.Body).Decode(&whole))
	require.Equal(p.t, "success", whole.Status, whole.Error)
}

// value is that of an expression with one result; empty without any.
func (p *prometheus) value(expression string) string {
	p.t.Helper()
	var data struct {
		Result []struct{ Value []any }
	}
	p.read("query?query="+url.QueryEscape(expression), &data)
	if len(data.Result) != 1 {
		return ""
	}
	return fmt.Sprint(data.Result[0].Value[1])
}

// firing are the alerts that fire.
func (p *prometheus) firing() (names []string) {
	p.t.Helper()
	var data struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	p.read("alerts", &data)
	for _, a := range data.Alerts {
		if a.State == "firing" {
			names = append(names, a.Labels["alertname"])
		}
	}
	return names
}

// A Prometheus scrapes a conch under load, as the user that docs/metrics.md names. It has every metric of the page, can
// evaluate every alert, and raises the one for a subscriber that was disconnected.
func TestPrometheusScrapes(t *testing.T) {
	needs(t, "prometheus")
	users, config := filepath.Join(t.TempDir(), "users.acl"), filepath.Join(t.TempDir(), "conch.toml")
	require.NoError(t, os.WriteFile(users, []byte("user default on nopass &* +@all\nuser prometheus on >sesame +info\n"), 0o600))
	sink := fmt.Sprintf("[[sink]]\nname = \"lines\"\ntopic = \"elsewhere\"\nto = \"file://%s\"\n", filepath.Join(t.TempDir(), "lines"))
	require.NoError(t, os.WriteFile(config, []byte(sink), 0o600))
	c := start(t, "", "--http", "127.0.0.1:0", "--config", config, "--aclfile", users, "--slow-hard", "64KiB")
	p := startPrometheus(t, c.started["http"].(string))
	harness.Eventually(t, func() bool { return p.value(`up{job="conch"}`) == "1" }, "conch is up")
	harness.Eventually(t, func() bool { return p.value(`conch_connections_ended_total{reason="slow_hard"}`) == "0" }, "there was a scrape")
	assert.Empty(t, p.firing())

	slow, publisher := harness.Use(t, c.dial()), harness.Use(t, c.dial())
	slow.Send("SUB news\n")
	slow.Expect("OK SUB news\n")
	publisher.Send("NOSUCH\n")
	publisher.Line()
	published := 0
	harness.Eventually(t, func() bool { // until the kernel takes no more, and 64 KiB wait
		publisher.Command("PUBLISH", "news", strings.Repeat("x", 32<<10))
		publisher.Line()
		published++
		return p.value(`conch_connections_ended_total{reason="slow_hard"}`) == "1"
	}, "the subscriber that reads nothing is disconnected")

	harness.Eventually(t, func() bool { return p.value("conch_messages_published_total") == fmt.Sprint(published) }, "all messages are counted")
	const account = "conch_messages_matched_total - conch_messages_delivered_total - conch_messages_dropped_total " +
		"- conch_messages_undelivered_total - conch_messages_queued"
	harness.Eventually(t, func() bool { // a scrape of a busy machine may have failed: then there is no value for a moment
		value := p.value(account)
		return assert.Contains(t, []string{"", "0"}, value) && value == "0"
	}, "the account balances")
	harness.Eventually(t, func() bool { return strings.Contains(fmt.Sprint(p.firing()), "ConchEvictsSubscribers") }, "the alert fires")

	var names []string
	p.read("label/__name__/values", &names)
	for _, row := range harness.Table(t, "../../docs/metrics.md", "metrics") {
		if labels := strings.Trim(row[2], "`"); labels != "node" { // members of a cluster: this conch runs alone
			assert.Contains(t, names, row[0])
		}
	}
	p.checkRules()
	c.stop()
	harness.Eventually(t, func() bool { return p.value(`up{job="conch"}`) == "0" }, "conch is down")
}

// checkRules requires that Prometheus could evaluate every rule.
func (p *prometheus) checkRules() {
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	p.read("rules", &data)
	require.Len(p.t, data.Groups, 1)
	assert.Greater(p.t, len(data.Groups[0].Rules), 10)
	for _, r := range data.Groups[0].Rules {
		assert.Equal(p.t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
	}
}
