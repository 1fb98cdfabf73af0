//go:build e2e

package e2e

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// service is what compose.yaml has for conch. Other keys than these are an error, so each one is looked at here.
type service struct {
	Image       string
	Restart     string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	StopGrace   string   `yaml:"stop_grace_period"`
	Ports       []string
	Environment map[string]string
	Volumes     []string
}

func readCompose(t *testing.T) service {
	t.Helper()
	f, err := os.Open("../../packaging/container/compose.yaml")
	require.NoError(t, err)
	defer func() { _ = f.Close() }() // it was read
	var file struct {
		Services map[string]service
		Volumes  map[string]any
	}
	decoder := yaml.NewDecoder(f)
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&file))
	require.Len(t, file.Services, 1)
	require.Contains(t, file.Volumes, "conch")
	return file.Services["conch"]
}

// No engine is needed for what compose.yaml asks of conch: the same environment starts it here, with a folder for the volume.
func TestCompose(t *testing.T) {
	s := readCompose(t)
	text, err := os.ReadFile("../../packaging/container/Containerfile")
	require.NoError(t, err)
	image := string(text)
	assert.Equal(t, "conch", s.Image)
	assert.True(t, s.ReadOnly)
	assert.Equal(t, []string{"ALL"}, s.CapDrop)
	assert.Equal(t, []string{"no-new-privileges:true"}, s.SecurityOpt)
	assert.Equal(t, "unless-stopped", s.Restart)
	grace, err := time.ParseDuration(s.StopGrace)
	require.NoError(t, err)

	env := map[string]string{}
	for _, m := range regexp.MustCompile(`(CONCH_\w+)=(\S+)`).FindAllStringSubmatch(image, -1) {
		env[m[1]] = m[2]
	}
	maps.Copy(env, s.Environment)
	require.Equal(t, []string{"conch:" + env["CONCH_DIR"]}, s.Volumes)
	require.Equal(t, "${CONCH_PASSWORD:?choose one}", env["CONCH_REQUIREPASS"])
	env["CONCH_REQUIREPASS"] = "pencil"
	for _, port := range s.Ports {
		require.Regexp(t, `^127\.0\.0\.1:(\d+):(8889|8890)$`, port)
		assert.Regexp(t, `(?m)^EXPOSE .*\b`+port[strings.LastIndex(port, ":")+1:]+`\b`, image)
	}
	_, api, err := net.SplitHostPort(env["CONCH_HTTP"])
	require.NoError(t, err)
	require.Equal(t, "8890", api)
	env["CONCH_HTTP"], env["CONCH_DIR"], env["CONCH_LISTEN"] = "127.0.0.1:0", t.TempDir(), "127.0.0.1:0"

	args := []string{"-i"}
	for name, value := range env {
		args = append(args, name+"="+value)
	}
	c := launch(t, "env", append(args, binary, "serve")...)
	assert.Equal(t, "NOAUTH Authentication required.\n\n", c.cli("XLEN", "a"))
	assert.Equal(t, "1-1\n", c.cli("-a", "pencil", "--no-auth-warning", "XADD", "a", "1-1", "n", "one"))
	assert.Greater(t, grace, 12*time.Second, "twice the drain-timeout of 5 seconds, and 2 more")
	out, err := exec.Command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://"+c.started["http"].(string)+"/").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "200", string(out), "the console")
	c.stop()
}
