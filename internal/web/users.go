package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxJSON bounds a JSON body, which is read as a whole.
const maxJSON = 1 << 20

// readJSON reads a body into a value. Unknown fields are refused: a mistyped one would have no
// effect.
func (x *exchange) readJSON(c *conn, into any) error {
	if kind, _, err := mime.ParseMediaType(x.request.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &problem{Status: http.StatusUnsupportedMediaType, Detail: "the body must be application/json"}
	}
	stop := x.interruptReads(c)
	defer stop()
	text, err := io.ReadAll(io.LimitReader(&bodyReader{x, c}, maxJSON+1))
	if err != nil {
		return x.bodyError(c, err)
	}
	if len(text) > maxJSON {
		return &problem{Status: http.StatusRequestEntityTooLarge, Detail: "a JSON body has at most 1 MiB"}
	}
	if !utf8.Valid(text) {
		return &problem{Status: http.StatusBadRequest, Detail: "the body is not UTF-8"}
	}
	if err := decodeStrict(text, into); err != nil {
		return &problem{Status: http.StatusBadRequest, Detail: "the body is not the JSON object that is expected: " + err.Error()}
	}
	return nil
}

// decodeStrict decodes one JSON value without unknown fields, and nothing behind it.
func decodeStrict(text []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err //nolint:wrapcheck // its text is the detail
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind it")
	}
	return nil
}

// userPath is the user in the path. Redis would take one without a name.
func (x *exchange) userPath() (string, error) {
	user := x.params["user"]
	if user == "" {
		return "", &problem{Status: http.StatusBadRequest, Detail: "a user has a name"}
	}
	return user, nil
}

// getUsers is GET /users: the rules of each, without the digests of passwords.
func (x *exchange) getUsers() error {
	list, err := x.show("ACL", "LIST")
	if err != nil {
		return err
	}
	lines, _ := list.([]any)
	users := make([]any, len(lines))
	for i, line := range lines {
		text, _ := line.(string)
		_, text, _ = strings.Cut(text, " ") // the word user
		name, rules, _ := strings.Cut(text, " ")
		users[i] = object{{"user", name}, {"rules", rulesOf(rules)}}
	}
	return x.json(object{{"users", users}})
}

// rulesOf splits the rules of a user. A selector, in parentheses, is one rule; digests are left
// out.
func rulesOf(text string) []string {
	rules, inside := []string{}, false
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case inside:
			rules[len(rules)-1] += " " + word
		case !strings.HasPrefix(word, "#"):
			rules = append(rules, word)
		}
		inside = !strings.HasSuffix(word, ")") && (inside || strings.HasPrefix(word, "("))
	}
	return rules
}

// patchUser is PATCH /users/{user}: it applies rules, as ACL SETUSER does.
func (x *exchange) patchUser() error {
	user, err := x.userPath()
	if err != nil {
		return err
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	defer c.close()
	var body struct {
		Rules []string `json:"rules"`
	}
	if err := x.readJSON(c, &body); err != nil {
		return err
	}
	if _, err := c.do(append([]string{"ACL", "SETUSER", user}, body.Rules...)...); err != nil {
		return err
	}
	return x.noContent()
}

// deleteUser is DELETE /users/{user}.
func (x *exchange) deleteUser() error {
	user, err := x.userPath()
	if err != nil {
		return err
	}
	deleted, err := x.run("ACL", "DELUSER", user)
	if err != nil {
		return err
	}
	if deleted == int64(0) {
		return &problem{Status: http.StatusNotFound, Detail: "there is no such user"}
	}
	return x.noContent()
}

// getTokens is GET /tokens, or those of one user with ?user=.
func (x *exchange) getTokens() error {
	args := []string{"ACL", "TOKEN", "LIST"}
	if user := x.request.URL.Query().Get("user"); user != "" {
		args = append(args, user)
	}
	list, err := x.show(args...)
	if err != nil {
		return err
	}
	rows, _ := list.([]any)
	tokens := make([]any, len(rows))
	for i, row := range rows {
		o, _ := row.(object)
		tokens[i] = object{{"user", o.get("username")}, {"token", o.get("token")}, {"expires", o.get("expires")}}
	}
	return x.json(object{{"tokens", tokens}})
}

// postToken is POST /tokens. The answer alone has the secret.
func (x *exchange) postToken() error {
	c, err := x.open()
	if err != nil {
		return err
	}
	defer c.close()
	var body struct {
		User    string `json:"user"`
		Token   string `json:"token"`
		Seconds int64  `json:"seconds"`
	}
	if err := x.readJSON(c, &body); err != nil {
		return err
	}
	secret, err := c.do("ACL", "TOKEN", "CREATE", body.User, body.Token, strconv.FormatInt(body.Seconds, 10))
	if err != nil {
		return err
	}
	x.answer(http.StatusCreated, "application/json", object{{"user", body.User}, {"token", body.Token}, {"secret", secret}})
	return nil
}

// deleteToken is DELETE /tokens/{user}/{token}.
func (x *exchange) deleteToken() error {
	user, err := x.userPath()
	if err != nil {
		return err
	}
	_, err = x.run("ACL", "TOKEN", "REVOKE", user, x.params["token"])
	if refused := (*errorReply)(nil); errors.As(err, &refused) && refused.code == "ERR" {
		return &problem{Status: http.StatusNotFound, Detail: refused.text, Code: refused.code}
	}
	if err != nil {
		return err
	}
	return x.noContent()
}
