package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/command"
)

// units are those of Redis, but k, kb and KiB are all 1024: the difference that Redis makes between 1k and 1kb is easily
// forgotten.
var units = map[string]int{
	"": 1, "b": 1,
	"k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10,
	"m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20,
	"g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30,
}

// ParseSize reads a number of bytes. Zero is refused, because the server takes a limit of zero for the default.
func ParseSize(text string) (int, error) {
	digits := strings.TrimRight(text, "bBkKmMgGiI ")
	unit, known := units[strings.ToLower(strings.TrimSpace(text[len(digits):]))]
	n, err := strconv.ParseUint(digits, 10, 64)
	if !known || err != nil || n == 0 || n > uint64(math.MaxInt/unit) {
		return 0, fmt.Errorf("expected a size such as 65536, 64KiB or 16MiB, not %q", text)
	}
	return int(n) * unit, nil
}

// ParseCount reads a number from 1 on.
func ParseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("expected a whole number from 1 on, not %q", text)
	}
	return n, nil
}

// ParseDuration reads a duration as Go writes it, or plain seconds as in Redis.
func ParseDuration(text string) (time.Duration, error) {
	withUnit := text
	if n := len(text); n > 0 && '0' <= text[n-1] && text[n-1] <= '9' {
		withUnit += "s"
	}
	d, err := time.ParseDuration(withUnit)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("expected a time such as 500ms, 60s or 5m, or seconds such as 60, not %q", text)
	}
	return d, nil
}

// ParseBool reads true and false, and also Redis' yes, no, on and off.
func ParseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("expected true or false, not %q", text)
}

func setProtected(c *Config, text string) error {
	v, err := ParseBool(text)
	c.Server.Unprotected = !v
	return err
}

func setDirOptional(c *Config, text string) (err error) {
	c.DirOptional, err = ParseBool(text)
	return err
}

// setPasswordFile reads the password from a file, so that neither command line nor environment show it.
func setPasswordFile(c *Config, path string) error {
	if c.passwordFile = path; path == "" {
		return nil
	}
	if c.hasPassword {
		return errors.New("there is a requirepass as well; give one of them")
	}
	text, err := os.ReadFile(path)
	if inner := new(fs.PathError); errors.As(err, &inner) {
		err = inner.Err // without the name of the file
	}
	if err != nil {
		return fmt.Errorf("the file %s cannot be read: %w", QuoteIfNeeded(path), err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if c.Server.RequirePassword = strings.TrimSuffix(line, "\r"); c.Server.RequirePassword == "" {
		return fmt.Errorf("the first line of %s is empty: expected a password", QuoteIfNeeded(path))
	}
	c.hasPassword = true
	return nil
}

func setLogLevel(c *Config, text string) (err error) {
	c.LogLevel, err = command.ParseLevel(text)
	return err
}

// The formats of the log.
const (
	FormatAuto    = "auto"
	FormatConsole = "console"
	FormatJSON    = "json"
)

func setLogFormat(c *Config, text string) error {
	c.LogFormat = strings.ToLower(text)
	if !slices.Contains([]string{FormatAuto, FormatConsole, FormatJSON}, c.LogFormat) {
		return fmt.Errorf("expected auto, console or json, not %q", text)
	}
	return nil
}

// none switches a listener off, as an empty value does.
const none = "none"

// parseAddress reads an address to listen on; none becomes empty.
func parseAddress(text string) (string, error) {
	if text == "" || strings.EqualFold(text, none) {
		return "", nil
	}
	if err := CheckAddress(text); err != nil {
		return "", fmt.Errorf("%w; expected host:port or :port, e.g. 127.0.0.1:8889, or none", err)
	}
	return text, nil
}

// setOrigins reads the origins of pages, with commas between them.
func setOrigins(c *Config, text string) error {
	c.HTTPOrigins = nil
	for origin := range strings.SplitSeq(text, ",") {
		if origin = strings.TrimSpace(origin); origin == "" {
			continue
		}
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Host == "" || u.Scheme+"://"+u.Host != strings.ToLower(origin)) {
			return fmt.Errorf("expected origins such as https://example.org, with commas between them, or *, not %q", origin)
		}
		c.HTTPOrigins = append(c.HTTPOrigins, origin)
	}
	return nil
}

// The values of tls-client-auth.
const (
	authRequire  = "require"
	authOptional = "optional"
)

func setConnectCommand(c *Config, text string) error {
	switch v := command.ConnectCommand(strings.ToLower(text)); v {
	case command.ConnectNo, command.ConnectLocal, command.ConnectYes:
		c.Server.ConnectCommand = v
		return nil
	}
	return fmt.Errorf("expected no, local or yes, not %q", text)
}

func setClientAuth(c *Config, text string) error {
	text = strings.ToLower(text)
	c.TLSFiles.Optional = text == authOptional
	if text != authRequire && text != authOptional {
		return fmt.Errorf("expected require or optional, not %q", text)
	}
	return nil
}

func clientAuth(c *Config) any {
	if c.TLSFiles.Optional {
		return authOptional
	}
	return authRequire
}

// maxSocketPath is the longest path that a Unix socket can have here.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

func setUnixSocket(c *Config, text string) error {
	c.UnixSocket = text
	switch {
	case len(text) > maxSocketPath:
		return fmt.Errorf("expected a path of at most %d bytes, not %d: %q", maxSocketPath, len(text), text)
	case strings.HasPrefix(text, "@") || strings.ContainsRune(text, 0):
		return fmt.Errorf("expected the path of a file, whose mode limits connecting, not %q", text)
	}
	return nil
}

// setUnixMode reads a mode in octal. The owner must have access, which also catches decimal numbers: TOML makes 504 of
// 0o770.
func setUnixMode(c *Config, text string) error {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode > 0o777 || mode&0o600 != 0o600 {
		return fmt.Errorf("expected an octal mode that lets the owner in, such as 0700, 0770 or 0777, not %q", text)
	}
	c.UnixMode = fs.FileMode(mode)
	return nil
}

// checkListeners refuses settings that do not go together. A TLS setting without effect is refused too, because its
// author expects protection from it.
func (c *Config) checkListeners(authByDefault bool) error {
	f := &c.TLSFiles
	switch {
	case c.Listen == "" && c.TLSListen == "" && c.UnixSocket == "" && c.HTTP == "" && c.HTTPS == "":
		return errors.New("there is nothing to listen on: listen is none, and none of tls-listen, unix-socket, http and https is set")
	case c.HasTLS() && (f.Cert == "" || f.Key == ""):
		return errors.New("tls-listen and https need tls-cert and tls-key, the files of a certificate and its private key")
	case !c.HasTLS() && (f.Cert != "" || f.Key != "" || f.ClientCA != ""):
		return errors.New("tls-cert, tls-key and tls-client-ca have no effect without tls-listen or https")
	case len(c.HTTPOrigins) > 0 && c.HTTP == "" && c.HTTPS == "":
		return errors.New("http-origin has no effect without http or https")
	case c.Debug && c.HTTP == "" && c.HTTPS == "":
		return errors.New("debug has no effect without http or https")
	case f.ClientCA == "" && !authByDefault:
		return errors.New("tls-client-auth has no effect without tls-client-ca")
	case f.ClientCA == "" && c.Server.CertificateUser:
		return errors.New("tls-user needs tls-client-ca: only a verified certificate can name a user")
	}
	return c.checkPorts()
}

// HasTLS reports whether a listener takes TLS.
func (c *Config) HasTLS() bool { return c.TLSListen != "" || c.HTTPS != "" }

// checkPorts refuses two listeners on one port.
func (c *Config) checkPorts() error {
	ports := []struct{ name, address string }{{"listen", c.Listen}, {"tls-listen", c.TLSListen}, {"http", c.HTTP}, {"https", c.HTTPS}}
	for i, later := range ports {
		for _, former := range ports[:i] {
			if sameAddress(former.address, later.address) {
				return fmt.Errorf("%s %s is the port that %s has; choose another one, or switch that off with --%s=none",
					later.name, later.address, former.name, former.name)
			}
		}
	}
	return nil
}

// sameAddress reports whether two listeners would need the same port.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	every := func(host string) bool { return host == "" || net.ParseIP(host).IsUnspecified() }
	return hostA == hostB || every(hostA) || every(hostB)
}

// CheckAddress refuses mistyped addresses. The network would look them up as names, and its error would be about name
// servers.
func CheckAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	switch {
	case isNumber(text):
		return fmt.Errorf("%s is only a port (did you mean :%s?)", text, text)
	case net.ParseIP(strings.Trim(text, "[]")) != nil:
		return fmt.Errorf("%s has no port (did you mean %s?)", text, net.JoinHostPort(strings.Trim(text, "[]"), "8889"))
	case err != nil || strings.ContainsAny(host, " \n\t/@"):
		return fmt.Errorf("%s is not an address", QuoteIfNeeded(text))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%s is not an address: its port is not a number from 0 to 65535", QuoteIfNeeded(text))
	}
	return nil
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 64)
	return err == nil
}

// QuoteIfNeeded quotes a text that has blanks, quotes or control bytes, or is empty.
func QuoteIfNeeded(text string) string {
	if text == "" || strings.ContainsAny(text, " \"") || !strconv.CanBackquote(text) {
		return strconv.Quote(text)
	}
	return text
}
