//go:build connect

package connect

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/conchmq/conch/internal/harness"
)

// TestKafkaTLS has a broker with TLS and SCRAM, whose certificate is of an authority that the machine trusts: SSL_CERT_FILE names it, as for every
// Go program.
func TestKafkaTLS(t *testing.T) {
	authority := harness.NewAuthority(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.SeedTopics(1, "in", "out"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{authority.Valid(t, "kafka").TLS(t)}, MinVersion: tls.VersionTLS12}),
		kfake.Superuser("SCRAM-SHA-256", "ann", "pencil"), kfake.Superuser("SCRAM-SHA-512", "bob", "paper"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	address := cluster.ListenAddrs()[0]
	url := func(scheme, login, query string) string { return scheme + "://" + login + "@" + address + query }

	trusted := filepath.Join(t.TempDir(), "authority.pem")
	require.NoError(t, os.WriteFile(trusted, authority.PEM, 0o600))
	own := startConch(t, sourceTable("stranger", url("kafka+tls", "ann:pencil", "?sasl=scram-sha-256&topic=in&group=other"), "p.in"))
	t.Setenv("SSL_CERT_FILE", trusted)
	c := startConch(t, sourceTable("in", url("kafka+tls", "ann:pencil", "?sasl=scram-sha-256&topic=in&group=g"), "d.in")+
		sinkTable("out", "d.in", url("kafka+tls", "bob:paper", "?sasl=scram-sha-512&topic=out"))+
		sourceTable("password", url("kafka+tls", "ann:"+secret, "?sasl=scram-sha-256&topic=in"), "p.in")+
		sinkTable("password-out", "p.out", url("kafka+tls", "bob:"+secret, "?sasl=scram-sha-512&topic=out"))+
		sourceTable("mechanism", url("kafka+tls", "ann:"+secret, "?topic=in"), "p.in")+
		sourceTable("plaintext", url("kafka", "ann:"+secret, "?sasl=scram-sha-256&topic=in"), "p.in"))

	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DialTLSConfig(&tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}),
		kgo.SASL(scram.Auth{User: "ann", Pass: "pencil"}.AsSha256Mechanism()), kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	want := numbered("tls", 100)
	for _, payload := range want {
		client.Produce(t.Context(), &kgo.Record{Topic: "in", Value: []byte(payload)}, nil)
	}
	require.NoError(t, client.Flush(t.Context()))
	assertOrder(t, want, c.awaitEntries("d.in", len(want)))
	var got []string
	for len(got) < len(want) {
		fetches := client.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		for _, r := range fetches.Records() {
			got = append(got, string(r.Value))
		}
	}
	assertOrder(t, want, got)
	c.awaitBalance("in")
	c.awaitBalance("out")

	for _, name := range []string{"password", "password-out", "mechanism", "plaintext"} {
		a := c.awaitConnector(name, "reports its error", func(a *account) bool { return a.LastError != "" })
		assert.NotContains(t, []string{"running", "connecting"}, a.State, name)
		assert.NotContains(t, a.LastError+a.URL, secret, name)
		t.Logf("%s: %s: %s", name, a.State, a.LastError)
	}
	assert.NotContains(t, c.output.String(), secret)
	a := own.awaitConnector("stranger", "reports its error", func(a *account) bool { return a.LastError != "" })
	assert.Contains(t, a.LastError, "certificate", "an authority that the machine does not trust")
}
