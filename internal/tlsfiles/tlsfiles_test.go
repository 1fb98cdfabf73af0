package tlsfiles

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Invalid files cause an error of one line with the file and the cause.
func TestWhatCannotBeUsed(t *testing.T) {
	a := harness.NewAuthority(t)
	other := a.Valid(t, "other")
	for _, tt := range []struct {
		sentence string
		change   func(t *testing.T, folder string, f *Files)
		want     string // FOLDER stands for the folder; empty if the files can be used
	}{
		{"as they should be", func(*testing.T, string, *Files) {}, ""},
		{"no certificate", func(_ *testing.T, folder string, f *Files) {
			f.Cert = folder + "/missing"
		}, "tls-cert FOLDER/missing: no such file or directory"},
		{"no key", func(_ *testing.T, folder string, f *Files) {
			f.Key = folder + "/missing"
		}, "tls-key FOLDER/missing: no such file or directory"},
		{"no authority", func(_ *testing.T, folder string, f *Files) {
			f.ClientCA = folder + "/missing"
		}, "tls-client-ca FOLDER/missing: no such file or directory"},
		{"a folder", func(_ *testing.T, folder string, f *Files) {
			f.Cert = folder
		}, "tls-cert FOLDER: is a directory"},
		{"the key of another certificate", func(t *testing.T, _ string, f *Files) {
			harness.WriteFile(t, f.Key, other.Key)
		}, "tls-cert FOLDER/tls.crt and tls-key FOLDER/tls.key: tls: private key does not match public key"},
		{"the two exchanged", func(_ *testing.T, _ string, f *Files) {
			f.Cert, f.Key = f.Key, f.Cert
		}, "PEM inputs may have been switched"},
		{"no PEM", func(t *testing.T, _ string, f *Files) {
			harness.WriteFile(t, f.Cert, []byte("hello"))
		}, "failed to find any PEM data in certificate input"},
		{"an authority that is none", func(_ *testing.T, _ string, f *Files) {
			f.ClientCA = f.Key
		}, "tls-client-ca FOLDER/tls.key: there is no certificate in it"},
		{"a file without an end", func(_ *testing.T, _ string, f *Files) {
			f.Cert = "/dev/zero"
		}, "tls-cert /dev/zero: it is over 4194304 bytes long"},
		{"a key that the group can read", func(t *testing.T, _ string, f *Files) {
			require.NoError(t, os.Chmod(f.Key, 0o640))
		}, "tls-key FOLDER/tls.key: it can be read by others than its owner (mode 0640): set mode 0600 (chmod 600)"},
		{"a key that others can read", func(t *testing.T, _ string, f *Files) {
			require.NoError(t, os.Chmod(f.Key, 0o604))
		}, "tls-key FOLDER/tls.key: it can be read by others than its owner (mode 0604): set mode 0600 (chmod 600)"},
		{"a key that only its owner can read", func(t *testing.T, _ string, f *Files) {
			require.NoError(t, os.Chmod(f.Key, 0o400))
		}, ""},
		{"a certificate that all can read", func(t *testing.T, _ string, f *Files) {
			require.NoError(t, os.Chmod(f.Cert, 0o644))
		}, ""},
		{"a link, which all can read, to a key that they cannot", func(t *testing.T, folder string, f *Files) {
			require.NoError(t, os.Symlink(f.Key, folder+"/link"))
			f.Key = folder + "/link"
		}, ""},
		{"a link to a key that others can read", func(t *testing.T, folder string, f *Files) {
			require.NoError(t, os.Chmod(f.Key, 0o644))
			require.NoError(t, os.Symlink(f.Key, folder+"/link"))
			f.Key = folder + "/link"
		}, "tls-key FOLDER/link: it can be read by others than its owner (mode 0644): set mode 0600 (chmod 600)"},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			folder := t.TempDir()
			f := Files{ClientCA: folder + "/ca.crt"}
			f.Cert, f.Key = a.Valid(t, "conch").Write(t, folder)
			harness.WriteFile(t, f.ClientCA, a.PEM)
			tt.change(t, folder, &f)
			_, err := Open(f)
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, strings.ReplaceAll(tt.want, "FOLDER", folder))
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "PRIVATE KEY")
		})
	}
}

// following is a followed source and its log.
type following struct {
	*Source
	t   *testing.T
	log chan map[string]any
}

func follow(t *testing.T, f Files) *following {
	t.Helper()
	s, err := Open(f)
	require.NoError(t, err)
	l := &following{Source: s, t: t, log: make(chan map[string]any, 1000)}
	s.Follow(zerolog.New(l))
	t.Cleanup(s.Close)
	return l
}

func (l *following) Write(line []byte) (int, error) {
	fields := make(map[string]any)
	err := json.Unmarshal(line, &fields)
	l.log <- fields
	return len(line), err
}

// expect requires the next line of the log.
func (l *following) expect(message string) map[string]any {
	l.t.Helper()
	select {
	case fields := <-l.log:
		require.Equal(l.t, message, fields["message"], "%v", fields)
		return fields
	case <-time.After(harness.Patience):
		require.FailNow(l.t, "no such line", message)
		return nil
	}
}

// inForce returns the name of the certificate of a new connection.
func (l *following) inForce() string {
	l.t.Helper()
	config, err := l.Config().GetConfigForClient(nil)
	require.NoError(l.t, err)
	return config.Certificates[0].Leaf.Subject.CommonName
}

const (
	atStart   = "the TLS certificate is loaded"
	anew      = "the TLS files are loaded anew: new connections get them"
	unchanged = "the TLS files are as they were"
	expired   = "the TLS certificate has expired, and clients refuse it: renew it; a changed file is reloaded"
	endsSoon  = "the TLS certificate ends within 30 days: renew it; a changed file is reloaded"
	unusable  = "the TLS files cannot be used; what was loaded before stays in force"
)

func TestFilesThatAreReplacedAreLoadedAnew(t *testing.T) {
	a, folder := harness.NewAuthority(t), t.TempDir()
	f := Files{}
	f.Cert, f.Key = a.Valid(t, "first").Write(t, folder)
	l := follow(t, f)
	line := l.expect(atStart)
	assert.Equal(t, "info", line["level"])
	assert.Equal(t, "CN=first", line["certificate"])
	assert.Equal(t, []any{"localhost", "127.0.0.1"}, line["hosts"])
	assert.EqualValues(t, 90, line["days_left"])
	assert.Equal(t, "first", l.inForce())

	a.Valid(t, "second").Write(t, folder)
	for line = l.expectOneOf(unusable, anew); line["message"] == unusable; line = l.expectOneOf(unusable, anew) {
		assert.Equal(t, "first", l.inForce(), "seen when one of the two was replaced and the other was not")
	}
	assert.Equal(t, "CN=second", line["certificate"])
	assert.Equal(t, "second", l.inForce())
}

func (l *following) expectOneOf(one, other string) map[string]any {
	l.t.Helper()
	select {
	case fields := <-l.log:
		require.Contains(l.t, []any{one, other}, fields["message"])
		return fields
	case <-time.After(harness.Patience):
		require.FailNow(l.t, "no such line", one)
		return nil
	}
}

// Mounted secrets are a link to a folder; links and folders are replaced.
func TestALinkToAFolderThatIsReplaced(t *testing.T) {
	a, mount := harness.NewAuthority(t), t.TempDir()
	place := func(version, name string) {
		folder := filepath.Join(mount, version)
		require.NoError(t, os.Mkdir(folder, 0o700))
		a.Valid(t, name).Write(t, folder)
		require.NoError(t, os.Symlink(version, mount+"/..next"))
		require.NoError(t, os.Rename(mount+"/..next", mount+"/..data"))
	}
	place("..1", "first")
	require.NoError(t, os.Symlink("..data/tls.crt", mount+"/tls.crt"))
	require.NoError(t, os.Symlink("..data/tls.key", mount+"/tls.key"))
	l := follow(t, Files{Cert: mount + "/tls.crt", Key: mount + "/tls.key"})
	l.expect(atStart)
	for i, name := range []string{"second", "third", "fourth"} {
		place("..x"+name, name)
		if i == 0 {
			require.NoError(t, os.RemoveAll(mount+"/..1"))
		}
		assert.Equal(t, "CN="+name, l.expect(anew)["certificate"])
		assert.Equal(t, name, l.inForce())
	}
}

// The target of a link may be replaced in another folder.
func TestALinkIntoAnotherFolder(t *testing.T) {
	a, live, far := harness.NewAuthority(t), t.TempDir(), t.TempDir()
	f := Files{Cert: live + "/cert.pem"}
	cert, key := a.Valid(t, "first").Write(t, far)
	require.NoError(t, os.Symlink(cert, f.Cert))
	f.Key = key
	l := follow(t, f)
	l.expect(atStart)
	a.Valid(t, "second").Write(t, far)
	for l.expectOneOf(unusable, anew)["message"] == unusable {
		assert.Equal(t, "first", l.inForce())
	}
	assert.Equal(t, "second", l.inForce())
}

func TestWhatIsWrongIsSaidAndWhatWasRightStays(t *testing.T) {
	a, folder := harness.NewAuthority(t), t.TempDir()
	f := Files{}
	f.Cert, f.Key = a.Valid(t, "first").Write(t, folder)
	l := follow(t, f)
	l.expect(atStart)

	require.NoError(t, os.Chmod(f.Key, 0o644))
	line := l.expect(unusable)
	assert.Equal(t, "error", line["level"])
	assert.Equal(t, "tls-key "+f.Key+": it can be read by others than its owner (mode 0644): set mode 0600 (chmod 600)", line["error"])
	assert.Equal(t, "first", l.inForce())

	harness.WriteFile(t, folder+"/neighbor", nil) // an event without a change of the invalid file
	l.Reload()                                    // and now a request
	l.expect(unusable)

	require.NoError(t, os.Chmod(f.Key, 0o600))
	l.expect(unchanged)
	l.Reload()
	l.expect(unchanged)
	assert.Equal(t, "first", l.inForce())
}

func TestACertificateThatClientsWillRefuse(t *testing.T) {
	a, folder := harness.NewAuthority(t), t.TempDir()
	f := Files{}
	f.Cert, f.Key = a.Issue(t, "old", time.Now().Add(-25*time.Hour)).Write(t, folder)
	l := follow(t, f)
	l.expect(atStart)
	line := l.expect(expired)
	assert.Equal(t, "warn", line["level"])
	assert.EqualValues(t, -1, line["days_left"])
	assert.Equal(t, "old", l.inForce(), "it is served all the same")

	first, err := f.load()
	require.NoError(t, err)
	first.warn(&l.Source.log, first.leaf.NotBefore.Add(-time.Hour))
	l.expect("the TLS certificate is not valid yet, and clients refuse it: check the clock of this machine")
}

// Within 30 days of its end, a certificate is a warning at the start and on each day.
func TestACertificateThatEndsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, folder := harness.NewAuthority(t), t.TempDir()
		f := Files{}
		f.Cert, f.Key = a.Issue(t, "late", time.Now().Add(32*24*time.Hour+time.Hour)).Write(t, folder)
		s, err := Open(f)
		require.NoError(t, err)
		l := &following{Source: s, t: t, log: make(chan map[string]any, 1000)}
		s.log = zerolog.New(l)
		go s.follow() // without a watcher, whose goroutine waits for the kernel and would hold the clock
		defer s.Close()

		<-time.After(49 * time.Hour) // two days have passed, and 30 are left and an hour's rest
		synctest.Wait()
		assert.Empty(t, l.log)
		for day := 29; day >= -2; day-- {
			<-time.After(24 * time.Hour)
			synctest.Wait()
			require.Len(t, l.log, 1)
			line := <-l.log
			assert.Equal(t, "warn", line["level"])
			assert.Equal(t, map[bool]string{true: endsSoon, false: expired}[day >= 0], line["message"])
			assert.InDelta(t, day, line["days_left"], 1)
		}
	})
	a, folder := harness.NewAuthority(t), t.TempDir()
	f := Files{}
	f.Cert, f.Key = a.Issue(t, "late", time.Now().Add(29*24*time.Hour)).Write(t, folder)
	l := follow(t, f)
	l.expect(atStart)
	assert.Equal(t, "warn", l.expect(endsSoon)["level"])
}

// systemd from 254 on makes a credential readable by its group.
func TestTheKeyAsACredential(t *testing.T) {
	folder, elsewhere := t.TempDir(), t.TempDir()
	pair := harness.NewAuthority(t).Valid(t, "conch")
	f := Files{}
	f.Cert, f.Key = pair.Write(t, folder)
	for _, c := range []struct {
		mode        os.FileMode
		credentials string
		want        bool
	}{
		{0o440, folder, true}, {0o440, folder + "/", true}, {0o400, "", true}, {0o440, "", false}, {0o440, elsewhere, false},
		{0o440, filepath.Dir(folder), false}, {0o444, folder, false}, {0o404, folder, false},
	} {
		require.NoError(t, os.Chmod(f.Key, c.mode))
		t.Setenv("CREDENTIALS_DIRECTORY", c.credentials)
		_, err := Open(f)
		assert.Equal(t, c.want, err == nil, "%v", c)
	}
}

func TestFolders(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, folder := range []string{"a/b", "c/d"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, folder), 0o700))
	}
	for name, target := range map[string]string{
		"a/near": "b/file", "a/far": "../c/d/file", "link": "a", "c/d/twice": root + "/link/far", "loop": "loop",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(root, name)))
	}
	for path, want := range map[string]string{
		"a/file":      "a",
		"a/b/missing": "a/b",
		"a/near":      "a a/b",
		"a/far":       "a c/d",
		"link/file":   ". a",
		"c/d/twice":   ". a c/d",
	} {
		var names []string
		for _, folder := range folders(filepath.Join(root, path)) {
			name, err := filepath.Rel(root, folder)
			require.NoError(t, err)
			names = append(names, name)
		}
		assert.Equal(t, strings.Fields(want), names, path)
	}
	assert.NotPanics(t, func() { folders(root + "/loop") })
}
